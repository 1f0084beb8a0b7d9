//! `hookflow pause`: has the running server hold a flow's events, or refuse them where callers wait.

use super::resume::{arguments, change};
use crate::command::{Command, Verdict};
use crate::terminal::Terminal;
use clap::ArgMatches;

pub(super) static COMMAND: Command = Command {
    name: "pause",
    about: "Pauses a flow of the running server until `hookflow resume`, across restarts and reloads",
    examples: "  hookflow pause orders\n  hookflow pause orders --dir shop",
    args: arguments,
    run,
};

fn run(matches: &ArgMatches, terminal: &mut Terminal) -> anyhow::Result<Verdict> {
    change(matches, terminal, "pause", |flow, _| {
        (format!("The flow {flow} is paused; `hookflow resume {flow}` has it go on."), Verdict::Holds)
    })
}
