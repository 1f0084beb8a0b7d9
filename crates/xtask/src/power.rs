//! `cargo xtask power`: the long form of a test, on the real program. Its short form runs with the other tests.

use anyhow::{Context as _, Result, bail};
use std::path::Path;
use std::process::{Command, ExitCode};

const USAGE: &str = "\
cargo xtask power [options]

  --cuts N   how often the power goes; default 100, each takes about a second
  --seed N   where chance begins; default 1";
const TEST: &[&str] = &[
    "test",
    "--locked",
    "-p",
    "hookflow",
    "--test",
    "e2e",
    "--",
    "--ignored",
    "--exact",
    "e2e::power::many_cuts",
    "--nocapture",
];

/// Runs it with the options of the command line.
///
/// # Errors
/// When cargo cannot be run, or an option is not understood. A promise that was broken is an exit code.
pub fn run(root: &Path, options: &[&str]) -> Result<ExitCode> {
    if options.contains(&"--help") {
        println!("{USAGE}");
        return Ok(ExitCode::SUCCESS);
    }
    let variables = variables(options)?;
    let status = Command::new("cargo").args(TEST).envs(variables).current_dir(root).status();
    let status = status.context("cannot run cargo")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What the test reads.
fn variables<'o>(options: &[&'o str]) -> Result<Vec<(&'static str, &'o str)>> {
    let mut variables = Vec::new();
    let mut options = options.iter().copied();
    while let Some(name) = options.next() {
        let variable = match name {
            "--cuts" => "HOOKFLOW_CUTS",
            "--seed" => "HOOKFLOW_SEED",
            _ => bail!("unknown option {name}\n\n{USAGE}"),
        };
        let value = options.next().with_context(|| format!("{name} takes a value\n\n{USAGE}"))?;
        if !value.parse::<u64>().is_ok_and(|number| number > 0) {
            bail!("{name}: `{value}` is no whole number above 0");
        }
        variables.push((variable, value));
    }
    Ok(variables)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_and_mistakes_are_named() {
        let expected = vec![("HOOKFLOW_CUTS", "7"), ("HOOKFLOW_SEED", "3")];
        assert_eq!(variables(&["--cuts", "7", "--seed", "3"]).unwrap(), expected);
        for (bad, why) in [
            (&["--cuts"][..], "takes a value"),
            (&["--cuts", "0"], "no whole number"),
            (&["--power", "1"], "unknown option"),
        ] {
            let message = variables(bad).unwrap_err().to_string();
            assert!(message.contains(why), "{message}");
        }
    }
}
