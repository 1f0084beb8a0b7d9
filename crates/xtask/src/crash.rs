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

use crate::judge::{SOUND, plants};
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

/// The mistakes that the program makes on demand, each with the rule that finds it.
const OF_THE_PROGRAM: &[(&str, &str)] = &[
    ("answer-too-early", "lost"),
    ("forget-claims", "one-end"),
    ("forget-deliveries", "delivered"),
    ("forget-order", "order"),
    ("forget-seeds", "same-id"),
    ("forget-what-left", "once"),
];

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
    // Copies, so that nobody builds others in their place.
    let (program, judge) = (workshop.path().join("hookflow"), workshop.path().join("judge"));
    std::fs::copy(built(root, &options)?, &program).context("there is no such program")?;
    std::fs::copy(built_judge(root, &options)?, &judge).context("there is no judge")?;
    let known = orders(&program)?;
    if known.points.is_empty() && options.built {
        bail!("the program that was built last has no fault points");
    }
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
    let (began, mut sound, mut found, mut rounds) = (now(), true, false, 0);
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
        let verdict = judged(&judge, folder.path())?;
        println!("{verdict}round {rounds}: {} kills, {:.0?}\n", killer.kills(), began.elapsed());
        sound = verdict.ends_with(SOUND);
        if !sound || options.keep.is_some() {
            keep(&options, folder.path(), rounds);
        }
        if let Some(planted) = &planted {
            found |= verdict.contains(&format!("[{}]", planted.rule()));
        }
        if !sound {
            break;
        }
    }
    report(&killer, rounds);
    if planted.is_some() {
        println!("The planted mistake was {}found.", if found { "" } else { "not " });
    }
    let holds = if planted.is_some() { found } else { sound };
    Ok(if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What the judge says of the evidence in a folder.
fn judged(judge: &Path, folder: &Path) -> Result<String> {
    let verdict = Command::new(judge).arg(folder).output().context("cannot run the judge")?;
    let said = String::from_utf8_lossy(&verdict.stdout).into_owned();
    if verdict.status.success() != said.ends_with(SOUND) {
        bail!("the judge failed: {said}{}", String::from_utf8_lossy(&verdict.stderr));
    }
    Ok(said)
}

/// A mistake that the judge has to find.
enum Planted {
    /// The program makes it.
    Program(String),
    /// The evidence is altered as if it had been made.
    Evidence(String),
}

impl Planted {
    /// The rule that finds it.
    fn rule(&self) -> &'static str {
        let rule = match self {
            Self::Program(name) => {
                OF_THE_PROGRAM.iter().find(|(plant, _)| plant == name).map(|(_, rule)| *rule)
            }
            Self::Evidence(name) => {
                plants::ALL.iter().find(|plant| plant.name == name).map(|plant| plant.rule)
            }
        };
        rule.unwrap_or("no rule")
    }
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
    if options.built {
        return Ok(crate::bench::target(root)?.join("debug/hookflow"));
    }
    let mut args = vec!["build", "--locked", "-p", "hookflow", "--features", "fault-points"];
    args.extend(options.release.then_some("--release"));
    build(root, &args)?;
    let profile = if options.release { "release" } else { "debug" };
    Ok(crate::bench::target(root)?.join(profile).join("hookflow"))
}

fn built_judge(root: &Path, options: &Options) -> Result<PathBuf> {
    if !options.built {
        build(root, &["build", "--locked", "-p", "xtask", "--example", "judge"])?;
    }
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
