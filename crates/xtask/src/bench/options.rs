//! What the bench is asked for on the command line.

use anyhow::{Context as _, Result, bail};
use std::time::Duration;

pub(super) const USAGE: &str = "\
cargo xtask bench door [options]

  --scene bare|flows|noise   hookflow against a bare server (default), hookflow with many flows against
                             hookflow with one, or the bare server against itself: the error of this bench
  --flows N                  how many flows hookflow has loaded; default 1, in the scene `flows` 10000
  --rounds N                 how often each is measured; default 5
  --seconds N                for how long each time; default 5
  --connections N            kept open at once; default 64
  --min-ratio X              exit 1 when the ratio of the medians is below";

/// What stands against what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scene {
    Bare,
    Flows,
    Noise,
}

#[derive(Debug, PartialEq)]
pub(super) struct Options {
    pub(super) scene: Scene,
    pub(super) flows: Option<usize>,
    pub(super) rounds: usize,
    pub(super) duration: Duration,
    pub(super) connections: usize,
    pub(super) min_ratio: Option<f64>,
}

impl Options {
    pub(super) fn parse(args: &[&str]) -> Result<Self> {
        let mut options = Self {
            scene: Scene::Bare,
            flows: None,
            rounds: 5,
            duration: Duration::from_secs(5),
            connections: 64,
            min_ratio: None,
        };
        let mut args = args.iter().copied();
        while let Some(name) = args.next() {
            let value = args.next().with_context(|| format!("{name} takes a value\n\n{USAGE}"))?;
            match name {
                "--scene" => options.scene = scene(value)?,
                "--flows" => options.flows = Some(count(name, value)?),
                "--rounds" => options.rounds = count(name, value)?,
                "--seconds" => options.duration = Duration::from_secs(count(name, value)?.try_into()?),
                "--connections" => options.connections = count(name, value)?,
                "--min-ratio" => {
                    let ratio = value.parse().ok().filter(|ratio: &f64| ratio.is_finite());
                    options.min_ratio =
                        Some(ratio.with_context(|| format!("{name}: `{value}` is no number"))?);
                }
                _ => bail!("unknown option {name}\n\n{USAGE}"),
            }
        }
        Ok(options)
    }
}

fn scene(word: &str) -> Result<Scene> {
    Ok(match word {
        "bare" => Scene::Bare,
        "flows" => Scene::Flows,
        "noise" => Scene::Noise,
        _ => bail!("unknown scene {word}\n\n{USAGE}"),
    })
}

fn count(name: &str, value: &str) -> Result<usize> {
    let count = value.parse().ok().filter(|count| *count > 0);
    count.with_context(|| format!("{name}: `{value}` is no whole number above 0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_and_mistakes_are_named() {
        let options = Options::parse(&["--scene", "flows", "--rounds", "3", "--min-ratio", "0.95"]).unwrap();
        assert_eq!((options.scene, options.rounds, options.min_ratio), (Scene::Flows, 3, Some(0.95)));
        for (bad, why) in [
            (&["--rounds"][..], "takes a value"),
            (&["--rounds", "0"], "no whole number"),
            (&["--min-ratio", "NaN"], "no number"),
            (&["--scene", "moon"], "unknown scene"),
            (&["--round", "1"], "unknown option"),
        ] {
            let message = Options::parse(bad).unwrap_err().to_string();
            assert!(message.contains(why), "{message}");
        }
    }
}
