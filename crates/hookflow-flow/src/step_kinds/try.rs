//! `try`: steps that may fail, what to do then, and what to do in any case.

use crate::lowering::{Lowering, StepNode};
use crate::plan::{Instruction, Scope};
use crate::step_kind::{Asking, Example, StepKind};
use crate::written::STEPS;
use hookflow_text::Key;

pub(super) static KIND: StepKind = StepKind {
    verb: "try",
    summary: "Runs the steps under it. When one fails, those under `catch` run, with `error` in scope, and the flow goes on. Those under `finally` run on every way out: success, failure, timeout, `stop`, `return` and a cancelled run; a fault in them replaces the former, which is its `error.cause`. A timeout around the step does not cut `finally` short.",
    result: "nothing; the steps within it keep their own results",
    value: STEPS,
    companions: &[
        Key::may("catch", STEPS, "steps for when one of them has failed"),
        Key::may("finally", STEPS, "steps for every way out; no `stop` or `return` among them"),
    ],
    blocks: &["try", "catch", "finally"],
    asks: Asking::Nothing,
    example: Example {
        flow: r"
flow: careful
webhook:
  auth: none
  sample: {body: {sku: A-1}}
steps:
  - id: lock
    http: {method: POST, url: 'https://warehouse.example/locks'}
  - try:
      - id: stock
        http: {method: POST, url: 'https://warehouse.example/reservations', json: {sku: '${ webhook.body.sku }'}}
      - respond: {status: 201}
    catch:
      - respond: {status: 409, json: {why: '${ error.message }', status: '${ steps.stock.status }'}}
    finally:
      - id: unlock
        http: {method: DELETE, url: 'https://warehouse.example/locks/1'}
",
        mocks: &[("lock", 201, "{}"), ("stock", 503, "{}"), ("unlock", 204, "null")],
        answer: (409, r#"{"why":"the answer was 503","status":503}"#),
    },
    lower,
};

#[expect(clippy::unnecessary_wraps, reason = "every step kind lowers by one signature")]
fn lower(cx: &mut Lowering<'_>, step: &mut StepNode<'_>) -> Option<()> {
    let catch = step.fields.take("catch");
    let finally = step.fields.take("finally");
    let outer = finally.map(|node| (node, cx.emit(Instruction::Enter(Scope::default()))));
    let inner = catch.map(|node| (node, cx.emit(Instruction::Enter(Scope::default()))));
    let path = cx.path("try");
    cx.block(step.value, &path);
    if let Some((node, scope)) = inner {
        cx.emit(Instruction::Leave);
        let path = cx.path("catch");
        cx.handler(step.number, scope, Some(node), ("catch", &node.span), &path);
    }
    if let Some((node, scope)) = outer {
        cx.emit(Instruction::Leave);
        let path = cx.path("finally");
        cx.finally(scope, node, &path);
    }
    Some(())
}
