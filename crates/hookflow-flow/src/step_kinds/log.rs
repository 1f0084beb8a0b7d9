//! `log`: a line in the service's log.

use crate::lowering::{Lowering, StepNode};
use crate::plan::Instruction;
use crate::step_kind::{Asking, Example, StepKind, Stop, Tells};
use crate::{Effect, LogLevel, LogLine, Place};
use hookflow_expr::{Env, Escape, Template, Text};
use hookflow_text::{Json, Key, Schema};
use std::sync::Arc;

/// How much a line matters.
pub(crate) const LEVELS: &[&str] = &["debug", "info", "warn", "error"];

pub(super) static KIND: StepKind = StepKind {
    verb: "log",
    summary: "Writes a line into the service's log, with the flow, the run and the step.",
    result: "nothing",
    value: Schema::Text,
    companions: &[
        Key::may("level", Schema::Word(LEVELS), "debug, info, warn or error (info)"),
        Key::may("fields", Schema::ANY_MAP, "a map of further values"),
    ],
    blocks: &[],
    asks: Asking::Nothing,
    example: Example {
        flow: r"
flow: noted
webhook:
  auth: none
  sample: {body: {id: A-1}}
steps:
  - log: order ${ webhook.body.id } came in
    level: warn
    fields: {id: '${ webhook.body.id }'}
  - respond: {status: 204}
",
        mocks: &[],
        answer: (204, ""),
    },
    lower,
};

#[derive(Debug)]
struct Line {
    text: Text,
    level: LogLevel,
    fields: Option<Template>,
}

fn lower(cx: &mut Lowering<'_>, step: &mut StepNode<'_>) -> Option<()> {
    let text = cx.text(step.value, Escape::None);
    let level = step.fields.take("level");
    let level = level.map_or(Some("info"), |node| node.one_of(LEVELS, cx.diagnostics));
    let fields = match step.fields.take("fields") {
        None => None,
        Some(node) => {
            node.as_map(cx.diagnostics)?;
            Some(cx.template(node)?)
        }
    };
    let level = match level? {
        "debug" => LogLevel::Debug,
        "warn" => LogLevel::Warn,
        "error" => LogLevel::Error,
        _ => LogLevel::Info,
    };
    cx.emit(Instruction::Tell { step: step.number, telling: Arc::new(Line { text: text?, level, fields }) });
    Some(())
}

impl Tells for Line {
    fn tell(&self, env: &Env, step: &Arc<str>, _: &Place) -> Result<Effect, Stop> {
        let fields = match self.fields.as_ref().map(|fields| fields.eval(env)).transpose()? {
            Some(value) => match Arc::unwrap_or_clone(value) {
                Json::Object(map) => map,
                _ => serde_json::Map::new(),
            },
            None => serde_json::Map::new(),
        };
        let line = LogLine { level: self.level, text: self.text.eval(env)?, fields, step: Arc::clone(step) };
        Ok(Effect::Log(line))
    }
}
