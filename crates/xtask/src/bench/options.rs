//! What the bench is asked for on the command line.

use super::scenes::{self, SCENES, Scene};
use anyhow::{Context as _, Result, bail};
use std::time::Duration;

const OPTIONS: &str = "
  --rounds N                 how often each is measured; default 5
  --seconds N                for how long each time; default 5
  --connections N            kept open at once; default 64
  --min-ratio X              exit 1 when a ratio of medians is below";

#[derive(Debug)]
pub(super) struct Options {
    pub(super) scenes: Vec<&'static Scene>,
    pub(super) rounds: usize,
    pub(super) duration: Duration,
    pub(super) connections: usize,
    pub(super) min_ratio: Option<f64>,
}

impl Options {
    pub(super) fn parse(args: &[&str]) -> Result<Self> {
        let mut options = Self {
            scenes: Vec::new(),
            rounds: 5,
            duration: Duration::from_secs(5),
            connections: 64,
            min_ratio: None,
        };
        let mut args = args.iter().copied();
        while let Some(name) = args.next() {
            if !name.starts_with('-') {
                let before = options.scenes.len();
                options.scenes.extend(scenes::named(name));
                if options.scenes.len() == before {
                    bail!("unknown scene {name}\n\n{}", usage());
                }
                continue;
            }
            let value = args.next().with_context(|| format!("{name} takes a value\n\n{}", usage()))?;
            match name {
                "--rounds" => options.rounds = count(name, value)?,
                "--seconds" => options.duration = Duration::from_secs(count(name, value)?.try_into()?),
                "--connections" => options.connections = count(name, value)?,
                "--min-ratio" => {
                    let ratio = value.parse().ok().filter(|ratio: &f64| ratio.is_finite());
                    options.min_ratio =
                        Some(ratio.with_context(|| format!("{name}: `{value}` is no number"))?);
                }
                _ => bail!("unknown option {name}\n\n{}", usage()),
            }
        }
        if options.scenes.is_empty() {
            bail!("no scene\n\n{}", usage());
        }
        Ok(options)
    }
}

pub(super) fn usage() -> String {
    let scenes = SCENES.iter().fold(String::new(), |text, scene| {
        let Scene { name, about, .. } = scene;
        text + &format!("  {name:<14} {about}\n")
    });
    format!(
        "cargo xtask bench <scene>... [options]; `durable` is every scene with this word in its name\n\n\
         {scenes}{OPTIONS}"
    )
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
        let options = Options::parse(&["flows", "durable", "--rounds", "3", "--min-ratio", "0.95"]).unwrap();
        let scenes: Vec<_> = options.scenes.iter().map(|scene| scene.name).collect();
        assert_eq!(scenes, ["flows", "async-durable", "sync-durable"]);
        assert_eq!((options.rounds, options.min_ratio), (3, Some(0.95)));
        for (bad, why) in [
            (&["--rounds"][..], "takes a value"),
            (&["--rounds", "0"], "no whole number"),
            (&["--min-ratio", "NaN"], "no number"),
            (&["moon"], "unknown scene"),
            (&["door", "--round", "1"], "unknown option"),
            (&["--rounds", "1"], "no scene"),
        ] {
            let message = Options::parse(bad).unwrap_err().to_string();
            assert!(message.contains(why), "{message}");
        }
    }
}
