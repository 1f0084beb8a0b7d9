//! The moving parts of a run: fibers, the scopes they are in, and the forks they came from. Plain data.

use crate::plan::Pc;
use crate::{Fault, StepNumber};
use hookflow_text::Json;
use jiff::Timestamp;
use std::sync::Arc;

/// One line of execution: the run itself, or a turn of a loop.
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
    /// The deadline of the scopes around the fork it came from.
    inherited: Option<Timestamp>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Ready,
    /// For a fact, or for its turns.
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

/// The fork that a fiber is a turn of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parent {
    pub fork: usize,
    pub index: usize,
}

/// A scope that a fiber is in.
#[derive(Debug)]
pub(super) struct Active {
    pub handler: Option<Pc>,
    deadline: Option<Timestamp>,
    /// The fault whose handler is running.
    pub handling: Option<Box<Fault>>,
    /// What `error` was before.
    pub outer_error: Option<Arc<Json>>,
}

/// A loop under way.
#[derive(Debug)]
pub(super) struct Fork {
    pub parent: usize,
    pub step: StepNumber,
    pub item: Arc<str>,
    pub list: Arc<Json>,
    pub count: usize,
    pub collected: Option<Vec<Json>>,
    pub body: Pc,
    pub after: Pc,
    pub next: usize,
    pub running: usize,
    /// The first that failed.
    pub fault: Option<Fault>,
}

impl Active {
    pub fn scope(handler: Option<Pc>, deadline: Option<Timestamp>) -> Self {
        Self { handler, deadline, handling: None, outer_error: None }
    }

    pub fn handling(fault: Box<Fault>, outer_error: Option<Arc<Json>>) -> Self {
        Self { handler: None, deadline: None, handling: Some(fault), outer_error }
    }
}

impl Fiber {
    pub fn main() -> Self {
        Self {
            pc: 0,
            state: State::Ready,
            scopes: Vec::new(),
            turns: Arc::from([]),
            error: None,
            parent: None,
            inherited: None,
        }
    }

    pub fn turn(outer: &Self, turn: Turn, body: Pc, parent: Parent) -> Self {
        Self {
            pc: body,
            state: State::Ready,
            scopes: Vec::new(),
            turns: outer.turns.iter().cloned().chain([turn]).collect(),
            error: outer.error.clone(),
            parent: Some(parent),
            inherited: outer.deadline(),
        }
    }

    /// Every enclosing timeout, folded into one moment.
    pub fn deadline(&self) -> Option<Timestamp> {
        self.scopes.iter().filter_map(|scope| scope.deadline).chain(self.inherited).min()
    }

    /// Leaves the innermost scope; leaving a handler brings back what `error` was before.
    pub fn leave(&mut self) {
        if let Some(scope) = self.scopes.pop()
            && scope.handling.is_some()
        {
            self.error = scope.outer_error;
        }
    }

    /// The indexes of the outermost `depth` loops.
    pub fn place_turns(&self, depth: usize) -> Vec<u32> {
        self.turns.iter().take(depth).map(|turn| u32::try_from(turn.index).unwrap_or(u32::MAX)).collect()
    }
}
