//! `fail`: ends the run as failed.

use crate::FaultKind;
use crate::lowering::{Lowering, StepNode};
use crate::plan::{Failure, Instruction};
use crate::step_kind::{Asking, Example, StepKind};
use hookflow_expr::Escape;
use hookflow_text::{Diagnostics, Key, Node, Schema};
use serde::Deserialize as _;

/// The kinds that a flow may give to its own failure, in the order of the format's list.
pub(crate) const KINDS: &[&str] = &[
    "timeout",
    "connect",
    "tls",
    "status",
    "rate_limited",
    "too_large",
    "parse",
    "validation",
    "expression",
    "auth",
    "refused",
    "interrupted",
    "cancelled",
    "limit",
    "custom",
];

pub(super) static KIND: StepKind = StepKind {
    verb: "fail",
    summary: "Ends the run as failed. The caller of a flow with `respond` hears it at once; the text is for the operator and is not sent.",
    result: "nothing: no step follows it",
    value: Schema::Text,
    companions: &[
        Key::may("kind", Schema::Word(KINDS), "one of the error kinds (custom); validation answers 422"),
        Key::may("code", Schema::Text, "free text, kept with the run"),
        Key::may("status", Schema::Integer(400, 599), "the status that the caller gets, 400 to 599 (500)"),
    ],
    blocks: &[],
    asks: Asking::Nothing,
    example: Example {
        flow: r"
flow: strict
webhook:
  auth: none
  sample: {body: {amount: -1}}
steps:
  - when: webhook.body.amount < 0
    fail: the amount is ${ webhook.body.amount }
    kind: validation
    code: amount-negative
  - respond: {status: 201}
",
        mocks: &[],
        answer: (422, "amount-negative"),
    },
    lower,
};

/// One of the error kinds, by its word.
pub(crate) fn read_kind(node: &Node, diagnostics: &mut Diagnostics) -> Option<FaultKind> {
    let word = node.one_of(KINDS, diagnostics)?;
    FaultKind::deserialize(serde::de::value::StrDeserializer::<serde::de::value::Error>::new(word)).ok()
}

fn lower(cx: &mut Lowering<'_>, step: &mut StepNode<'_>) -> Option<()> {
    let message = cx.text(step.value, Escape::None);
    let kind = match step.fields.take("kind") {
        None => FaultKind::Custom,
        Some(node) => read_kind(node, cx.diagnostics)?,
    };
    let code = step.fields.take("code").and_then(|node| node.as_str(cx.diagnostics)).map(str::to_owned);
    let answer = match step.fields.take("status") {
        None => None,
        Some(node) => u16::try_from(node.as_integer(400, 599, cx.diagnostics)?).ok(),
    };
    let failure = Failure { message: message?, kind, code, answer };
    cx.emit(Instruction::Raise { step: step.number, failure });
    Some(())
}
