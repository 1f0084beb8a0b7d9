//! `hookflow completions`: what a shell needs to complete the command line.

use crate::command::{Command, Verdict};
use crate::terminal::Terminal;
use anyhow::Context as _;
use clap::{Arg, ArgMatches, value_parser};
use clap_complete::Shell;

pub(super) static COMMAND: Command = Command {
    name: "completions",
    about: "Writes the completions for a shell",
    examples: "  hookflow completions bash > /etc/bash_completion.d/hookflow\n  \
               hookflow completions fish > ~/.config/fish/completions/hookflow.fish",
    args: |command| {
        command.arg(
            Arg::new("shell")
                .value_name("SHELL")
                .help("The shell")
                .required(true)
                .value_parser(value_parser!(Shell)),
        )
    },
    run,
};

fn run(matches: &ArgMatches, terminal: &mut Terminal) -> anyhow::Result<Verdict> {
    let shell = matches.get_one::<Shell>("shell").copied().context("no shell is named")?;
    // The generator panics when it cannot write, so it writes into memory.
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut super::cli(), "hookflow", &mut text);
    terminal.out.write_all(&text)?;
    Ok(Verdict::Holds)
}
