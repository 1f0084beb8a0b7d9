//! Raise: from a fault to the innermost handler, and from there to the end of the run.

use super::Run;
use super::fiber::{Active, Parent};
use crate::step_kind::Stop;
use crate::{End, Fault, FaultKind, StepNumber};
use hookflow_expr::EvalError;
use std::sync::Arc;

impl Run {
    /// Unwinds to the innermost handler; without one, the turn, and in the end the run, fails.
    pub(super) fn raise(&mut self, fiber: usize, step: StepNumber, why: Stop) {
        let mut fault = fault_of(why);
        if fault.step.is_none() {
            fault.step = Some(self.name(step).to_string());
        }
        let Some(current) = self.fibers.get_mut(fiber) else { return };
        while let Some(active) = current.scopes.pop() {
            if let Some(handled) = active.handling {
                // The handler itself failed.
                current.error.clone_from(&active.outer_error);
                fault.cause = fault.cause.or(Some(handled));
            } else if let Some(handler) = active.handler {
                let error = Arc::new(fault.to_json());
                let outer = current.error.replace(error);
                current.scopes.push(Active::handling(Box::new(fault), outer));
                current.pc = handler;
                return;
            }
        }
        match current.parent {
            Some(Parent { fork, .. }) => {
                if let Some(fork) = self.forks.get_mut(fork) {
                    fork.fault.get_or_insert(fault);
                }
                self.finish_turn(fiber, None);
            }
            None => self.fail(fiber, fault),
        }
    }

    /// The run fails: once into the flow's `on_error`, then for good.
    fn fail(&mut self, fiber: usize, mut fault: Fault) {
        match (self.failing.take(), self.plan.on_error) {
            (None, Some(handler)) => {
                let error = Arc::new(fault.to_json());
                self.failing = Some(fault);
                self.with(fiber, |fiber| {
                    fiber.error = Some(error);
                    fiber.pc = handler;
                });
            }
            (before, _) => {
                fault.cause = fault.cause.or(before.map(Box::new));
                self.end = Some(End::Failed(fault));
            }
        }
    }
}

/// What a stop says of itself.
pub(super) fn fault_of(stop: Stop) -> Fault {
    match stop {
        Stop::Fault(fault) => *fault,
        Stop::Eval(error) => expression_fault(&error),
    }
}

fn expression_fault(error: &EvalError) -> Fault {
    let position = error.span.position();
    let message =
        format!("{} ({}:{}:{})", error.message, error.span.source.name, position.line, position.column);
    Fault::new(FaultKind::Expression, error.code, message)
}
