//! What the proof is asked for on the command line.

use anyhow::{Context as _, Result, bail};
use std::path::PathBuf;

pub(super) const USAGE: &str = "\
cargo xtask crash [options]

  --kills N        how often the service is killed; default 12
  --round N        after so many kills everything is to end and is judged, on a new folder each; default 50
  --minutes N      begin no further round after so many minutes
  --callers N      how many send at once; default 4
  --seed N         the same choices again; what the machine does in between still differs
  --release        builds and kills the optimised program
  --built          kills the program that `cargo test --workspace --features hookflow/fault-points` has left
  --program PATH   kills this program: one built with the feature `fault-points`, or any for kills at random alone
  --plant NAME     plants a mistake, in the program or in the evidence; then the judge has to find it
  --keep PATH      leaves the evidence there";

#[derive(Debug, PartialEq)]
pub(super) struct Options {
    pub(super) kills: u64,
    pub(super) round: u64,
    pub(super) minutes: Option<u64>,
    pub(super) callers: usize,
    pub(super) seed: Option<u64>,
    pub(super) release: bool,
    pub(super) built: bool,
    pub(super) program: Option<PathBuf>,
    pub(super) plant: Option<String>,
    pub(super) keep: Option<PathBuf>,
}

impl Options {
    pub(super) fn parse(args: &[&str]) -> Result<Self> {
        let mut options = Self {
            kills: 12,
            round: 50,
            minutes: None,
            callers: 4,
            seed: None,
            release: false,
            built: false,
            program: None,
            plant: None,
            keep: None,
        };
        let mut args = args.iter().copied();
        while let Some(name) = args.next() {
            let flag = match name {
                "--release" => Some(&mut options.release),
                "--built" => Some(&mut options.built),
                _ => None,
            };
            if let Some(flag) = flag {
                *flag = true;
                continue;
            }
            let value = args.next().with_context(|| format!("{name} takes a value\n\n{USAGE}"))?;
            match name {
                "--kills" => options.kills = count(name, value)?,
                "--round" => options.round = count(name, value)?,
                "--minutes" => options.minutes = Some(count(name, value)?),
                "--callers" => options.callers = count(name, value)?.try_into()?,
                "--seed" => options.seed = Some(count(name, value)?),
                "--program" => options.program = Some(value.into()),
                "--plant" => options.plant = Some(value.to_owned()),
                "--keep" => options.keep = Some(value.into()),
                _ => bail!("unknown option {name}\n\n{USAGE}"),
            }
        }
        Ok(options)
    }
}

fn count(name: &str, value: &str) -> Result<u64> {
    let count = value.parse().ok().filter(|count| *count > 0);
    count.with_context(|| format!("{name}: `{value}` is no whole number above 0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_and_mistakes_are_named() {
        let options = Options::parse(&["--kills", "3", "--release", "--plant", "forget-order"]).unwrap();
        assert_eq!((options.kills, options.release, options.built), (3, true, false));
        assert_eq!(options.plant.as_deref(), Some("forget-order"));
        for (bad, why) in [
            (&["--kills"][..], "takes a value"),
            (&["--kills", "0"], "no whole number"),
            (&["--kill", "1"], "unknown option"),
        ] {
            let message = Options::parse(bad).unwrap_err().to_string();
            assert!(message.contains(why), "{message}");
        }
    }
}
