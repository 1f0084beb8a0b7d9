//! Where steps begin and which ways there are, for whoever looks at what a run has done.

use super::Lowering;
use crate::StepNumber;
use crate::arm::{Arm, Way};
use crate::plan::Pc;
use hookflow_text::Span;

impl Lowering<'_> {
    /// One of the ways that a run may take at `at`.
    pub fn arm(
        &mut self,
        step: StepNumber,
        (at, way): (Pc, Way),
        name: impl Into<String>,
        spans: (&Span, Option<&Span>),
    ) {
        let (span, test) = (spans.0.clone(), spans.1.cloned());
        if self.disabled > 0 {
            return;
        }
        self.arms.push(Arm { step, name: name.into(), span, test, at, way });
    }

    /// The step's own instructions begin here.
    pub(super) fn begins(&mut self, step: StepNumber) {
        let here = self.here();
        if let Some(info) = self.steps.get_mut(step.0 as usize).filter(|_| self.disabled == 0) {
            info.begins = Some(here);
        }
    }
}
