//! `set`: builds values.

use crate::lowering::{Lowering, ResultFields, StepNode};
use crate::plan::Instruction;
use crate::step_kind::{Asking, Example, StepKind};
use hookflow_text::Schema;
use std::sync::Arc;

pub(super) static KIND: StepKind = StepKind {
    verb: "set",
    summary: "Builds values under names of your own. The names within one `set` do not see each other.",
    result: "the map of the values",
    value: Schema::ANY_MAP,
    companions: &[],
    blocks: &[],
    asks: Asking::Nothing,
    example: Example {
        flow: r"
flow: totals
webhook:
  auth: none
  sample: {body: {items: [{qty: 2, price: 10}, {qty: 1, price: 5}]}}
steps:
  - id: order
    set:
      count: ${ webhook.body.items | length }
      first: ${ webhook.body.items[0].qty * webhook.body.items[0].price }
      note: order of ${ webhook.body.items | length } lines
  - respond: {json: '${ steps.order }'}
",
        mocks: &[],
        answer: (200, r#"{"count":2,"first":20,"note":"order of 2 lines"}"#),
    },
    lower,
};

fn lower(cx: &mut Lowering<'_>, step: &mut StepNode<'_>) -> Option<()> {
    let entries = step.value.as_map(cx.diagnostics)?;
    step.result = ResultFields::Known(entries.iter().map(|(name, _)| name.text().to_owned()).collect());
    let value = cx.template(step.value)?;
    cx.emit(Instruction::Eval { step: step.number, value: Arc::new(value) });
    Some(())
}
