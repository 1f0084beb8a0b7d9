//! The moving parts of a run: fibers, the scopes they are in, and the forks they came from. Plain data.

use crate::plan::{Pc, Scope};
use crate::{Fault, StepNumber};
use hookflow_text::Json;
use jiff::Timestamp;
use std::sync::Arc;

/// One line of execution: the run itself, a turn of a loop, or a branch.
#[derive(Debug)]
pub(super) struct Fiber {
    pub pc: Pc,
    pub state: State,
    pub scopes: Vec<Active>,
    /// The turn of each loop around it, outermost first.
    pub turns: Arc<[Turn]>,
    /// What `error` is here.
    pub error: Option<Arc<Json>>,
    pub parent: Option<Parent>,
    /// The deadline of the scopes around the fork it came from, or of the run.
    inherited: Option<Timestamp>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Ready,
    /// For a fact, or for its lines.
    Waiting,
    Done,
}

/// A turn of a loop.
#[derive(Debug, Clone)]
pub(super) struct Turn {
    pub name: Arc<str>,
    pub index: usize,
    pub count: usize,
    pub item: Arc<Json>,
}

/// The fork that a fiber is a line of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parent {
    pub fork: usize,
    pub index: usize,
}

/// Why a line of execution leaves what is around it before its end. Each `finally` on the way runs.
#[derive(Debug)]
pub(super) enum Exit {
    /// It failed; the innermost handler takes it.
    Fault(Box<Fault>),
    /// Somebody cancelled the run; no handler takes it.
    Cancelled(Box<Fault>),
    /// The run ends well here.
    Ended(Arc<Json>),
    /// What is beside it has failed or ended.
    Doomed,
}

/// A scope that a fiber is in.
#[derive(Debug)]
pub(super) enum Active {
    /// Its steps are running.
    Open { scope: Scope, since: Timestamp, deadline: Option<Timestamp> },
    /// The handler of a fault is running; what `error` was before comes back after it.
    Handling { fault: Box<Fault>, outer_error: Option<Arc<Json>> },
    /// A `finally` is running; then the way out goes on, if there was one. Nothing around it cuts it short.
    Finalizing(Option<Exit>),
}

/// Several lines under way.
#[derive(Debug)]
pub(super) struct Fork {
    pub parent: usize,
    pub step: StepNumber,
    pub lines: Lines,
    pub count: usize,
    pub collected: Option<Vec<Json>>,
    pub after: Pc,
    pub next: usize,
    pub running: usize,
    /// How the first line that did not come to its own end left.
    pub exit: Option<Exit>,
}

/// What the lines of a fork are.
#[derive(Debug)]
pub(super) enum Lines {
    Turns { item: Arc<str>, list: Arc<Json>, body: Pc },
    Branches(Vec<Pc>),
}

impl Exit {
    /// A way out began while another was under way: in a handler, or in a `finally`.
    pub fn after(self, before: Option<Self>) -> Self {
        let because = |mut fault: Box<Fault>, cause: Box<Fault>| {
            fault.cause = fault.cause.take().or(Some(cause));
            fault
        };
        match (self, before) {
            (_, Some(Self::Doomed)) => Self::Doomed,
            (Self::Fault(fault), Some(Self::Fault(cause))) => Self::Fault(because(fault, cause)),
            // Not even then does a handler take it.
            (Self::Fault(fault) | Self::Cancelled(fault), Some(Self::Cancelled(cause)))
            | (Self::Cancelled(fault), Some(Self::Fault(cause))) => Self::Cancelled(because(fault, cause)),
            (exit, _) => exit,
        }
    }
}

impl Active {
    pub fn open(scope: Scope, at: Timestamp) -> Self {
        let deadline = scope.timeout.and_then(|timeout| at.checked_add(timeout).ok());
        Self::Open { scope, since: at, deadline }
    }

    pub fn is_finalizing(&self) -> bool {
        matches!(self, Self::Finalizing(_))
    }
}

impl Fiber {
    pub fn main(deadline: Option<Timestamp>) -> Self {
        Self {
            pc: 0,
            state: State::Ready,
            scopes: Vec::new(),
            turns: Arc::from([]),
            error: None,
            parent: None,
            inherited: deadline,
        }
    }

    /// A line of a fork.
    pub fn line(outer: &Self, turn: Option<Turn>, pc: Pc, parent: Parent) -> Self {
        Self {
            pc,
            state: State::Ready,
            scopes: Vec::new(),
            turns: match turn {
                Some(turn) => outer.turns.iter().cloned().chain([turn]).collect(),
                None => Arc::clone(&outer.turns),
            },
            error: outer.error.clone(),
            parent: Some(parent),
            inherited: outer.deadline(),
        }
    }

    /// Every enclosing timeout, folded into one moment. Those around a `finally` do not count in it: it also runs
    /// because one of them is over.
    pub fn deadline(&self) -> Option<Timestamp> {
        let mut nearest = None;
        for active in self.scopes.iter().rev() {
            match active {
                Active::Finalizing(_) => return nearest,
                Active::Open { deadline, .. } => nearest = nearest.into_iter().chain(*deadline).min(),
                Active::Handling { .. } => {}
            }
        }
        nearest.into_iter().chain(self.inherited).min()
    }

    /// Whether a `finally` is running.
    pub fn is_finalizing(&self) -> bool {
        self.scopes.iter().any(Active::is_finalizing)
    }

    /// The indexes of the outermost `depth` loops.
    pub fn place_turns(&self, depth: usize) -> Vec<u32> {
        self.turns.iter().take(depth).map(|turn| u32::try_from(turn.index).unwrap_or(u32::MAX)).collect()
    }
}
