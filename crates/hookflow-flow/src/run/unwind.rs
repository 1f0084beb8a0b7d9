//! The ways out: from a fault to the innermost handler, through every `finally`, and in the end out of the run.

use super::Run;
use super::fiber::{Active, Exit, Parent};
use crate::arm::{Made, Way};
use crate::step_kind::Stop;
use crate::{End, Fault, FaultKind, StepNumber};
use hookflow_expr::EvalError;
use hookflow_text::Json;
use std::sync::Arc;

impl Run {
    /// Fails at a step.
    pub(super) fn raise(&mut self, fiber: usize, step: StepNumber, why: Stop) {
        let fault = self.named(step, fault_of(why));
        self.unwind(fiber, Exit::Fault(Box::new(fault)));
    }

    /// A fault says where it happened.
    pub(super) fn named(&self, step: StepNumber, mut fault: Fault) -> Fault {
        fault.step = fault.step.or_else(|| Some(self.name(step).to_string()));
        fault
    }

    /// Leaves scope after scope, until something takes the exit or there is none left.
    pub(super) fn unwind(&mut self, fiber: usize, mut exit: Exit) {
        let Some(current) = self.fibers.get_mut(fiber) else { return };
        while let Some(active) = current.scopes.pop() {
            match active {
                // The handler itself failed.
                Active::Handling { fault, outer_error } => {
                    current.error = outer_error;
                    exit = exit.after(Some(Exit::Fault(fault)));
                }
                Active::Finalizing(before) => exit = exit.after(before),
                Active::Open { scope, .. } => {
                    exit = match (exit, scope.handler) {
                        (Exit::Fault(fault), Some(handler)) => {
                            let error = Arc::new(fault.to_json());
                            let outer_error = current.error.replace(Arc::clone(&error));
                            current.scopes.push(Active::Handling { fault, outer_error });
                            current.pc = handler;
                            let made = |turns| Made { turns, value: Json::clone(&error), reads: Vec::new() };
                            return self.choose(fiber, handler, || Way::Caught, made);
                        }
                        (exit, _) => exit,
                    };
                    if let Some(finally) = scope.finally {
                        current.scopes.push(Active::Finalizing(Some(exit)));
                        current.pc = finally;
                        return;
                    }
                }
            }
        }
        match current.parent {
            Some(Parent { fork, .. }) => {
                self.leave_fork(fork, exit);
                self.finish_line(fiber, None);
            }
            None => self.finish(fiber, exit),
        }
    }

    /// Closes the innermost scope in the usual way.
    pub(super) fn leave(&mut self, fiber: usize) {
        let doomed = self.is_doomed_without(fiber);
        let Some(current) = self.fibers.get_mut(fiber) else { return };
        current.pc += 1;
        match current.scopes.pop() {
            Some(Active::Open { scope, .. }) => {
                if let Some(finally) = scope.finally {
                    current.scopes.push(Active::Finalizing(None));
                    current.pc = finally;
                }
            }
            Some(Active::Handling { outer_error, .. }) => current.error = outer_error,
            Some(Active::Finalizing(Some(exit @ Exit::Cancelled(_)))) => self.unwind(fiber, exit),
            Some(Active::Finalizing(_)) if doomed => self.unwind(fiber, Exit::Doomed),
            Some(Active::Finalizing(Some(exit))) => self.unwind(fiber, exit),
            Some(Active::Finalizing(None)) | None => {}
        }
    }

    /// The run itself is out of all its scopes.
    fn finish(&mut self, fiber: usize, exit: Exit) {
        self.end = Some(match exit {
            Exit::Fault(fault) => return self.fail(fiber, *fault),
            Exit::Cancelled(mut fault) => {
                fault.cause = fault.cause.take().or(self.failing.take().map(Box::new));
                End::Failed(*fault)
            }
            // A run whose `on_error` has run is still a failed one.
            Exit::Ended(value) => match self.failing.take() {
                Some(fault) => End::Failed(fault),
                None => End::Succeeded(Arc::unwrap_or_clone(value)),
            },
            // Nothing is beside it.
            Exit::Doomed => End::Succeeded(Json::Null),
        });
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
