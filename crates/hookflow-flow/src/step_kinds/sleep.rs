//! `sleep`: a pause.

use crate::lowering::{Lowering, StepNode};
use crate::plan::Instruction;
use crate::step_kind::{Asking, Asks, Example, StepKind, Stop};
use crate::{Ask, Effect, Fault, FaultKind, Outcome};
use hookflow_expr::{Env, Escape, Text};
use hookflow_text::{Code, Json, Schema, parse_duration};
use std::sync::Arc;
use std::time::Duration;

/// The longest sleep.
const LONGEST: Duration = Duration::from_hours(365 * 24);

pub(super) static KIND: StepKind = StepKind {
    verb: "sleep",
    summary: "Pauses for a duration such as `500ms`, `5s`, `2m`, `24h` or `30d` (at most 365 days), counted from the outcome of the last step that asked the outside for something.",
    result: "nothing",
    value: Schema::Text,
    companions: &[],
    blocks: &[],
    asks: Asking::Once,
    example: Example {
        flow: r"
flow: later
webhook:
  auth: none
  sample: {body: {wait: 2m}}
steps:
  - sleep: ${ webhook.body.wait }
  - sleep: 5s
  - respond: {status: 204}
",
        mocks: &[],
        answer: (204, ""),
    },
    lower,
};

#[derive(Debug)]
struct Sleep(Text);

fn lower(cx: &mut Lowering<'_>, step: &mut StepNode<'_>) -> Option<()> {
    let text = cx.text(step.value, Escape::None)?;
    if let Some(constant) = text.constant()
        && duration(constant).is_err()
    {
        let expected = "a duration such as `500ms`, `5s`, `2m`, `24h` or `30d`, at most 365 days";
        return step.value.mistyped(expected, cx.diagnostics);
    }
    cx.emit(Instruction::Ask { step: step.number, request: Arc::new(Sleep(text)) });
    Some(())
}

fn duration(text: &str) -> Result<Duration, String> {
    let duration = parse_duration(text.trim())?;
    if duration > LONGEST { Err(format!("`{text}` is longer than 365 days")) } else { Ok(duration) }
}

impl Asks for Sleep {
    fn ask(&self, env: &Env, mut ask: Ask) -> Result<Effect, Stop> {
        let fault = |why| Fault::new(FaultKind::Expression, Code("step.sleep.duration"), why);
        let pause = duration(&self.0.eval(env)?).map_err(fault)?;
        let due = ask.at.checked_add(pause);
        ask.not_before = Some(due.map_err(|_| fault("it would end after the end of time".into()))?);
        Ok(Effect::Sleep(ask))
    }

    fn settle(&self, outcome: &Outcome, _: u32) -> (Json, Option<Fault>) {
        match outcome {
            Outcome::Failed { kind, message } => {
                (Json::Null, Some(Fault::new(*kind, Code("step.sleep.ended"), message.clone())))
            }
            _ => (Json::Null, None),
        }
    }

    fn gives_way(&self) -> bool {
        true
    }
}
