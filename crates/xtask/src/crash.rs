//! `cargo xtask crash`: the real program under load, killed again and again, and a judge who knows only what callers,
//! the target and the operator saw.
//!
//! A round is one folder: some kills, then a last start after which everything has to end. What was seen stands in three
//! files, and a program of its own judges them (`crate::judge`, `examples/judge.rs`). A mistake can be planted, in the
//! program or in the evidence; then the judge has to find it.

mod callbacks;
mod callers;
mod chance;
mod evidence;
mod http;
mod killer;
mod operator;
mod options;
mod round;
mod scenes;
mod service;
mod target;

use crate::judge::plants;
use anyhow::{Context as _, Result, bail};
use chance::Chance;
use evidence::now;
use killer::Killer;
use options::{Options, USAGE};
use round::Round;
use service::{Orders, orders};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, SystemTime};

/// Runs the proof.
///
/// # Errors
/// When something stands in the way of it. What the judge finds is an exit code instead.
pub fn run(root: &Path, args: &[&str]) -> Result<ExitCode> {
    if args.contains(&"--help") {
        println!("{USAGE}");
        return Ok(ExitCode::SUCCESS);
    }
    let options = Options::parse(args)?;
    let workshop = tempfile::tempdir()?;
    // A copy, so that nobody builds another one in its place.
    let program = workshop.path().join("hookflow");
    std::fs::copy(built(root, &options)?, &program).context("there is no such program")?;
    let judge = judge(root)?;
    let known = orders(&program)?;
    if known.points.is_empty() {
        println!("This program has no fault points: it is killed at random only.");
    }
    let planted = planted(&options, &known)?;
    let seed = options.seed.unwrap_or_else(moment);
    println!("seed {seed}");
    let mut chance = Chance::new(seed);
    // One order at a time: a program that errs is killed at random.
    let points = if matches!(planted, Some(Planted::Program(_))) { &[][..] } else { &known.points };
    let mut killer = Killer::new(points, chance.fork());
    let (began, mut sound, mut rounds) = (now(), true, 0);
    while killer.kills() < options.kills {
        let is_late = |minutes: u64| began.elapsed() > Duration::from_secs(minutes * 60);
        if options.minutes.is_some_and(is_late) {
            println!("The time is over.");
            break;
        }
        rounds += 1;
        let folder = tempfile::tempdir()?;
        let kills = options.round.min(options.kills - killer.kills());
        let round = Round {
            program: &program,
            folder: folder.path(),
            callers: options.callers,
            planted: planted.as_ref(),
        };
        round.play(&mut killer, kills, &mut chance).inspect_err(|_| keep(&options, folder.path(), rounds))?;
        if let Some(Planted::Evidence(plant)) = &planted {
            plants::plant(plant, folder.path())?;
        }
        let verdict = Command::new(&judge).arg(folder.path()).status().context("cannot run the judge")?;
        println!("round {rounds}: {} kills, {:.0?}\n", killer.kills(), began.elapsed());
        if !verdict.success() || options.keep.is_some() {
            keep(&options, folder.path(), rounds);
        }
        if !verdict.success() {
            sound = false;
            break;
        }
    }
    report(&killer, rounds);
    match (planted, sound) {
        (None, true) => Ok(ExitCode::SUCCESS),
        (Some(_), false) => {
            println!("The planted mistake was found.");
            Ok(ExitCode::SUCCESS)
        }
        (None, false) => Ok(ExitCode::FAILURE),
        (Some(_), true) => {
            println!("The planted mistake was not found.");
            Ok(ExitCode::FAILURE)
        }
    }
}

/// A mistake that the judge has to find.
enum Planted {
    /// The program makes it.
    Program(String),
    /// The evidence is altered as if it had been made.
    Evidence(String),
}

fn planted(options: &Options, known: &Orders) -> Result<Option<Planted>> {
    let Some(plant) = &options.plant else { return Ok(None) };
    if known.plants.contains(plant) {
        return Ok(Some(Planted::Program(plant.clone())));
    }
    let of_evidence: Vec<_> = plants::ALL.iter().map(|plant| plant.name).collect();
    if of_evidence.contains(&&**plant) {
        return Ok(Some(Planted::Evidence(plant.clone())));
    }
    bail!(
        "no mistake is called `{plant}`. In the program: {}; in the evidence: {}",
        known.plants.join(" "),
        of_evidence.join(" ")
    )
}

fn built(root: &Path, options: &Options) -> Result<PathBuf> {
    if let Some(program) = &options.program {
        return Ok(program.clone());
    }
    let mut args = vec!["build", "--locked", "-p", "hookflow", "--features", "fault-points"];
    args.extend(options.release.then_some("--release"));
    build(root, &args)?;
    let profile = if options.release { "release" } else { "debug" };
    Ok(crate::bench::target(root)?.join(profile).join("hookflow"))
}

fn judge(root: &Path) -> Result<PathBuf> {
    build(root, &["build", "--locked", "-p", "xtask", "--example", "judge"])?;
    Ok(crate::bench::target(root)?.join("debug/examples/judge"))
}

fn build(root: &Path, args: &[&str]) -> Result<()> {
    let status = Command::new("cargo")
        .args(args)
        .arg("--quiet")
        .current_dir(root)
        .status()
        .context("cannot run cargo")?;
    if !status.success() {
        bail!("failed: cargo {}", args.join(" "));
    }
    Ok(())
}

/// Leaves the evidence for who wants to look at it.
fn keep(options: &Options, folder: &Path, round: u64) {
    let place = options.keep.clone().unwrap_or_else(|| std::env::temp_dir().join("hookflow-crash"));
    let place = place.join(format!("round-{round}"));
    let copied = std::fs::create_dir_all(&place)
        .and_then(|()| Command::new("cp").arg("-r").arg(folder.join(".")).arg(&place).status());
    if copied.is_ok_and(|status| status.success()) {
        println!("the evidence is in {}", place.display());
    }
}

fn report(killer: &Killer, rounds: u64) {
    println!("| killed | times |\n|---|---:|");
    for (point, hits) in &killer.hits {
        println!("| at `{point}` | {hits} |");
    }
    println!("| at random | {} |", killer.at_random);
    println!("| in all, in {rounds} rounds | {} |", killer.kills());
}

#[expect(clippy::disallowed_methods, reason = "every proof makes choices of its own")]
fn moment() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or_default()
}
