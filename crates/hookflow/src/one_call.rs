//! One call of an outbound webhook, outside of any flow that is served: its variables come from the command line, and a flow
//! of one step makes of them what any flow would.

use crate::project::{Project, with_deep_stack};
use crate::report;
use crate::terminal::Terminal;
use anyhow::{Context as _, bail};
use clap::{Arg, ArgAction, ArgMatches};
use hookflow_engine::assembled;
use hookflow_flow::{CallBody, End, Flow, HttpCall, Integration, Outcome, Start, Surroundings, rehearse};
use hookflow_runtime::{Chance, Clock};
use hookflow_text::{Diagnostics, Json, Source, nearest, parse};
use hookflow_trigger::{Event, Route};
use http::Request;
use serde_json::{Map, json};
use std::sync::Arc;

/// The flow, in the arguments' place.
const NAME: &str = "test-call";

/// A call, ready to be sent.
pub(crate) struct OneCall {
    pub(crate) integration: Arc<Integration>,
    pub(crate) call: HttpCall,
    /// With everything that its integration adds; secrets are marked as such.
    pub(crate) request: Request<CallBody>,
    /// Its variables came with it.
    pub(crate) event: Arc<Event>,
}

/// The webhook, and its variables.
pub(crate) fn args() -> [Arg; 2] {
    [
        Arg::new("webhook").value_name("INTEGRATION.WEBHOOK").help("The outbound webhook").required(true),
        Arg::new("with")
            .long("with")
            .value_name("NAME=VALUE")
            .help("A variable of its templates; the value is JSON when it can be read as that, else text")
            .action(ArgAction::Append),
    ]
}

impl OneCall {
    /// The call that the arguments ask for; or why there is none, which is then said.
    pub(crate) fn of(
        matches: &ArgMatches,
        project: &Project,
        terminal: &mut Terminal,
    ) -> anyhow::Result<Option<Self>> {
        let webhook = matches.get_one::<String>("webhook").map(String::as_str).unwrap_or_default();
        let mut with = Map::new();
        for written in matches.get_many::<String>("with").into_iter().flatten() {
            let Some((name, value)) = written.split_once('=') else {
                bail!("`--with {written}` is not `name=value`");
            };
            let value = serde_json::from_str(value).unwrap_or_else(|_| Json::String(value.to_owned()));
            with.insert(name.to_owned(), value);
        }
        let mut found = Diagnostics::default();
        let flow = with_deep_stack(|| flow(webhook, &with, project, &mut found))?;
        let integration = webhook.split_once('.').and_then(|(name, _)| project.integrations.get(name));
        let (Some(flow), Some(integration)) = (flow.filter(|_| !found.has_errors()), integration) else {
            // What is wrong with the integration itself comes first.
            let mut all = Diagnostics::default();
            all.extend(project.diagnostics.clone());
            all.extend(found);
            report::write(&all, terminal)?;
            return Ok(None);
        };
        if let Some(unread) = unread(integration, webhook, &with) {
            bail!("{unread}");
        }
        let made = with_deep_stack(|| make(&flow))??;
        let request = made.and_then(|(call, event)| {
            let request = assembled(&call, Some(integration))?;
            Ok(Self { integration: Arc::clone(integration), call, request, event })
        });
        match request {
            Ok(call) => Ok(Some(call)),
            Err(why) => {
                writeln!(terminal.err, "`{webhook}` cannot be called so: {why}")?;
                Ok(None)
            }
        }
    }
}

/// A flow that makes the call. The variables come with its event, so that nothing in them is evaluated.
fn flow(webhook: &str, with: &Map<String, Json>, project: &Project, found: &mut Diagnostics) -> Option<Flow> {
    let given =
        with.keys().map(|name| (name.clone(), Json::String(format!("${{ webhook.body['{name}'] }}"))));
    let document = json!({
        "flow": NAME,
        "webhook": {"auth": "none", "sample": {"body": with}},
        "steps": [{"id": "call", "call": webhook, "with": given.collect::<Map<_, _>>()}],
    });
    let root = parse(&Source::new("the arguments", document.to_string()), found)?;
    let surroundings = Surroundings {
        credentials: &project.credentials,
        integrations: &project.integrations,
        body_limit: project.config.public.limits.body,
        read_file: &|_| Err("there is none".into()),
    };
    Flow::load(&root, &surroundings, found)
}

/// A variable that the webhook does not read was probably meant to be another one.
fn unread(integration: &Integration, webhook: &str, with: &Map<String, Json>) -> Option<String> {
    let known = &integration.webhooks.get(webhook.split_once('.')?.1)?.variables;
    let unread = with.keys().find(|name| !known.contains(name))?;
    let near = nearest(unread, known.iter().map(String::as_str));
    let near = near.map(|near| format!(": did you mean `{near}`?"));
    Some(format!("`{webhook}` does not read `{unread}`{}", near.unwrap_or_default()))
}

/// What the flow would send.
fn make(flow: &Flow) -> anyhow::Result<Result<(HttpCall, Arc<Event>), String>> {
    let clock = Clock::system();
    let at = clock.now();
    let webhook = flow.webhook.as_ref().context("the flow has no webhook")?;
    let sample = webhook.sample.as_ref().map(|sample| sample.request.clone()).unwrap_or_default();
    let params = webhook.path.matches("").context("the flow has a path")?;
    let route = Route { flow: Arc::clone(&flow.id), suffix: String::new(), params, system: None };
    let event = Event::of_sample(sample, &webhook.body, route, "call", at, "http://localhost".into());
    let event = Arc::new(event.map_err(anyhow::Error::msg).context("the variables cannot be taken")?);
    let chance = Chance::system(clock);
    let start = Start {
        run: format!("test-{}", chance.uuid_v7()).into(),
        started_at: at,
        seed: chance.bytes(),
        event: Arc::clone(&event),
        attempt: 1,
        deadline: None,
    };
    let mut rehearsal = rehearse(flow, start, &mut |_, _| Outcome::Slept);
    Ok(match (rehearsal.calls.pop(), rehearsal.end) {
        (Some((_, call)), _) => Ok((call, event)),
        (None, Some(End::Failed(fault))) => Err(fault.message),
        (None, _) => Err("nothing would be sent".into()),
    })
}
