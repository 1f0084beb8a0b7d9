//! The ways that a run may take where its flow lets it choose: what a test has to have seen to have seen all of it.

use crate::plan::Pc;
use crate::{Plan, StepNumber};
use hookflow_text::{Json, Span};
use std::collections::BTreeSet;

/// How many choices of a run are kept in their order.
const MAX_CHOICES: usize = 10_000;

/// One way of a choice.
#[derive(Debug)]
pub struct Arm {
    /// The step that chooses.
    pub step: StepNumber,
    /// What it is, in the words of the file: `then`, `else`, `when`, a case.
    pub name: String,
    /// Where it stands.
    pub span: Span,
    /// What is decided by; nothing decides where a fault goes.
    pub test: Option<Span>,
    pub(crate) at: Pc,
    pub(crate) way: Way,
}

/// Which way it went.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Way {
    Yes,
    No,
    Case(String),
    Otherwise,
    /// A fault has come here.
    Caught,
}

/// A choice that a run has made.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    /// Its arm, by its position in [`crate::Plan::arms`].
    pub arm: usize,
    /// The value that it was made by; null for a fault.
    pub value: Json,
}

/// What a run has done that leaves no result.
#[derive(Debug, Default)]
pub struct Seen {
    /// The steps that began.
    pub steps: BTreeSet<StepNumber>,
    /// The arms that were taken, by their position in [`crate::Plan::arms`].
    pub arms: BTreeSet<usize>,
    /// The first choices, in their order.
    pub choices: Vec<Choice>,
}

/// Looks on while a run is executed.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    pub executed: BTreeSet<Pc>,
    went: BTreeSet<(Pc, Way)>,
    choices: Vec<(Pc, Way, Json)>,
}

impl Watch {
    pub(crate) fn choose(&mut self, at: Pc, way: Way, value: impl FnOnce() -> Json) {
        if self.choices.len() < MAX_CHOICES {
            self.choices.push((at, way.clone(), value()));
        }
        self.went.insert((at, way));
    }

    /// The same in the plan's own terms.
    pub(crate) fn seen(self, plan: &Plan) -> Seen {
        let arm_of = |at: Pc, way: &Way| plan.arms.iter().position(|arm| arm.at == at && arm.way == *way);
        let begins = |begins: Option<Pc>| begins.is_some_and(|pc| self.executed.contains(&pc));
        let begun = plan.steps.iter().zip(0..).filter(|(step, _)| begins(step.begins));
        let choices = self.choices.into_iter();
        Seen {
            steps: begun.map(|(_, number)| StepNumber(number)).collect(),
            arms: self.went.iter().filter_map(|(at, way)| arm_of(*at, way)).collect(),
            choices: choices
                .filter_map(|(at, way, value)| Some(Choice { arm: arm_of(at, &way)?, value }))
                .collect(),
        }
    }
}
