//! `run`: another flow.

use crate::flow::is_flow_id;
use crate::lowering::{Lowering, StepNode};
use crate::plan::Instruction;
use crate::step_kind::{Asking, Asks, Example, StepKind, Stop};
use crate::written::FLOW_ID;
use crate::{Ask, Effect, End, Fault, FaultKind, Outcome, SubRun};
use hookflow_expr::{Env, Template};
use hookflow_text::{Code, Json, Key, Schema};
use std::sync::Arc;

pub(super) static KIND: StepKind = StepKind {
    verb: "run",
    summary: "Runs another flow, which sees `with` as its `webhook.body`, and waits for its end. A `respond` in there answers nobody. It takes no place in that flow's queue and uses the worker of this one; flows run each other up to 16 deep, and 1000 runs come from one event at most.",
    result: "the value that the other flow returns; with `detach`, `{run_id}`",
    value: FLOW_ID,
    companions: &[
        Key::may("with", Schema::Any, "what the other flow has as `webhook.body` (null)"),
        Key::may(
            "detach",
            Schema::Bool,
            "whether it runs on its own, through its queue, and nobody waits for its end (false)",
        ),
    ],
    blocks: &[],
    asks: Asking::Again,
    example: Example {
        flow: r"
flow: checkout
webhook:
  auth: none
  sample: {body: {items: [{sku: A-1, qty: 2}]}}
steps:
  - id: price
    run: price-of
    with: {items: '${ webhook.body.items }'}
  - respond: {json: {sum: '${ steps.price.sum }'}}
",
        mocks: &[("price", 200, r#"{"sum":40}"#)],
        answer: (200, r#"{"sum":40}"#),
    },
    lower,
};

#[derive(Debug)]
struct Child {
    flow: Arc<str>,
    with: Option<Template>,
    detach: bool,
}

fn lower(cx: &mut Lowering<'_>, step: &mut StepNode<'_>) -> Option<()> {
    let flow = step.value.as_str(cx.diagnostics)?;
    if !is_flow_id(flow) {
        return step.value.mistyped("a flow's ID", cx.diagnostics);
    }
    let with = match step.fields.take("with") {
        Some(node) => Some(cx.template(node)?),
        None => None,
    };
    let detach = match step.fields.take("detach") {
        Some(node) => node.as_bool(cx.diagnostics)?,
        None => false,
    };
    let child = Child { flow: flow.into(), with, detach };
    cx.emit(Instruction::Ask { step: step.number, request: Arc::new(child) });
    Some(())
}

impl Asks for Child {
    fn ask(&self, env: &Env, ask: Ask) -> Result<Effect, Stop> {
        let with = match &self.with {
            Some(with) => Arc::unwrap_or_clone(with.eval(env)?),
            None => Json::Null,
        };
        let (flow, detach) = (Arc::clone(&self.flow), self.detach);
        Ok(Effect::Run(ask, Box::new(SubRun { flow, with, detach })))
    }

    fn settle(&self, outcome: &Outcome, attempt: u32) -> (Json, Option<Fault>) {
        let fault = match outcome {
            Outcome::Ended(End::Succeeded(value)) => return (value.clone(), None),
            Outcome::Ended(End::Failed(cause)) => {
                let message = format!("`{}` failed: {}", self.flow, cause.message);
                Fault {
                    status: cause.status,
                    cause: Some(Box::new(cause.clone())),
                    ..Fault::new(cause.kind, Code("step.run.failed"), message)
                }
            }
            Outcome::Failed { kind, message } => Fault::new(*kind, Code("step.run.not-run"), message.clone()),
            _ => Fault::new(
                FaultKind::Interrupted,
                Code("step.run.not-run"),
                "what came is not the end of a run",
            ),
        };
        (Json::Null, Some(Fault { attempts: Some(attempt), ..fault }))
    }

    fn runs(&self) -> Option<&Arc<str>> {
        Some(&self.flow)
    }
}
