//! `hookflow resume`: has a flow of the running server go on that an operator has paused.

use crate::command::{Command, Format, Verdict, dir_arg, format, format_arg, text};
use crate::kept::server_config;
use crate::ops_client;
use crate::terminal::Terminal;
use clap::{Arg, ArgMatches};
use hookflow_text::Json;
use serde_json::json;

pub(super) static COMMAND: Command = Command {
    name: "resume",
    about: "Has a flow of the running server go on that `hookflow pause` has paused",
    examples: "  hookflow resume orders\n  hookflow resume orders --format json",
    args: arguments,
    run,
};

fn run(matches: &ArgMatches, terminal: &mut Terminal) -> anyhow::Result<Verdict> {
    change(matches, terminal, "resume", |flow, paused| match paused {
        Some(_) => {
            let still = "its file still does: `enabled: paused`";
            (format!("No operator pauses the flow {flow} any more, but {still}."), Verdict::DoesNot)
        }
        None => (format!("The flow {flow} goes on."), Verdict::Holds),
    })
}

pub(super) fn arguments(command: clap::Command) -> clap::Command {
    let flow = Arg::new("flow").value_name("FLOW").help("The flow's ID").required(true);
    command.arg(flow).arg(dir_arg()).arg(format_arg())
}

/// Has the running server pause a flow or go on with it; `told` is told the flow and who pauses it then.
pub(super) fn change(
    matches: &ArgMatches,
    terminal: &mut Terminal,
    verb: &str,
    told: impl FnOnce(&str, Option<&str>) -> (String, Verdict),
) -> anyhow::Result<Verdict> {
    let config = server_config(matches, terminal)?;
    let flow = text(matches, "flow").unwrap_or_default();
    let path = ops_client::path("flows", flow, &format!("/{verb}"));
    let answer = match ops_client::post(&config.ops, &path, &json!({}))?.judge() {
        Ok(answer) => answer,
        Err(why) => {
            writeln!(terminal.err, "hookflow {verb}: {why}")?;
            return Ok(Verdict::DoesNot);
        }
    };
    let (text, verdict) = told(flow, answer.get("paused").and_then(Json::as_str));
    match format(matches) {
        Format::Text => writeln!(terminal.out, "{text}")?,
        Format::Json => writeln!(terminal.out, "{answer:#}")?,
    }
    Ok(verdict)
}
