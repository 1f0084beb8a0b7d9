//! `hookflow runs`: what ran, what became of it, and doing it again.
//!
//! Looking reads the store itself, beside a running server or without one; changing goes through the ops listener of the
//! running server.

mod change;
mod list;
mod show;

pub(super) use list::columns;
pub(super) use show::{plain, short};

use crate::command::{Command, Verdict, dir, dir_arg, format_arg};
use crate::config::Config;
use crate::kept::server_arg;
use crate::project::{Project, SecretMode};
use crate::report;
use crate::terminal::Terminal;
use anyhow::bail;
use clap::{Arg, ArgMatches, value_parser};

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
            .arg(
                Arg::new("limit")
                    .long("limit")
                    .value_name("NUMBER")
                    .help("How many at most")
                    .default_value("50")
                    .value_parser(value_parser!(u16).range(1..)),
            )
            .arg(word("before", "CURSOR", "The next page of a former list"))
            .arg(server_arg())
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

fn word(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).value_name(value).help(help)
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

/// The configuration, which says where the server is.
fn config(matches: &ArgMatches, terminal: &mut Terminal) -> anyhow::Result<Config> {
    let (config, diagnostics) = Project::read_service(dir(matches), &terminal.environment, SecretMode::Read)?;
    if diagnostics.has_errors() {
        report::write(&diagnostics, terminal)?;
        bail!("the configuration does not say where the server is");
    }
    Ok(config)
}

fn text<'m>(matches: &'m ArgMatches, name: &str) -> Option<&'m str> {
    matches.get_one::<String>(name).map(String::as_str)
}

/// Says why something does not hold.
fn refused(why: &str, terminal: &mut Terminal) -> anyhow::Result<Verdict> {
    writeln!(terminal.err, "hookflow runs: {why}")?;
    Ok(Verdict::DoesNot)
}
