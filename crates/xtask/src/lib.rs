//! The project's own commands: the one that tests everything, the one that holds the house's rules, the one that makes
//! the book, the benches, the ones that kill the program under load and cut its power, and the one that lets senders' own libraries
//! send. A library, so that `cargo test` runs the rules too.

pub mod bench;
pub mod book;
pub mod crash;
pub mod judge;
mod packages;
pub mod power;
pub mod senders;
pub mod simulate;
pub mod test;
pub mod tidy;
pub mod tree;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

const USAGE: &str = "\
cargo xtask <command>

  test         everything that has to hold before a change goes in: format, lints, tests
  tidy         the rules of the house alone: walls, tables, codes and their pages, sizes, names
  bench        the door and its store against servers that do the same by hand; --help lists its scenes
  book         makes HTML of docs/ in target/book, and says which links lead nowhere
  crash        the real program under load, killed again and again; --help lists its options
  power        cuts the power under the real program, --cuts N times (100); needs Linux with glibc
  instructions what a request costs the processor, counted by callgrind: --built or --release
  senders      senders' own libraries, from npm and PyPI, sign and send requests; needs the network, node and python3
  simulate     the engine in a made-up world: --seeds N of them, from --seed S on; --release";

/// Runs one command.
///
/// # Errors
/// When the command could not do its work; a finding or a failed step is an exit code instead.
pub fn run(args: &[&str]) -> anyhow::Result<ExitCode> {
    match args {
        ["test"] => test::run(&root()),
        ["tidy"] => tidy::run(&root()),
        ["bench", options @ ..] => bench::run(&root(), options),
        ["book"] => book::run(&root()),
        ["instructions", options @ ..] => bench::instructions(&root(), options),
        ["crash", options @ ..] => crash::run(&root(), options),
        ["power", options @ ..] => power::run(&root(), options),
        ["simulate", options @ ..] => simulate::run(&root(), options),
        ["senders"] => senders::run(&root()),
        ["help" | "--help" | "-h"] => {
            println!("{USAGE}");
            Ok(ExitCode::SUCCESS)
        }
        _ => {
            eprintln!("{USAGE}");
            Ok(ExitCode::from(2))
        }
    }
}

/// The folder of the workspace.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_path_buf()
}
