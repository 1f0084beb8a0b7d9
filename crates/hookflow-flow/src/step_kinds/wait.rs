//! `wait`: a webhook in the middle of a run.

use crate::flow::fixed_reply;
use crate::lowering::{Lowering, ResultFields, StepNode};
use crate::plan::Instruction;
use crate::step_kind::{Asking, Asks, Example, StepKind, Stop};
use crate::written::{AUTH, FIXED_REPLY, METHODS};
use crate::{Ask, Effect, Fault, FaultKind, Outcome, Reply, Waiting};
use bytes::Bytes;
use hookflow_expr::Env;
use hookflow_text::{Code, Fields, Json, Key, MapSchema, Node, Schema};
use hookflow_trigger::{Auth, Methods};
use http::StatusCode;
use serde_json::json;
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

/// How long it waits unless the flow says otherwise.
const DEFAULT_TIMEOUT: Duration = Duration::from_hours(24);
/// The longest it may wait.
const LONGEST_TIMEOUT: Duration = Duration::from_hours(365 * 24);
/// What its result holds.
const RESULT: &[&str] = &["body", "headers", "query", "files", "method", "timed_out"];

/// What comes of a time in which nobody has called.
const ON_TIMEOUT: &[&str] = &["continue", "fail"];

/// What stands in its map.
static WAIT: MapSchema = MapSchema {
    name: "waiting",
    about: "What the run waits for.",
    keys: Cow::Borrowed(&[
        Key::must(
            "auth",
            AUTH,
            "who may call: a credential, a list of them (any passes), or `none`; required",
        ),
        Key::may("methods", METHODS, "the methods that wake it ([POST])"),
        Key::may("timeout", Schema::DURATION, "how long it waits (24h)"),
        Key::may("on_timeout", Schema::Word(ON_TIMEOUT), "`fail`, with kind `timeout`, or `continue` (fail)"),
        Key::may(
            "reply",
            Schema::Map(&FIXED_REPLY),
            "what the call is answered: a map of `status`, `headers`, `json` or `text`, without templates (200)",
        ),
    ]),
    rules: &[],
};

pub(super) static KIND: StepKind = StepKind {
    verb: "wait",
    summary: "Stops the run until its own URL is called. `wait_url('id')` gives that URL to any step, before it too; it holds a secret, so hand it to nobody but who shall call it.",
    result: "`{body, headers, query, files, method, timed_out}` of the call; all null but `timed_out` when nobody called in time and the flow goes on",
    value: Schema::Map(&WAIT),
    companions: &[],
    blocks: &[],
    asks: Asking::Waits,
    example: Example {
        flow: r#"
flow: approval
webhook:
  auth: none
  sample: {body: {order: A-1}}
steps:
  - id: ask
    http:
      method: POST
      url: https://chat.example/messages
      json: {text: 'Ship ${ webhook.body.order }?', answer_to: "${ wait_url('answer') }"}
  - id: answer
    wait:
      auth: none
      timeout: 2h
      on_timeout: continue
      reply: {status: 202, json: {message: thank you}}
  - respond: {json: {late: '${ steps.answer.timed_out }'}}
"#,
        mocks: &[("ask", 200, "{}")],
        answer: (200, r#"{"late":false}"#),
    },
    lower,
};

#[derive(Debug)]
struct Wait(Arc<Waiting>);

fn lower(cx: &mut Lowering<'_>, step: &mut StepNode<'_>) -> Option<()> {
    step.result = ResultFields::Known(RESULT.iter().map(|name| (*name).to_owned()).collect());
    let mut fields = Fields::of(step.value, "a `wait`", cx.diagnostics)?;
    let auth = fields
        .require("auth", cx.diagnostics)
        .and_then(|node| Auth::load(node, cx.surroundings.credentials, cx.diagnostics));
    let methods = match fields.take("methods") {
        Some(node) => Methods::load(node, cx.diagnostics),
        None => Some(Methods::default()),
    };
    let timeout = match fields.take("timeout") {
        Some(node) => read_timeout(cx, node),
        None => Some(DEFAULT_TIMEOUT),
    };
    let on_timeout = match fields.take("on_timeout") {
        Some(node) => node.one_of(ON_TIMEOUT, cx.diagnostics),
        None => Some("fail"),
    };
    let reply = match fields.take("reply") {
        Some(node) => fixed_reply(node, "a `reply`", 200, cx.diagnostics),
        None => Some(Reply { status: StatusCode::OK, headers: Vec::new(), body: Bytes::new() }),
    };
    fields.finish(cx.diagnostics);
    let waiting = Waiting {
        methods: methods?,
        auth: auth?,
        reply: reply?,
        timeout: timeout?,
        goes_on: on_timeout? == "continue",
    };
    cx.emit(Instruction::Ask { step: step.number, request: Arc::new(Wait(Arc::new(waiting))) });
    Some(())
}

fn read_timeout(cx: &mut Lowering<'_>, node: &Node) -> Option<Duration> {
    let timeout = node.as_duration(cx.diagnostics)?;
    if timeout.is_zero() || timeout > LONGEST_TIMEOUT {
        return node.mistyped("a duration above zero and up to 365 days", cx.diagnostics);
    }
    Some(timeout)
}

impl Asks for Wait {
    fn ask(&self, _: &Env, mut ask: Ask) -> Result<Effect, Stop> {
        let own = ask.at.checked_add(self.0.timeout).ok();
        ask.deadline = own.into_iter().chain(ask.deadline).min();
        Ok(Effect::Wait(ask, Arc::clone(&self.0)))
    }

    fn settle(&self, outcome: &Outcome, _: u32) -> (Json, Option<Fault>) {
        let nothing = |timed_out: bool| json!({"body": null, "headers": null, "query": null, "files": null, "method": null, "timed_out": timed_out});
        match outcome {
            Outcome::Resumed { method, headers, query, body, files } => {
                let result = json!({"body": body, "headers": headers, "query": query, "files": files, "method": method, "timed_out": false});
                (result, None)
            }
            Outcome::Failed { kind: FaultKind::Timeout, .. } => {
                let message = "nobody called its URL in time";
                let fault = Fault::new(FaultKind::Timeout, Code("step.wait.timeout"), message);
                (nothing(true), Some(fault).filter(|_| !self.0.goes_on))
            }
            Outcome::Failed { kind, message } => {
                (nothing(false), Some(Fault::new(*kind, Code("step.wait.ended"), message.clone())))
            }
            _ => (nothing(false), None),
        }
    }

    fn gives_way(&self) -> bool {
        true
    }

    fn waiting(&self) -> Option<&Arc<Waiting>> {
        Some(&self.0)
    }
}
