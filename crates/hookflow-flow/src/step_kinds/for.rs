//! `for`: the same steps for each item of a list.

use crate::arm::Way;
use crate::lowering::{Lowering, StepNode};
use crate::plan::{Each, Instruction, Over};
use crate::step_kind::{Asking, Example, StepKind};
use crate::written::{NAME, STEPS};
use hookflow_text::{Key, Schema};

/// How many items a loop takes unless it says otherwise.
const DEFAULT_MAX: u64 = 10_000;
/// The most items that a loop may be told to take.
const HIGHEST_MAX: u64 = 100_000;
/// The most turns side by side.
const HIGHEST_PARALLEL: u64 = 100;

pub(super) static KIND: StepKind = StepKind {
    verb: "for",
    summary: "Runs the steps under `do` once for each item of a list. The item has the name after `for`; `loop.index` (from 0), `loop.first` and `loop.last` are in scope.",
    result: "the list of what `collect` gave in each turn, in the order of the items; without `collect`, nothing",
    value: NAME,
    companions: &[
        Key::must("in", Schema::Expression, "an expression that gives the list"),
        Key::must("do", STEPS, "the steps of a turn"),
        Key::may("parallel", Schema::Integer(1, HIGHEST_PARALLEL), "how many turns may run side by side (1)"),
        Key::may("collect", Schema::Expression, "an expression whose value is kept of each turn"),
        Key::may("max", Schema::Integer(1, HIGHEST_MAX), "more items than this are an error (10000)"),
    ],
    blocks: &["do"],
    asks: Asking::Nothing,
    example: Example {
        flow: r"
flow: lines
webhook:
  auth: none
  sample: {body: {items: [{sku: A, qty: 2}, {sku: B, qty: 3}]}}
steps:
  - id: labels
    for: item
    in: webhook.body.items
    do:
      - id: line
        set: {text: '${ loop.index + 1 }: ${ item.qty } × ${ item.sku }'}
    collect: steps.line.text
  - respond: {json: {lines: '${ steps.labels }'}}
",
        mocks: &[],
        answer: (200, r#"{"lines":["1: 2 × A","2: 3 × B"]}"#),
    },
    lower,
};

fn lower(cx: &mut Lowering<'_>, step: &mut StepNode<'_>) -> Option<()> {
    let item = cx.own_name(step.value);
    let list_node = step.fields.require("in", cx.diagnostics);
    let list = list_node.and_then(|node| cx.expression(node));
    let body = step.fields.require("do", cx.diagnostics);
    let limit =
        step.fields.take("parallel").and_then(|node| node.as_integer(1, HIGHEST_PARALLEL, cx.diagnostics));
    let max = step.fields.take("max").and_then(|node| node.as_integer(1, HIGHEST_MAX, cx.diagnostics));
    let collect = step.fields.take("collect");
    // Without its item's name, nothing in the body can be checked.
    let item = item?;
    let number = step.number;
    let data = cx.items_of(list.as_ref());
    let fork = list.map(|list| {
        let limit = usize::try_from(limit.unwrap_or(1)).unwrap_or(1);
        let max = usize::try_from(max.unwrap_or(DEFAULT_MAX)).unwrap_or(usize::MAX);
        let each = Each { item: item.clone(), list, limit, max };
        cx.emit(Instruction::Fork { step: number, over: Over::Each(each), after: 0 })
    });
    if let (Some(fork), Some(list)) = (fork, list_node) {
        let turns = body.map_or(&list.span, |node| &node.span);
        cx.arm(number, (fork, Way::Yes), "with items", (turns, Some(&list.span)));
        cx.arm(number, (fork, Way::No), "without items", (&list.span, Some(&list.span)));
    }
    let path = cx.path("do");
    cx.turn(&item, data, |cx| {
        if let Some(body) = body {
            cx.block(body, &path);
        }
        let collect = collect.and_then(|node| cx.expression(node));
        cx.emit(Instruction::Join { step: number, collect });
    });
    if let Some(fork) = fork {
        let here = cx.here();
        cx.aim(fork, here);
    }
    Some(())
}
