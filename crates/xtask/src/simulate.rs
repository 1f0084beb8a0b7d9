//! `cargo xtask simulate`: the engine in a made-up world, one seed after the other, until something does not hold.

use anyhow::{Context as _, Result, bail};
use std::path::Path;
use std::process::{Command, ExitCode};

const TEST: &str = "tests::simulation::as_many_seeds_as_one_likes";

/// Runs `--seeds N` seeds from `--seed S` on, in an optimised build when `--release` is given.
///
/// # Errors
/// When an option is not understood, or cargo cannot be run.
pub fn run(root: &Path, options: &[&str]) -> Result<ExitCode> {
    let (mut seeds, mut first, mut build) = (1_000_u64, 1_u64, None);
    let mut options = options.iter();
    while let Some(option) = options.next() {
        let mut number = || -> Result<u64> {
            options
                .next()
                .with_context(|| format!("{option} wants a number"))?
                .parse()
                .context("not a number")
        };
        match *option {
            "--seeds" => seeds = number()?,
            "--seed" => first = number()?,
            "--release" => build = Some("--release"),
            other => bail!("unknown option {other}; there are --seeds N, --seed S and --release"),
        }
    }
    let status = Command::new("cargo")
        .current_dir(root)
        .args(["test", "--package", "hookflow-engine", "--lib"])
        .args(build)
        .args(["--", "--exact", TEST, "--ignored", "--nocapture"])
        .env("SIMULATION_SEED", first.to_string())
        .env("SIMULATION_SEEDS", seeds.to_string())
        .status()
        .context("cargo cannot be run")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
