//! A compiled flow: ten instructions and what they need, immutable and shared by every run.

use crate::step_kind::{Asks, Tells};
use crate::{Fault, FaultKind, StepNumber};
use hookflow_expr::{Env, EvalError, Expression, Template, Text};
use hookflow_text::{Code, Span};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// An index into a plan's code.
pub type Pc = usize;

/// A compiled flow.
#[derive(Debug)]
pub struct Plan {
    /// The flow's ID.
    pub flow: Arc<str>,
    /// The hash of what it was compiled from, in hex; a run stays on the version it began with.
    pub version: Arc<str>,
    pub(crate) code: Vec<Instruction>,
    /// Where the flow's `on_error` begins.
    pub(crate) on_error: Option<Pc>,
    pub(crate) steps: Vec<StepInfo>,
    pub(crate) by_id: HashMap<Arc<str>, StepNumber>,
    pub(crate) sync: bool,
}

/// What is known of a step besides its code.
#[derive(Debug)]
pub struct StepInfo {
    /// Its ID, else its path: `2.then.0`.
    pub name: Arc<str>,
    /// Its ID.
    pub id: Option<Arc<str>>,
    /// Its title.
    pub title: Option<String>,
    /// Its verb.
    pub verb: &'static str,
    /// How many loops are around it.
    pub depth: usize,
    /// Where it stands.
    pub span: Span,
}

/// The ten instructions. The machine knows no verb: verbs lower to these.
#[derive(Debug)]
pub(crate) enum Instruction {
    /// Computes the step's result.
    Eval { step: StepNumber, value: Template },
    /// Goes elsewhere, or not.
    Branch { step: StepNumber, branch: Branch },
    /// Asks the world and waits for the fact.
    Ask { step: StepNumber, request: Arc<dyn Asks> },
    /// Tells the world and goes on.
    Tell { step: StepNumber, telling: Arc<dyn Tells> },
    /// Opens a scope.
    Enter { handler: Option<Pc>, timeout: Option<Duration> },
    /// Closes the innermost scope.
    Leave,
    /// Runs what follows once for each item; goes on at `after` when all turns have joined.
    Fork { step: StepNumber, each: Each, after: Pc },
    /// The end of a turn.
    Join { step: StepNumber, collect: Option<Expression> },
    /// Fails.
    Raise { step: StepNumber, failure: Failure },
    /// Ends the run well.
    End { step: Option<StepNumber>, value: Option<Template> },
}

/// Where to go.
#[derive(Debug)]
pub(crate) enum Branch {
    Always(Pc),
    Unless(Expression, Pc),
    Switch { on: Expression, cases: HashMap<String, Pc>, default: Pc },
}

/// The items of a `for`.
#[derive(Debug)]
pub(crate) struct Each {
    pub item: Arc<str>,
    pub list: Expression,
    pub limit: usize,
    pub max: usize,
}

/// What a `fail` raises.
#[derive(Debug)]
pub(crate) struct Failure {
    pub message: Text,
    pub kind: FaultKind,
    pub code: Option<String>,
    pub answer: Option<u16>,
}

impl Failure {
    pub(crate) fn fault(&self, env: &Env) -> Result<Fault, EvalError> {
        let mut fault = Fault::new(self.kind, Code("step.fail"), self.message.eval(env)?);
        if let Some(code) = &self.code {
            fault.code.clone_from(code);
        }
        fault.answer = self.answer;
        Ok(fault)
    }
}

impl Plan {
    /// Whether the caller waits: a `respond` can be reached under the flow's steps.
    pub fn is_sync(&self) -> bool {
        self.sync
    }

    /// Whether a run may ask the world for something, so that its event must be safe before it does.
    pub fn asks(&self) -> bool {
        self.code.iter().any(|instruction| matches!(instruction, Instruction::Ask { .. }))
    }

    /// Whether a run may leave its worker for a while: it waits for a moment or for a call.
    pub fn waits(&self) -> bool {
        self.code.iter().any(|instruction| match instruction {
            Instruction::Ask { request, .. } => request.gives_way(),
            _ => false,
        })
    }

    /// The steps in the order of the file.
    pub fn steps(&self) -> &[StepInfo] {
        &self.steps
    }

    /// What is known of a step.
    pub fn step(&self, step: StepNumber) -> Option<&StepInfo> {
        self.steps.get(step.0 as usize)
    }
}
