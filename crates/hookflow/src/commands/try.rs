//! `hookflow try`: runs a flow on one request, on the engine that serves, and shows how it went.

mod mocks;
mod request;
mod show;

use crate::assembly;
use crate::command::{Command, Format, Verdict, dir, dir_arg, format, format_arg, switch};
use crate::project::{Project, SecretMode, with_deep_stack};
use crate::report;
use crate::rig::{Play, Rig, Unmocked};
use crate::terminal::Terminal;
use anyhow::{bail, ensure};
use clap::{Arg, ArgAction, ArgMatches, value_parser};
use hookflow_flow::{Enabled, End};
use hookflow_runtime::Clock;
use show::Trial;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(super) static COMMAND: Command = Command {
    name: "try",
    about: "Runs a flow on its sample or a recorded request, and shows each step and why it went where it did",
    examples: "  hookflow try orders\n  \
               hookflow try orders --request request.json\n  \
               hookflow try orders --mock stock='{\"status\": 201, \"json\": {\"id\": \"E9\"}}'\n  \
               hookflow try orders --mock stock='[{\"timeout\": true}, {\"status\": 200}]' --format json\n  \
               hookflow try orders --live",
    args: |command| {
        command
            .arg(Arg::new("flow").value_name("FLOW").help("The flow's ID").required(true))
            .arg(
                Arg::new("request")
                    .long("request")
                    .value_name("FILE")
                    .help("Instead of the sample: {method, url, headers: [[name, value]], body, body_encoding: utf8|base64} in JSON")
                    .value_parser(value_parser!(PathBuf)),
            )
            .arg(
                Arg::new("mock")
                    .long("mock")
                    .value_name("STEP=MOCK")
                    .help("What comes of a step's tries, as in `mocks` of a test: of a call its answer, of a `wait` the call, of a `run` the value")
                    .action(ArgAction::Append),
            )
            .arg(switch("live", "Make the calls that have no mock, with the real secrets"))
            .arg(dir_arg())
            .arg(format_arg())
    },
    run,
};

fn run(matches: &ArgMatches, terminal: &mut Terminal) -> anyhow::Result<Verdict> {
    let is_live = matches.get_flag("live");
    let secrets = if is_live { SecretMode::Read } else { SecretMode::Invent };
    let mut project = Project::load(dir(matches), &terminal.environment, secrets)?;
    if is_live && project.diagnostics.has_errors() {
        // What calls go by may be among the mistakes.
        report::write(&project.diagnostics, terminal)?;
        return Ok(Verdict::DoesNot);
    }
    let id = matches.get_one::<String>("flow").map(String::as_str).unwrap_or_default();
    let Some(was) = switch_on(&mut project, id) else { return missing(&project, id, dir(matches), terminal) };
    let Some(flow) = project.flow(id).map(|loaded| Arc::clone(&loaded.flow)) else {
        return missing(&project, id, dir(matches), terminal);
    };
    let mut mocks = Vec::new();
    for mock in matches.get_many::<String>("mock").into_iter().flatten() {
        mocks.push(mocks::read(mock, &flow, &project)?);
    }
    let config = &project.config;
    let unmocked = if is_live {
        Unmocked::Made(Box::new(assembly::policy(config, config.public.listen, config.ops.listen)))
    } else {
        Unmocked::Ends
    };
    let at = Clock::system().now();
    let request = match matches.get_one::<PathBuf>("request") {
        Some(path) => request::recorded(path, &flow, &config.public.root(config.public.listen).into(), at)?,
        None => request::sample(&flow),
    };
    let play = Play { flow: &flow, at, request: &request, mocks: &mocks, unmocked };
    let ran = with_deep_stack(|| Rig::new(&project).play(&play))??;
    let mocked = mocks.iter().map(|(step, _)| Arc::clone(step)).collect();
    let trial = Trial { flow: &flow, was, is_live, integrations: &project.integrations, mocked, ran };
    match format(matches) {
        Format::Text => write!(terminal.out, "{}", trial.to_text())?,
        Format::Json => writeln!(terminal.out, "{:#}", trial.to_json())?,
    }
    let ended = trial.ran.own.as_ref().and_then(|own| own.ended.as_ref());
    let holds = ended.is_some_and(|ended| matches!(*ended.end, End::Succeeded(_)));
    Ok(if holds && trial.ran.problems.is_empty() { Verdict::Holds } else { Verdict::DoesNot })
}

/// Who tries a flow has it run, though its file may say that it rests. Returns what the file says; `None`: there is no such flow.
fn switch_on(project: &mut Project, id: &str) -> Option<Enabled> {
    let loaded = project.flows.iter_mut().find(|loaded| &*loaded.flow.id == id)?;
    let was = loaded.flow.enabled;
    if let Some(flow) = Arc::get_mut(&mut loaded.flow) {
        flow.enabled = Enabled::Yes;
    }
    Some(was)
}

/// Why a flow is not there: it has mistakes, or nobody wrote it.
fn missing(project: &Project, id: &str, folder: &Path, terminal: &mut Terminal) -> anyhow::Result<Verdict> {
    report::write(&project.diagnostics, terminal)?;
    ensure!(!project.diagnostics.has_errors(), "there is no sound flow `{id}` in `{}`", folder.display());
    let near = project.nearest_flow(id).map(|near| format!(": did you mean `{near}`?"));
    bail!("there is no flow `{id}` in `{}`{}", folder.display(), near.unwrap_or_default())
}
