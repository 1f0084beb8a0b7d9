//! `jq`: a value, reshaped by a jq filter.

mod bounds;
mod filter;
mod meter;

use crate::lowering::{Lowering, StepNode};
use crate::plan::Instruction;
use crate::step_kind::{Asking, Example, Makes, StepKind, Stop};
use crate::{Fault, FaultKind};
use filter::{Filter, Problem, Stopped};
use hookflow_expr::{Env, Expression};
use hookflow_text::{Code, Json, Key, Schema};
use std::fmt;
use std::sync::Arc;

pub(super) static KIND: StepKind = StepKind {
    verb: "jq",
    summary: "Reshapes a value with a jq filter. It reads no file, no clock and no environment, and is held to bounds: a quarter of a million steps, a text of 1 MiB, a value of 32 MiB.",
    result: "the filter's one output, null when it has none; of several put `[ ]` around the filter",
    value: Schema::Text,
    companions: &[Key::must(
        "of",
        Schema::Expression,
        "an expression: the value that the filter sees as `.`",
    )],
    blocks: &[],
    asks: Asking::Nothing,
    example: Example {
        flow: r"
flow: totals
webhook:
  auth: none
  sample: {body: {lines: [{sku: A, qty: 2, price: 10}, {sku: B, qty: 1, price: 5}, {sku: A, qty: 1, price: 10}]}}
steps:
  - id: totals
    jq: '[.lines | group_by(.sku)[] | {sku: .[0].sku, total: (map(.qty * .price) | add)}]'
    of: webhook.body
  - respond: {json: '${ steps.totals }'}
",
        mocks: &[],
        answer: (200, r#"[{"sku":"A","total":30},{"sku":"B","total":5}]"#),
    },
    lower,
};

struct Jq {
    filter: Filter,
    of: Expression,
}

fn lower(cx: &mut Lowering<'_>, step: &mut StepNode<'_>) -> Option<()> {
    let of = step.fields.require("of", cx.diagnostics).and_then(|node| cx.expression(node));
    let text = step.value.as_str(cx.diagnostics)?;
    let filter = match Filter::compile(text) {
        Ok(filter) => filter,
        Err(problems) => {
            for Problem { range, message, help } in problems {
                let place = step.value.span_within(range);
                let diagnostic = cx.diagnostics.error(Code("jq.filter"), &place, message);
                if let Some(help) = help {
                    diagnostic.help(help);
                }
            }
            return None;
        }
    };
    cx.emit(Instruction::Eval { step: step.number, value: Arc::new(Jq { filter, of: of? }) });
    Some(())
}

impl Makes for Jq {
    fn make(&self, env: &Env) -> Result<(Arc<Json>, Option<Fault>), Stop> {
        let value = self.of.eval(env)?;
        match self.filter.run(&value) {
            Ok(made) => Ok((Arc::new(made), None)),
            Err(Stopped::Limit(message)) => {
                Err(Fault::new(FaultKind::Limit, Code("step.jq.limit"), message).into())
            }
            Err(Stopped::Failed(message)) => {
                Err(Fault::new(FaultKind::Expression, Code("step.jq.failed"), message).into())
            }
        }
    }
}

impl fmt::Debug for Jq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jq").field("of", &self.of).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
