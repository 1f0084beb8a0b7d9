//! `if`: one way or the other.

use crate::arm::Way;
use crate::lowering::{Lowering, StepNode};
use crate::plan::{Branch, Instruction};
use crate::step_kind::{Asking, Example, StepKind};
use crate::written::STEPS;
use hookflow_text::{Key, Schema};

pub(super) static KIND: StepKind = StepKind {
    verb: "if",
    summary: "Runs the steps under `then` when the expression is true, else those under `else`.",
    result: "nothing",
    value: Schema::Expression,
    companions: &[
        Key::must("then", STEPS, "steps for a true expression"),
        Key::may("else", STEPS, "steps for a false one"),
    ],
    blocks: &["then", "else"],
    asks: Asking::Nothing,
    example: Example {
        flow: r"
flow: guard
webhook:
  auth: none
  sample: {body: {amount: 1200}}
steps:
  - if: webhook.body.amount > 1000
    then:
      - respond: {status: 202, json: {state: review}}
    else:
      - respond: {json: {state: paid}}
",
        mocks: &[],
        answer: (202, r#"{"state":"review"}"#),
    },
    lower,
};

#[expect(clippy::unnecessary_wraps, reason = "every step kind lowers by one signature")]
fn lower(cx: &mut Lowering<'_>, step: &mut StepNode<'_>) -> Option<()> {
    let then = step.fields.require("then", cx.diagnostics);
    let otherwise = step.fields.take("else");
    let test = cx.expression(step.value);
    let unless =
        test.map(|test| cx.emit(Instruction::Branch { step: step.number, branch: Branch::Unless(test, 0) }));
    if let Some(unless) = unless {
        let test = &step.value.span;
        let (yes, no) = (then.map_or(test, |node| &node.span), otherwise.map_or(test, |node| &node.span));
        cx.arm(step.number, (unless, Way::Yes), "then", (yes, Some(test)));
        cx.arm(step.number, (unless, Way::No), "else", (no, Some(test)));
    }
    let path = cx.path("then");
    if let Some(then) = then {
        cx.block(then, &path);
    }
    let over = otherwise
        .map(|node| (node, cx.emit(Instruction::Branch { step: step.number, branch: Branch::Always(0) })));
    let here = cx.here();
    if let Some(unless) = unless {
        cx.aim(unless, here);
    }
    if let Some((node, over)) = over {
        let path = cx.path("else");
        cx.block(node, &path);
        let here = cx.here();
        cx.aim(over, here);
    }
    Some(())
}
