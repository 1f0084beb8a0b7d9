//! `cargo xtask test`: the one command that says whether a change may go in. The first step that fails ends it.

use anyhow::{Context as _, Result, bail};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

/// A command that has to be there, and how to get it.
struct Tool {
    probe: &'static [&'static str],
    install: &'static [&'static [&'static str]],
}

const TOOLS: &[Tool] = &[
    Tool { probe: &["cargo", "fmt", "--version"], install: &[&["rustup", "component", "add", "rustfmt"]] },
    Tool { probe: &["cargo", "clippy", "--version"], install: &[&["rustup", "component", "add", "clippy"]] },
    // For the C in ring.
    Tool {
        probe: &["cc", "--version"],
        install: &[&["apt-get", "update"], &["apt-get", "install", "-y", "gcc", "libc6-dev"]],
    },
    // Counts instructions.
    Tool {
        probe: &["valgrind", "--version"],
        install: &[&["apt-get", "update"], &["apt-get", "install", "-y", "valgrind", "libc6-dbg"]],
    },
];

/// What is tested can also be killed; nothing of it is in what is shipped.
const FAULT_POINTS: &str = "hookflow/fault-points";

const STEPS: &[&[&str]] = &[
    &["cargo", "fmt", "--all", "--check"],
    &[
        "cargo",
        "clippy",
        "--workspace",
        "--all-targets",
        "--features",
        FAULT_POINTS,
        "--locked",
        "--",
        "-D",
        "warnings",
    ],
    &["cargo", "test", "--workspace", "--features", FAULT_POINTS, "--locked"],
    // The short form of the proof, on what the tests have built.
    &["cargo", "xtask", "crash", "--built", "--kills", "12"],
    &["cargo", "xtask", "instructions", "--built"],
];

/// Runs every step in `root`.
///
/// # Errors
/// When a tool is missing and cannot be installed.
pub fn run(root: &Path) -> Result<ExitCode> {
    for tool in TOOLS {
        tool.provide()?;
    }
    for step in STEPS {
        if !perform(root, step)? {
            println!("==> failed: {}", step.join(" "));
            return Ok(ExitCode::FAILURE);
        }
    }
    Ok(ExitCode::SUCCESS)
}

impl Tool {
    /// Installs it when it is missing; where that is not ours to do, says exactly what to run.
    fn provide(&self) -> Result<()> {
        if answers(self.probe) {
            return Ok(());
        }
        let name =
            self.probe.iter().take_while(|word| **word != "--version").copied().collect::<Vec<_>>().join(" ");
        let commands = self.install.iter().map(|words| words.join(" ")).collect::<Vec<_>>().join(" && ");
        if self.may_install() {
            for words in self.install {
                if !perform(Path::new("."), words)? {
                    break;
                }
            }
        }
        if !answers(self.probe) {
            bail!("`{name}` is missing; install it with: {commands}");
        }
        Ok(())
    }

    /// rustup writes into the home folder; apt-get needs root.
    fn may_install(&self) -> bool {
        let Some(program) = self.install.first().and_then(|words| words.first()) else {
            return false;
        };
        answers(&[program, "--version"]) && (*program != "apt-get" || is_root())
    }
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

/// Whether a command can be run and succeeds, without its output.
fn answers(words: &[&str]) -> bool {
    command(words).is_some_and(|mut command| {
        command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
    })
}

/// Says what it runs, runs it, and says whether it succeeded.
fn perform(root: &Path, words: &[&str]) -> Result<bool> {
    println!("==> {}", words.join(" "));
    let mut command = command(words).context("an empty command")?;
    let status =
        command.current_dir(root).status().with_context(|| format!("cannot run {}", words.join(" ")))?;
    Ok(status.success())
}

fn command(words: &[&str]) -> Option<Command> {
    let (program, args) = words.split_first()?;
    let mut command = Command::new(program);
    command.args(args);
    Some(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_tool_says_what_to_install() {
        let there = Tool { probe: &["cargo", "--version"], install: &[] };
        assert!(there.provide().is_ok());
        let missing = Tool {
            probe: &["no-such-tool", "--version"],
            install: &[&["no-such-installer", "update"], &["no-such-installer", "add", "it"]],
        };
        assert_eq!(
            missing.provide().unwrap_err().to_string(),
            "`no-such-tool` is missing; install it with: no-such-installer update && no-such-installer add it"
        );
    }

    #[test]
    fn a_failing_step_is_told_from_a_good_one() {
        assert!(perform(Path::new("."), &["cargo", "--version"]).unwrap());
        assert!(!perform(Path::new("."), &["false"]).unwrap());
        assert!(perform(Path::new("."), &["no-such-program"]).is_err());
    }
}
