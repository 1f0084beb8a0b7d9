//! `cargo xtask bench door`: what the door costs, as a ratio.
//!
//! Absolute figures belong to one machine and one hour. So two servers stand side by side, the same load
//! goes to them in turn, and only the ratio of their medians within one run is read.

mod contender;
mod load;
mod options;
mod report;
mod request;

use crate::tree::cargo;
use anyhow::{Context as _, Result, bail};
use contender::Contender;
pub(crate) use contender::LIFELINE;
use load::Load;
use options::{Options, Scene};
use report::Row;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// Runs the bench with the options of the command line.
///
/// # Errors
/// When a server does not build, start or answer as it should.
pub fn run(root: &Path, options: &[&str]) -> Result<ExitCode> {
    if options.contains(&"--help") {
        println!("{}", options::USAGE);
        return Ok(ExitCode::SUCCESS);
    }
    let options = Options::parse(options)?;
    if Command::new("wrk").arg("--version").output().is_err() {
        bail!("the load generator `wrk` is missing; install it with: apt-get install -y wrk");
    }
    let mut rows = contenders(root, &options)?.map(Row::new);
    let folder = tempfile::tempdir()?;
    let load = Load::prepare(folder.path(), &options)?;
    let mut sound = true;
    for row in &rows {
        sound &= load.check(row)?;
    }
    for round in 0..options.rounds {
        eprintln!("round {} of {}", round + 1, options.rounds);
        // A B, B A, A B, …: what drifts over time falls on both.
        if round % 2 == 1 {
            rows.reverse();
        }
        for row in &mut rows {
            sound &= load.measure(row)?;
        }
        if round % 2 == 1 {
            rows.reverse();
        }
    }
    let [base, measured] = &rows;
    let ratio = report::ratio(base, measured).context("nothing was measured")?;
    println!("{}", report::table(&rows, ratio));
    let enough = options.min_ratio.is_none_or(|least| ratio >= least);
    if !sound {
        println!("Not all answers were 200 with the mapped fields.");
    }
    if !enough {
        println!("The ratio is below the one asked for.");
    }
    Ok(if sound && enough { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Builds and starts the two servers: the one to compare with, then the one to judge.
fn contenders(root: &Path, options: &Options) -> Result<[Contender; 2]> {
    let release = target(root)?.join("release");
    let hookflow = |name: &str, flows| {
        build(root, &["-p", "hookflow"])?;
        Contender::hookflow(name, &release.join("hookflow"), flows)
    };
    let bare = |name: &str| {
        build(root, &["-p", "xtask", "--example", "bare"])?;
        Contender::bare(name, &release.join("examples/bare"))
    };
    let many = options.flows;
    Ok(match options.scene {
        Scene::Bare => [bare("bare hyper")?, hookflow(&flows(many.unwrap_or(1)), many.unwrap_or(1))?],
        Scene::Flows => {
            let many = many.unwrap_or(10_000);
            [hookflow(&flows(1), 1)?, hookflow(&flows(many), many)?]
        }
        Scene::Noise => [bare("bare hyper")?, bare("bare hyper again")?],
    })
}

fn flows(count: usize) -> String {
    if count == 1 { "hookflow, 1 flow".to_owned() } else { format!("hookflow, {count} flows") }
}

fn build(root: &Path, what: &[&str]) -> Result<()> {
    let mut args = vec!["build", "--release", "--locked"];
    args.extend(what);
    let status = Command::new("cargo").args(&args).current_dir(root).status().context("cannot run cargo")?;
    if !status.success() {
        bail!("failed: cargo {}", args.join(" "));
    }
    Ok(())
}

pub(crate) fn target(root: &Path) -> Result<PathBuf> {
    let metadata = cargo(root, &["metadata", "--format-version=1", "--no-deps"])?;
    let metadata: Value = serde_json::from_str(&metadata)?;
    let folder = metadata
        .get("target_directory")
        .and_then(Value::as_str)
        .context("cargo metadata names no target folder")?;
    Ok(folder.into())
}
