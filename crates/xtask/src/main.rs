//! `cargo xtask <command>`: the project's own commands.

use std::process::ExitCode;

fn main() -> anyhow::Result<ExitCode> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    xtask::run(&args.iter().map(String::as_str).collect::<Vec<_>>())
}
