//! `hookflow resume`: has a flow of the running server go on that an operator has paused.

use crate::command::{Command, Format, Verdict, dir, dir_arg, format, format_arg};
use crate::project::{Project, SecretMode};
use crate::terminal::Terminal;
use crate::{ops_client, report};
use anyhow::bail;
use clap::{Arg, ArgMatches};
use hookflow_text::Json;
use serde_json::json;
use url::form_urlencoded::byte_serialize;

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
    let (config, diagnostics) = Project::read_service(dir(matches), &terminal.environment, SecretMode::Read)?;
    if diagnostics.has_errors() {
        report::write(&diagnostics, terminal)?;
        bail!("the configuration does not say where the server is");
    }
    let flow = matches.get_one::<String>("flow").map(String::as_str).unwrap_or_default();
    let in_path: String = byte_serialize(flow.as_bytes()).collect();
    let path = format!("/api/flows/{}/{verb}", in_path.replace('+', "%20"));
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
