//! `emit`: an event for whoever has subscribed to it.

use crate::lowering::{Lowering, StepNode};
use crate::plan::Instruction;
use crate::step_kind::{Asking, Example, StepKind, Stop, Tells};
use crate::{Effect, Emission, Place};
use hookflow_expr::{Env, EvalError, Expression, Template};
use hookflow_text::{Code, Json, Key, Node, NodeValue, Schema};
use std::sync::Arc;

/// The longest name of an event.
const LONGEST_NAME: usize = 100;

pub(super) static KIND: StepKind = StepKind {
    verb: "emit",
    summary: "Sends an event to every subscription that matches its name.",
    result: "nothing",
    value: Schema::Like("^[A-Za-z0-9_-]+([.][A-Za-z0-9_-]+)*$"),
    companions: &[Key::may(
        "data",
        Schema::Any,
        "what the event carries: an expression, or a map or list with templates in it (null)",
    )],
    blocks: &[],
    asks: Asking::Nothing,
    example: Example {
        flow: r"
flow: sold
webhook:
  auth: none
  sample: {body: {id: A-1, total: 12.50}}
steps:
  - emit: order.created
    data: {id: '${ webhook.body.id }', total: '${ webhook.body.total }'}
  - emit: orders.seen
    data: webhook.body
  - respond: {status: 202}
",
        mocks: &[],
        answer: (202, ""),
    },
    lower,
};

#[derive(Debug)]
struct Emit {
    event: Arc<str>,
    data: Option<Data>,
}

/// An expression, or a value with templates in it.
#[derive(Debug)]
enum Data {
    Expression(Expression),
    Template(Template),
}

impl Data {
    fn read(cx: &mut Lowering<'_>, node: &Node) -> Option<Self> {
        match node.value {
            NodeValue::Scalar(_) => cx.expression(node).map(Self::Expression),
            NodeValue::Seq(_) | NodeValue::Map(_) => cx.template(node).map(Self::Template),
        }
    }

    fn eval(&self, env: &Env) -> Result<Arc<Json>, EvalError> {
        match self {
            Self::Expression(expression) => expression.eval(env),
            Self::Template(template) => template.eval(env),
        }
    }
}

/// Whether an event can be called so.
pub fn is_event_name(name: &str) -> bool {
    let is_word = |word: &str| {
        !word.is_empty()
            && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
    };
    name.len() <= LONGEST_NAME && name.split('.').all(is_word)
}

fn lower(cx: &mut Lowering<'_>, step: &mut StepNode<'_>) -> Option<()> {
    let event = step.value.as_str(cx.diagnostics)?;
    if !is_event_name(event) {
        cx.diagnostics
            .error(Code("emit.event"), &step.value.span, format!("`{event}` cannot be an event's name"))
            .help("words of letters, digits, `_` and `-` with dots between them, such as `order.created`");
        return None;
    }
    let data = match step.fields.take("data") {
        Some(node) => Some(Data::read(cx, node)?),
        None => None,
    };
    let telling = Emit { event: event.into(), data };
    cx.emit(Instruction::Tell { step: step.number, telling: Arc::new(telling) });
    Some(())
}

impl Tells for Emit {
    fn tell(&self, env: &Env, step: &Arc<str>, place: &Place) -> Result<Effect, Stop> {
        let data = match &self.data {
            Some(data) => Arc::unwrap_or_clone(data.eval(env)?),
            None => Json::Null,
        };
        let (event, step) = (Arc::clone(&self.event), Arc::clone(step));
        Ok(Effect::Emit(Emission { event, data, place: place.clone(), step }))
    }
}
