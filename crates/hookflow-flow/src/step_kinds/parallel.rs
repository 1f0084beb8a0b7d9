//! `parallel`: branches side by side.

use crate::lowering::{Lowering, StepNode};
use crate::plan::{Instruction, Over};
use crate::step_kind::{Asking, Example, StepKind};
use crate::written::STEPS;
use hookflow_text::{Code, Schema};

/// The most branches side by side.
const MOST_BRANCHES: usize = 100;

pub(super) static KIND: StepKind = StepKind {
    verb: "parallel",
    summary: "Runs branches side by side, each a list of steps under a name, and waits for all of them. A branch does not see the steps of another; what follows sees all. After the first failure no new step starts in the others and what only waits in them ends; calls that have been sent are awaited; then the step fails with that fault.",
    result: "nothing; the steps within it keep their own results",
    value: Schema::MapOf(&STEPS),
    companions: &[],
    blocks: &["parallel"],
    asks: Asking::Nothing,
    example: Example {
        flow: r"
flow: quotes
webhook:
  auth: none
  sample: {body: {sku: A-1}}
steps:
  - parallel:
      near:
        - id: near
          http: {url: 'https://near.example/prices/${ webhook.body.sku }'}
      far:
        - id: far
          http: {url: 'https://far.example/prices/${ webhook.body.sku }'}
  - respond: {json: {best: '${ [steps.near.body.price, steps.far.body.price] | min }'}}
",
        mocks: &[("near", 200, r#"{"price":12}"#), ("far", 200, r#"{"price":9}"#)],
        answer: (200, r#"{"best":9}"#),
    },
    lower,
};

fn lower(cx: &mut Lowering<'_>, step: &mut StepNode<'_>) -> Option<()> {
    let branches = step.value.as_map(cx.diagnostics)?;
    if branches.len() > MOST_BRANCHES {
        let message = format!("{} branches are more than {MOST_BRANCHES}", branches.len());
        cx.diagnostics.error(Code("flow.too-many-branches"), &step.value.span, message);
        return None;
    }
    let number = step.number;
    let fork = cx.emit(Instruction::Fork { step: number, over: Over::Branches(Vec::new()), after: 0 });
    let mut starts = Vec::with_capacity(branches.len());
    cx.branches(branches, |cx, name, steps| {
        starts.push(cx.here());
        let path = cx.path(name.text());
        cx.block(steps, &path);
        cx.emit(Instruction::Join { step: number, collect: None });
    });
    cx.aim_branches(fork, starts);
    let here = cx.here();
    cx.aim(fork, here);
    Some(())
}
