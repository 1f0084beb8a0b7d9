//! What a step kind is: a verb, how it is documented, and how it lowers to instructions.

use crate::lowering::{Lowering, StepNode};
use crate::{Ask, Effect, Fault, Outcome, Place, Via, Waiting};
use hookflow_expr::{Env, EvalError, Template};
use hookflow_text::{Json, Key, Schema};
use std::fmt;
use std::sync::Arc;

/// A verb of the flow format. [`crate::step_kinds::ALL`] is the table of all of them; parsing, "did you mean", the
/// documentation and the test that runs the example come from it.
pub struct StepKind {
    /// The key that names it in a flow.
    pub verb: &'static str,
    /// One sentence.
    pub summary: &'static str,
    /// What `steps.<id>` holds afterwards.
    pub result: &'static str,
    /// What stands behind the verb.
    pub value: Schema,
    /// The keys beside the verb.
    pub companions: &'static [Key],
    /// The verb's own keys under which steps nest; the verb's name itself when its value is a list of steps.
    pub blocks: &'static [&'static str],
    /// Whether it asks the world for something, and which modifiers bound that.
    pub asks: Asking,
    /// A whole flow with a sample that shows it.
    pub example: Example,
    /// Emits its instructions.
    pub(crate) lower: fn(&mut Lowering<'_>, &mut StepNode<'_>) -> Option<()>,
}

impl StepKind {
    /// The keys beside the verb, or within its map.
    pub fn keys(&self) -> &'static [Key] {
        match self.value {
            Schema::Map(map) => &map.keys,
            _ => self.companions,
        }
    }
}

/// Whether a step kind asks the world for something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asking {
    /// It does not.
    Nothing,
    /// It waits in a way of its own; `timeout` and `retry` mean nothing on it.
    Waits,
    /// `timeout` bounds it.
    Once,
    /// `timeout` bounds each try, and `retry` says how many there are.
    Again,
}

/// A documented example that a test runs.
pub struct Example {
    /// A whole flow with a sample.
    pub flow: &'static str,
    /// What calls are answered with: the step's ID, the status and the JSON body.
    pub mocks: &'static [(&'static str, u16, &'static str)],
    /// What the caller gets: the status and the body, as text.
    pub answer: (u16, &'static str),
}

/// A step that makes its result of what the run knows.
pub(crate) trait Makes: fmt::Debug + Send + Sync {
    /// The step's result, and the fault when it is not good.
    fn make(&self, env: &Env) -> Result<(Arc<Json>, Option<Fault>), Stop>;
}

impl Makes for Template {
    fn make(&self, env: &Env) -> Result<(Arc<Json>, Option<Fault>), Stop> {
        Ok((self.eval(env)?, None))
    }
}

/// A step that asks the world for something and waits for what comes of it.
pub(crate) trait Asks: fmt::Debug + Send + Sync {
    /// The effect, from what the run knows.
    fn ask(&self, env: &Env, ask: Ask) -> Result<Effect, Stop>;
    /// The step's result, and the fault when the outcome is not good.
    fn settle(&self, outcome: &Outcome, attempt: u32) -> (Json, Option<Fault>);
    /// Whether it does nothing but wait, so that it ends when something beside it has failed.
    fn gives_way(&self) -> bool {
        false
    }
    /// The flow that it runs, if it runs one.
    fn runs(&self) -> Option<&Arc<str>> {
        None
    }
    /// The integration that it goes by, if it goes by one.
    fn calls(&self) -> Option<&Via> {
        None
    }
    /// The credential that it signs with, if it signs.
    fn signs(&self) -> Option<&Arc<str>> {
        None
    }
    /// What a call of its own URL is judged by, if it has one.
    fn waiting(&self) -> Option<&Arc<Waiting>> {
        None
    }
}

/// A step that tells the world something and goes on.
pub(crate) trait Tells: fmt::Debug + Send + Sync {
    /// The effect, from what the run knows.
    fn tell(&self, env: &Env, step: &Arc<str>, place: &Place) -> Result<Effect, Stop>;
    /// Whether it answers the caller.
    fn answers(&self) -> bool {
        false
    }
}

/// Why a step could not be carried out.
#[derive(Debug)]
pub(crate) enum Stop {
    /// An expression failed.
    Eval(EvalError),
    /// Anything else. Boxed: it is far larger than the other.
    Fault(Box<Fault>),
}

impl From<EvalError> for Stop {
    fn from(error: EvalError) -> Self {
        Self::Eval(error)
    }
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Fault(Box::new(fault))
    }
}
