//! `return`: ends the run as succeeded, with its value.

use crate::lowering::{Lowering, StepNode};
use crate::plan::Instruction;
use crate::step_kind::{Asking, Example, StepKind};
use hookflow_text::Schema;

pub(super) static KIND: StepKind = StepKind {
    verb: "return",
    summary: "Ends the run as succeeded with a value, which is the result of the `run` step that started the flow.",
    result: "nothing: no step follows it",
    value: Schema::Any,
    companions: &[],
    blocks: &[],
    asks: Asking::Nothing,
    example: Example {
        flow: r"
flow: price
webhook:
  auth: none
  sample: {body: {qty: 3, price: 20}}
steps:
  - id: total
    set: {sum: '${ webhook.body.qty * webhook.body.price }'}
  - respond: {json: '${ steps.total.sum }'}
  - return: {sum: '${ steps.total.sum }'}
",
        mocks: &[],
        answer: (200, "60"),
    },
    lower,
};

fn lower(cx: &mut Lowering<'_>, step: &mut StepNode<'_>) -> Option<()> {
    let value = cx.template(step.value)?;
    cx.may_end(KIND.verb)?;
    cx.emit(Instruction::End { step: Some(step.number), value: Some(value) });
    Some(())
}
