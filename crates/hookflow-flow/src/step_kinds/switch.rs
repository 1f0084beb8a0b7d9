//! `switch`: one of several ways.

use crate::arm::Way;
use crate::lowering::{Lowering, StepNode};
use crate::plan::{Branch, Instruction};
use crate::step_kind::{Asking, Example, StepKind};
use crate::written::STEPS;
use hookflow_text::{Key, Schema};
use std::collections::HashMap;

pub(super) static KIND: StepKind = StepKind {
    verb: "switch",
    summary: "Compares the text of a value with the keys of `cases` and runs the steps of the one that is equal, else those of `default`.",
    result: "nothing",
    value: Schema::Expression,
    companions: &[
        Key::must("cases", Schema::MapOf(&STEPS), "a map from a value's text to steps"),
        Key::may("default", STEPS, "steps for any other value"),
    ],
    blocks: &["cases", "default"],
    asks: Asking::Nothing,
    example: Example {
        flow: r"
flow: events
webhook:
  auth: none
  sample: {headers: {X-Event: refund}, body: {id: R-1}}
steps:
  - switch: webhook.headers['x-event']
    cases:
      order:
        - respond: {status: 201, json: {kept: order}}
      refund:
        - respond: {json: {refunded: '${ webhook.body.id }'}}
    default:
      - respond: {status: 204}
",
        mocks: &[],
        answer: (200, r#"{"refunded":"R-1"}"#),
    },
    lower,
};

#[expect(clippy::unnecessary_wraps, reason = "every step kind lowers by one signature")]
fn lower(cx: &mut Lowering<'_>, step: &mut StepNode<'_>) -> Option<()> {
    let cases = step.fields.require("cases", cx.diagnostics);
    let default = step.fields.take("default");
    let on = cx.expression(step.value);
    let branch = on.map(|on| Branch::Switch { on, cases: HashMap::new(), default: 0 });
    let switch = branch.map(|branch| cx.emit(Instruction::Branch { step: step.number, branch }));
    let mut ends = Vec::new();
    let mut targets = HashMap::new();
    for (key, steps) in cases.and_then(|node| node.as_map(cx.diagnostics)).unwrap_or_default() {
        targets.insert(key.text().to_owned(), cx.here());
        if let Some(switch) = switch {
            let way = Way::Case(key.text().to_owned());
            cx.arm(
                step.number,
                (switch, way),
                format!("case {}", key.text()),
                (&key.span, Some(&step.value.span)),
            );
        }
        let path = cx.path(key.text());
        cx.block(steps, &path);
        ends.push(cx.emit(Instruction::Branch { step: step.number, branch: Branch::Always(0) }));
    }
    let otherwise = cx.here();
    if let Some(node) = default {
        let path = cx.path("default");
        cx.block(node, &path);
    }
    if let Some(switch) = switch {
        let span = default.map_or(&step.value.span, |node| &node.span);
        cx.arm(step.number, (switch, Way::Otherwise), "default", (span, Some(&step.value.span)));
        cx.aim_switch(switch, targets, otherwise);
    }
    let here = cx.here();
    for end in ends {
        cx.aim(end, here);
    }
    Some(())
}
