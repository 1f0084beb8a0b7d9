//! `stop`: ends the run as succeeded.

use crate::lowering::{Lowering, StepNode};
use crate::plan::Instruction;
use crate::step_kind::{Asking, Example, StepKind};
use hookflow_text::Schema;

pub(super) static KIND: StepKind = StepKind {
    verb: "stop",
    summary: "Ends the run as succeeded. Its value is kept with the run.",
    result: "nothing: no step follows it",
    value: Schema::Any,
    companions: &[],
    blocks: &[],
    asks: Asking::Nothing,
    example: Example {
        flow: r"
flow: pings
webhook:
  auth: none
  sample: {body: {type: ping}}
steps:
  - if: webhook.body.type = 'ping'
    then:
      - respond: {json: {pong: true}}
      - stop: a ping
  - respond: {status: 201, json: {kept: true}}
",
        mocks: &[],
        answer: (200, r#"{"pong":true}"#),
    },
    lower,
};

fn lower(cx: &mut Lowering<'_>, step: &mut StepNode<'_>) -> Option<()> {
    let value = cx.template(step.value)?;
    cx.may_end(KIND.verb)?;
    cx.emit(Instruction::End { step: Some(step.number), value: Some(value) });
    Some(())
}
