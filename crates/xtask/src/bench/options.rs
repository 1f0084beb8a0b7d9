//! What the bench is asked for on the command line.

use super::scenes::{self, SCENES, Scene};
use anyhow::{Context as _, Result, bail};
use std::path::PathBuf;
use std::time::Duration;

const OPTIONS: &str = "
  --rounds N                 how often each is measured; default 5
  --seconds N                for how long each time; default 5
  --connections N            kept open at once; default 64
  --times N                  runs all of it so often, and fails unless each target is reached each time; default 1
  --markdown FILE            targets and all servers, as tables
  --json FILE                what was measured, as JSON
  --svg FILE                 the ratios, as a picture";

#[derive(Debug)]
pub(super) struct Options {
    pub(super) scenes: Vec<&'static Scene>,
    /// Besides: what is taken when nothing happens.
    pub(super) figures: bool,
    pub(super) rounds: usize,
    pub(super) duration: Duration,
    pub(super) connections: usize,
    pub(super) times: usize,
    pub(super) markdown: Option<PathBuf>,
    pub(super) json: Option<PathBuf>,
    pub(super) svg: Option<PathBuf>,
}

impl Options {
    pub(super) fn parse(args: &[&str]) -> Result<Self> {
        let mut options = Self {
            scenes: Vec::new(),
            figures: false,
            rounds: 5,
            duration: Duration::from_secs(5),
            connections: 64,
            times: 1,
            markdown: None,
            json: None,
            svg: None,
        };
        let mut args = args.iter().copied();
        while let Some(name) = args.next() {
            if name == "all" {
                options.scenes.extend(SCENES);
            }
            if matches!(name, "all" | "figures") {
                options.figures = true;
                continue;
            }
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
                "--times" => options.times = count(name, value)?,
                "--markdown" => options.markdown = Some(value.into()),
                "--json" => options.json = Some(value.into()),
                "--svg" => options.svg = Some(value.into()),
                _ => bail!("unknown option {name}\n\n{}", usage()),
            }
        }
        if options.scenes.is_empty() && !options.figures {
            bail!("no scene\n\n{}", usage());
        }
        Ok(options)
    }
}

pub(super) fn usage() -> String {
    let scenes = SCENES.iter().fold(String::new(), |text, scene| {
        let Scene { name, about, .. } = scene;
        text + &format!("  {name:<15} {about}\n")
    });
    format!(
        "cargo xtask bench <scene>... [options]; `durable` is every scene with this word in its name, `all` is all\n\n\
         {scenes}  figures         memory and processor time when idle, memory of each flow, connection, queued event and waiting run\n{OPTIONS}"
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
        let options =
            Options::parse(&["flows", "durable", "--rounds", "3", "--svg", "x.svg", "--times", "2"]).unwrap();
        let scenes: Vec<_> = options.scenes.iter().map(|scene| scene.name).collect();
        assert_eq!(scenes, ["flows", "async-durable", "by-hand-durable", "sync-durable"]);
        assert_eq!(Options::parse(&["all"]).unwrap().scenes.len(), SCENES.len());
        assert_eq!((options.rounds, options.times, options.svg), (3, 2, Some("x.svg".into())));
        for (bad, why) in [
            (&["--rounds"][..], "takes a value"),
            (&["--rounds", "0"], "no whole number"),
            (&["--svg"], "takes a value"),
            (&["moon"], "unknown scene"),
            (&["door", "--round", "1"], "unknown option"),
            (&["--rounds", "1"], "no scene"),
        ] {
            let message = Options::parse(bad).unwrap_err().to_string();
            assert!(message.contains(why), "{message}");
        }
    }
}
