//! `cargo xtask instructions`: what a request costs the processor, counted instead of timed.
//!
//! The bench's request goes over one connection, a few times and then more often, to a service under callgrind; the difference is
//! what a request costs. Unlike time this is the same on a busy machine: within a percent from run to run.

use super::contender::Contender;
use super::project::{Project, Store};
use super::scenes::{self, MAP};
use super::{build, figures, target};
use anyhow::{Context as _, Result, bail};
use std::path::Path;
use std::process::ExitCode;

const FEW: u64 = 100;
const MORE: u64 = 600;

/// A build, the folder of its program, and what a request may take. That is what was counted, and a seventh: compilers differ.
struct Build {
    flag: &'static str,
    folder: &'static str,
    most: u64,
}

const BUILDS: [Build; 2] = [
    // On what the tests have built.
    Build { flag: "--built", folder: "debug", most: 900_000 },
    Build { flag: "--release", folder: "release", most: 135_000 },
];

/// Counts, and compares with what is allowed.
///
/// # Errors
/// When the program or valgrind is not there, or the service does not answer as it should.
pub fn run(root: &Path, options: &[&str]) -> Result<ExitCode> {
    let [flag] = options else { bail!("usage: cargo xtask instructions --built|--release") };
    let wanted = BUILDS.iter().find(|build| build.flag == *flag).context("either --built or --release")?;
    let target = target(root)?;
    if wanted.folder == "release" {
        build(root, &["-p", "hookflow"])?;
    }
    let program = target.join(wanted.folder).join("hookflow");
    let folder = tempfile::tempdir_in(&target)?;
    let few = count(&program, folder.path(), FEW)?;
    let more = count(&program, folder.path(), MORE)?;
    let each = more.saturating_sub(few) / (MORE - FEW);
    println!("{each} instructions a request ({}), at most {}", wanted.folder, wanted.most);
    if each == 0 || each > wanted.most {
        println!(
            "That is more than allowed: find what came in, or say in `instructions.rs` why it has to be."
        );
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// Instructions of the whole process, from its start to its end in order.
fn count(program: &Path, folder: &Path, requests: u64) -> Result<u64> {
    let out = folder.join(format!("callgrind.{requests}"));
    let option = format!("--callgrind-out-file={}", out.display());
    let wrapper = ["valgrind", "--quiet", "--tool=callgrind", &option];
    let project = Project { store: Store::Memory, keys: "", steps: MAP, flows: 1 };
    let scene = scenes::named("door").next().context("no scene")?;
    let contender = Contender::wrapped(&wrapper, program, &project, scene, folder)?;
    drop(figures::send(&contender, requests)?);
    contender.end()?;
    let counted = std::fs::read_to_string(&out).context("callgrind has counted nothing")?;
    totals(&counted).context("callgrind names no total")
}

fn totals(counted: &str) -> Option<u64> {
    counted.lines().find_map(|line| line.strip_prefix("totals: "))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_is_read() {
        assert_eq!(totals("version: 1\nfn=(1) a\n0 5\ntotals: 123\n"), Some(123));
        assert_eq!(totals("summary: 1\n"), None);
    }
}
