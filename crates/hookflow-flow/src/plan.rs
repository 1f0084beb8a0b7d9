//! A compiled flow: ten instructions and what they need, immutable and shared by every run.

use crate::retry::Retry;
use crate::step_kind::{Asks, Makes, Tells};
use crate::{Arm, Fault, FaultKind, StepNumber, Via, Waiting};
use hookflow_expr::{Env, EvalError, Expression, Template, Text};
use hookflow_text::{Code, Span};
use hookflow_trigger::Auth;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

/// An index into a plan's code.
pub type Pc = usize;

/// Steps by their IDs. Those are the author's, so no caller can make them collide, and a quick hash does.
pub(crate) type StepIds = HashMap<Arc<str>, StepNumber, foldhash::fast::RandomState>;

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
    pub(crate) by_id: StepIds,
    pub(crate) arms: Vec<Arm>,
    pub(crate) sync: bool,
    /// What stands in the files that steps name.
    pub(crate) files: BTreeMap<String, String>,
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
    /// Where it begins, behind what may skip it; a step that is disabled begins nowhere.
    pub(crate) begins: Option<Pc>,
}

impl StepInfo {
    /// Whether it is not disabled.
    pub fn can_run(&self) -> bool {
        self.begins.is_some()
    }
}

/// What a step asks of the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// A call.
    Call,
    /// Time.
    Sleep,
    /// A call of its own URL.
    Wait,
    /// A run of another flow.
    Run,
}

/// The ten instructions. The machine knows no verb: verbs lower to these.
#[derive(Debug)]
pub(crate) enum Instruction {
    /// Computes the step's result.
    Eval { step: StepNumber, value: Arc<dyn Makes> },
    /// Goes elsewhere, or not.
    Branch { step: StepNumber, branch: Branch },
    /// Asks the world and waits for the fact.
    Ask { step: StepNumber, request: Arc<dyn Asks> },
    /// Tells the world and goes on.
    Tell { step: StepNumber, telling: Arc<dyn Tells> },
    /// Opens a scope.
    Enter(Scope),
    /// Closes the innermost scope: into its `finally`, if it has one.
    Leave,
    /// Runs several lines; goes on at `after` when all of them have joined.
    Fork { step: StepNumber, over: Over, after: Pc },
    /// The end of a line.
    Join { step: StepNumber, collect: Option<Expression> },
    /// Fails.
    Raise { step: StepNumber, failure: Failure },
    /// Ends the run well, through every `finally` around it.
    End { step: Option<StepNumber>, value: Option<Template> },
}

/// Where to go.
#[derive(Debug)]
pub(crate) enum Branch {
    Always(Pc),
    Unless(Expression, Pc),
    Switch { on: Expression, cases: HashMap<String, Pc>, default: Pc },
}

/// What is around some instructions.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scope {
    /// Where a fault goes.
    pub handler: Option<Pc>,
    /// What runs whichever way the scope is left. It stands behind the scope's `Leave` and ends with one of its own.
    pub finally: Option<Pc>,
    /// How long what is asked for within it may take; with `retry`, each try of it.
    pub timeout: Option<Duration>,
    /// When its ask is asked again.
    pub retry: Option<Arc<Retry>>,
}

/// The lines of a fork.
#[derive(Debug)]
pub(crate) enum Over {
    /// What follows the fork, once for each item.
    Each(Each),
    /// One line from each of these places, side by side.
    Branches(Vec<Pc>),
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
        self.requests().any(|(_, request)| request.gives_way())
    }

    /// The credentials that calls of its `wait` steps are judged by.
    pub fn auths(&self) -> impl Iterator<Item = &Auth> {
        self.requests().filter_map(|(_, request)| Some(&request.waiting()?.auth))
    }

    /// What a call of the URL of a `wait` step is judged by; `None` when the step has none.
    pub fn waiting(&self, step: StepNumber) -> Option<&Arc<Waiting>> {
        self.requests().find(|(number, _)| *number == step)?.1.waiting()
    }

    /// The flows that its steps run, and where they say so.
    pub fn runs(&self) -> impl Iterator<Item = (&Arc<str>, &Span)> {
        self.requests().filter_map(|(step, request)| Some((request.runs()?, &self.step(step)?.span)))
    }

    /// Where its steps wait for a call.
    pub(crate) fn wait_steps(&self) -> impl Iterator<Item = &Span> {
        self.requests().filter_map(|(step, request)| {
            request.waiting()?;
            Some(&self.step(step)?.span)
        })
    }

    /// The integrations that its steps go by.
    pub fn calls(&self) -> impl Iterator<Item = &Via> {
        self.requests().filter_map(|(_, request)| request.calls())
    }

    /// The credentials that its calls are signed with.
    pub fn signs(&self) -> impl Iterator<Item = &Arc<str>> {
        self.requests().filter_map(|(_, request)| request.signs())
    }

    /// What a step asks of the world, if anything.
    pub fn asked(&self, step: StepNumber) -> Option<Asked> {
        let (_, request) = self.requests().find(|(number, _)| *number == step)?;
        Some(match request {
            it if it.runs().is_some() => Asked::Run,
            it if it.waiting().is_some() => Asked::Wait,
            it if it.gives_way() => Asked::Sleep,
            _ => Asked::Call,
        })
    }

    /// The ways of its choices, in the order of the file, but those of steps that are disabled.
    pub fn arms(&self) -> &[Arm] {
        &self.arms
    }

    /// The number of the step of this name.
    pub fn step_of(&self, name: &str) -> Option<StepNumber> {
        let position = self.steps.iter().position(|step| *step.name == *name)?;
        u32::try_from(position).ok().map(StepNumber)
    }

    fn requests(&self) -> impl Iterator<Item = (StepNumber, &Arc<dyn Asks>)> {
        self.code.iter().filter_map(|instruction| match instruction {
            Instruction::Ask { step, request } => Some((*step, request)),
            _ => None,
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
