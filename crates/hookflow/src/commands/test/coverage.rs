//! What the tests have seen of a flow: its steps, and the ways of its choices.

use crate::rig::RanRun;
use hookflow_flow::{Flow, StepNumber};
use hookflow_text::Span;
use std::collections::BTreeSet;
use std::sync::Arc;

/// What was seen of a flow.
pub(super) struct Coverage {
    flow: Arc<Flow>,
    steps: BTreeSet<StepNumber>,
    arms: BTreeSet<usize>,
}

/// Something that no test has seen.
pub(super) struct Missed {
    pub(super) file: String,
    pub(super) line: usize,
    pub(super) column: usize,
    /// `step stock` or `if: then`.
    pub(super) what: String,
}

impl Coverage {
    /// Nothing yet.
    pub(super) fn of(flow: &Arc<Flow>) -> Self {
        Self { flow: Arc::clone(flow), steps: BTreeSet::new(), arms: BTreeSet::new() }
    }

    /// What a run has seen, if it is one of this flow.
    pub(super) fn add(&mut self, run: &RanRun) {
        if run.flow.id == self.flow.id {
            self.steps.extend(&run.retraced.seen.steps);
            self.arms.extend(&run.retraced.seen.arms);
        }
    }

    /// How much was seen, and of how much.
    pub(super) fn counts(&self) -> (usize, usize) {
        let plan = &self.flow.plan;
        let steps = plan.steps().iter().filter(|step| step.can_run()).count();
        (self.steps.len() + self.arms.len(), steps + plan.arms().len())
    }

    /// Rounded down: what is not whole is not 100.
    pub(super) fn percent(&self) -> usize {
        match self.counts() {
            (_, 0) => 100,
            (seen, all) => seen * 100 / all,
        }
    }

    /// What no test has seen, in the order of the file.
    pub(super) fn missed(&self) -> Vec<Missed> {
        let plan = &self.flow.plan;
        let steps = plan.steps().iter().zip(0..);
        let steps =
            steps.filter(|(step, number)| step.can_run() && !self.steps.contains(&StepNumber(*number)));
        let steps = steps.map(|(step, _)| (&step.span, format!("step `{}` ({})", step.name, step.verb)));
        let arms = plan.arms().iter().enumerate().filter(|(arm, _)| !self.arms.contains(arm));
        let arms = arms.filter_map(|(_, arm)| {
            let step = plan.step(arm.step)?;
            Some((&arm.span, format!("{} of `{}` ({})", arm.name, step.name, step.verb)))
        });
        let mut missed: Vec<_> = steps.chain(arms).collect();
        missed.sort_by_key(|(span, _)| span.range.start);
        missed.into_iter().map(|(span, what)| Missed::at(span, what)).collect()
    }
}

impl Missed {
    fn at(span: &Span, what: String) -> Self {
        let position = span.position();
        Self { file: span.source.name.clone(), line: position.line, column: position.column, what }
    }
}
