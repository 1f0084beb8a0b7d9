//! `hookflow runs`: what ran, what became of it, and doing it again.
//!
//! Looking reads the store itself, beside a running server or without one; changing goes through the ops listener of the
//! running server.

mod change;
mod list;
mod show;

pub(super) use list::columns;
pub(super) use show::{plain, short};

use crate::command::{Command, Verdict, dir_arg, format_arg, word};
use crate::kept::{list_args, server_arg};
use crate::terminal::Terminal;
use clap::{Arg, ArgMatches};

pub(super) static COMMAND: Command = Command {
    name: "runs",
    about: "Lists and shows runs, runs their events again, cancels and erases them",
    examples: "  hookflow runs --flow orders --status failed --since 2h\n  hookflow runs show ID\n  \
               hookflow runs replay ID --from stock\n  \
               hookflow runs replay --flow orders --status failed --since 1d --dry-run\n  \
               hookflow runs cancel ID\n  hookflow runs erase --flow orders --key A-7",
    args: |command| {
        let show = clap::Command::new("show")
            .about("Shows a run: its request, what went in and out of each step, its answer and its end")
            .arg(run_arg().required(true))
            .arg(server_arg());
        let replay = clap::Command::new("replay")
            .about("Runs the event of a run again, or those of all runs that the filters leave")
            .arg(run_arg().conflicts_with_all(FILTERS))
            .args(filters())
            .arg(word("from", "STEP", "Take over what came of the steps before this one").requires("run"))
            .arg(
                word("version", "VERSION", "On the flow in force, or on the version that the run was on")
                    .default_value("latest")
                    .value_parser(["latest", "same"]),
            )
            .arg(crate::command::switch("dry-run", "Only count the runs").conflicts_with("run"))
            .arg(word("rate", "RATE", "At most so many, such as 10/s").conflicts_with("run"))
            .arg(word("before", "CURSOR", "Go on where a former one has stopped").conflicts_with("run"));
        let cancel = clap::Command::new("cancel").about("Asks a run to end").arg(run_arg().required(true));
        let erase = clap::Command::new("erase")
            .about("Forgets the ended runs of a flow before their time")
            .arg(word("flow", "FLOW", "The flow").required(true))
            .arg(word("key", "KEY", "Only those with this order or dedupe key"));
        let own = [show, replay, cancel, erase].map(|command| command.arg(dir_arg()).arg(format_arg()));
        command
            .args(filters())
            .args(list_args("50", 65_535))
            .arg(dir_arg())
            .arg(format_arg())
            .args_conflicts_with_subcommands(true)
            .subcommands(own)
    },
    run,
};

/// What narrows a list of runs.
const FILTERS: [&str; 5] = ["flow", "status", "since", "until", "search"];

fn filters() -> [Arg; 5] {
    [
        word("flow", "FLOW", "Only those of this flow"),
        word("status", "STATUS", "Only those that are running, waiting, succeeded or failed"),
        word("since", "WHEN", "Only those that came then or later: a moment, or `2h` ago"),
        word("until", "WHEN", "Only those that came before"),
        word("search", "TEXT", "Only those with this text in their ID or their request"),
    ]
}

fn run_arg() -> Arg {
    Arg::new("run").value_name("ID").help("The run's ID")
}

fn run(matches: &ArgMatches, terminal: &mut Terminal) -> anyhow::Result<Verdict> {
    match matches.subcommand() {
        Some(("show", matches)) => show::run(matches, terminal),
        Some(("cancel", matches)) => change::cancel(matches, terminal),
        Some(("erase", matches)) => change::erase(matches, terminal),
        Some((_, matches)) => change::replay(matches, terminal),
        None => list::run(matches, terminal),
    }
}

/// Says why something does not hold.
fn refused(why: &str, terminal: &mut Terminal) -> anyhow::Result<Verdict> {
    writeln!(terminal.err, "hookflow runs: {why}")?;
    Ok(Verdict::DoesNot)
}
