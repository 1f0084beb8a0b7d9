//! `hookflow try`: runs a flow on its sample, without any network.

mod mocks;
mod show;

use crate::command::{Command, Format, Verdict, dir, dir_arg, format, format_arg};
use crate::outlets;
use crate::project::{LoadedFlow, Project, SecretMode, with_deep_stack};
use crate::report;
use crate::sample_request::SampleRequest;
use crate::terminal::Terminal;
use anyhow::{bail, ensure};
use clap::{Arg, ArgAction, ArgMatches};
use hookflow_flow::{End, Integrations, Rehearsal, Start, rehearse_in};
use hookflow_runtime::Clock;
use hookflow_text::nearest;
use mocks::Mocks;
use show::Trial;
use std::path::Path;
use std::sync::Arc;

pub(super) static COMMAND: Command = Command {
    name: "try",
    about: "Runs a flow on its sample, without any network, and shows what came of it",
    examples: "  hookflow try orders\n  \
               hookflow try orders --mock stock='{\"status\": 201, \"json\": {\"id\": \"E9\"}}'\n  \
               hookflow try orders --mock stock='{\"timeout\": true}' --format json",
    args: |command| {
        command
            .arg(Arg::new("flow").value_name("FLOW").help("The flow's ID").required(true))
            .arg(
                Arg::new("mock")
                    .long("mock")
                    .value_name("STEP=JSON")
                    .help("What a step's call is answered with: status, headers, json or text, or timeout; of a `wait` the call, of a `run` the value")
                    .action(ArgAction::Append),
            )
            .arg(dir_arg())
            .arg(format_arg())
    },
    run,
};

fn run(matches: &ArgMatches, terminal: &mut Terminal) -> anyhow::Result<Verdict> {
    let project = Project::load(dir(matches), &terminal.environment, SecretMode::Invent)?;
    let id = matches.get_one::<String>("flow").map(String::as_str).unwrap_or_default();
    let Some(loaded) = project.flow(id) else { return missing(&project, id, dir(matches), terminal) };
    let mut mocks = Mocks::default();
    for mock in matches.get_many::<String>("mock").into_iter().flatten() {
        let step = mocks.add(mock)?;
        let steps = || loaded.flow.plan.steps().iter().map(|step| &*step.name);
        if !steps().any(|name| name == step) {
            let near = nearest(&step, steps()).map(|near| format!(": did you mean `{near}`?"));
            bail!("the flow `{id}` has no step `{step}`{}", near.unwrap_or_default());
        }
    }
    let public = &project.config.public;
    let base_url = public.root(public.listen).into();
    let trial = with_deep_stack(|| try_out(loaded, &project.integrations, &base_url, &mut mocks))?;
    let trial = match trial {
        Ok(trial) => trial,
        Err(why) => {
            writeln!(terminal.err, "hookflow try: the sample is refused: {why}")?;
            return Ok(Verdict::DoesNot);
        }
    };
    match format(matches) {
        Format::Text => write!(terminal.out, "{}", trial.to_text())?,
        Format::Json => writeln!(terminal.out, "{:#}", trial.to_json())?,
    }
    let holds = matches!(trial.rehearsal.end, Some(End::Succeeded(_)));
    Ok(if holds { Verdict::Holds } else { Verdict::DoesNot })
}

/// Why a flow is not there: it has mistakes, or nobody wrote it.
fn missing(project: &Project, id: &str, folder: &Path, terminal: &mut Terminal) -> anyhow::Result<Verdict> {
    report::write(&project.diagnostics, terminal)?;
    ensure!(!project.diagnostics.has_errors(), "there is no sound flow `{id}` in `{}`", folder.display());
    let near = project.nearest_flow(id).map(|near| format!(": did you mean `{near}`?"));
    bail!("there is no flow `{id}` in `{}`{}", folder.display(), near.unwrap_or_default())
}

fn try_out(
    loaded: &LoadedFlow,
    integrations: &Integrations,
    base_url: &Arc<str>,
    mocks: &mut Mocks,
) -> Result<Trial, String> {
    let flow = &loaded.flow;
    let at = Clock::system().now();
    let request = SampleRequest::of(flow, at, base_url)?;
    // Chance stands still, so that two trials can be compared.
    let start = Start {
        run: "try".into(),
        started_at: at,
        seed: [0; 16],
        event: Arc::new(request.event.clone()),
        attempt: 1,
        deadline: None,
    };
    let mut rehearsal: Rehearsal = rehearse_in(flow, start, mocks);
    for (_, call) in &mut rehearsal.calls {
        outlets::complete(call, integrations);
    }
    Ok(Trial { flow: Arc::clone(flow), request, rehearsal, unmocked: mocks.unmocked() })
}
