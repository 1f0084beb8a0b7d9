//! `cargo xtask bench <scene>`: what the door and its store cost, as ratios.
//!
//! Absolute figures belong to one machine and one hour. So servers stand side by side, the same load goes to them
//! in turn, and only the ratios of their medians within one run are read.

mod by_hand;
mod contender;
mod figures;
mod goal;
mod instructions;
mod load;
mod metrics;
mod options;
mod picture;
mod project;
mod record;
mod report;
mod request;
mod scenes;

use crate::tree::cargo;
use anyhow::{Context as _, Result, bail};
use contender::Contender;
pub(crate) use contender::LIFELINE;
pub use instructions::run as instructions;
use load::Load;
use options::Options;
use record::{Outcome, Record};
use report::Row;
use scenes::Scene;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// Runs the bench with the scenes and options of the command line.
///
/// # Errors
/// When a server does not build, start or answer as it should.
pub fn run(root: &Path, options: &[&str]) -> Result<ExitCode> {
    if options.contains(&"--help") {
        println!("{}", options::usage());
        return Ok(ExitCode::SUCCESS);
    }
    let options = Options::parse(options)?;
    if Command::new("wrk").arg("--version").output().is_err() {
        bail!("the load generator `wrk` is missing; install it with: apt-get install -y wrk");
    }
    let target = target(root)?;
    if by_hand::is_asked(&options.scenes) {
        by_hand::install(root, &target.join("release"))?;
    }
    build(root, &["-p", "hookflow"])?;
    build(root, &["-p", "xtask", "--example", "bare"])?;
    let mut record = Record::default();
    for number in 1..=options.times {
        if options.times > 1 {
            println!("# run {number} of {}\n", options.times);
        }
        record.runs.push(once(&options, &target)?);
        // After each: what was measured for half an hour is not lost by what fails later.
        record.write(&options)?;
    }
    println!("{}", record.summary());
    Ok(if record.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// All that was asked for, once.
fn once(options: &Options, target: &Path) -> Result<Vec<Outcome>> {
    let mut outcomes = Vec::new();
    for scene in &options.scenes {
        println!("## {}\n\n{}\n", scene.name, scene.about);
        outcomes.push(play(scene, options, target)?);
    }
    if options.figures {
        println!("## figures\n");
        let folder = tempfile::tempdir_in(target)?;
        outcomes.push(figures::measure(&target.join("release"), folder.path())?);
    }
    Ok(outcomes)
}

/// Measures a scene and says what came of it.
fn play(scene: &Scene, options: &Options, target: &Path) -> Result<Outcome> {
    // Not in the system's temporary folder, which may be memory: a sync would cost nothing.
    let folder = tempfile::tempdir_in(target)?;
    let release = target.join("release");
    let start = |server| Ok(Row::new(Contender::new(server, scene, &release, folder.path())?, server));
    let mut rows: Vec<Row> = scene.servers.iter().map(start).collect::<Result<_>>()?;
    let load = Load::prepare(folder.path(), options, scene)?;
    let mut is_sound = measure(&mut rows, &load, options.rounds)?;
    if !is_sound {
        println!("Not all answers were as they should be.");
    }
    for (covered, sentence) in rows.iter().filter_map(Row::account) {
        println!("{sentence}");
        if !covered {
            println!("Not every accepted event has a run that succeeded.");
        }
        is_sound &= covered;
    }
    let outcome = report::outcome(scene, &rows, options.duration.as_secs_f64(), is_sound)?;
    println!("\n{outcome}");
    Ok(outcome)
}

/// Whether all answers were right.
fn measure(rows: &mut [Row], load: &Load, rounds: usize) -> Result<bool> {
    let mut sound = true;
    for row in rows.iter_mut() {
        sound &= load.check(row)?;
    }
    for round in 0..rounds {
        eprintln!("round {} of {rounds}", round + 1);
        // A B, B A, A B, …: what drifts over time falls on both.
        if round % 2 == 1 {
            rows.reverse();
        }
        for row in rows.iter_mut() {
            sound &= load.measure(row)?;
        }
        if round % 2 == 1 {
            rows.reverse();
        }
    }
    Ok(sound)
}

fn build(root: &Path, what: &[&str]) -> Result<()> {
    let mut args = vec!["build", "--release", "--locked"];
    args.extend(what);
    let mut cargo = Command::new("cargo");
    // `cargo run` tells us about our own package. A build script that looks at this (ring's) would run again, and all
    // that stands on it be built anew.
    for (name, _) in std::env::vars_os() {
        if name
            .to_str()
            .is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_"))
        {
            cargo.env_remove(name);
        }
    }
    let status = cargo.args(&args).current_dir(root).status().context("cannot run cargo")?;
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
