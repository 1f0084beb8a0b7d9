//! One instruction after the other.

use super::fiber::{Active, Fiber, State};
use super::unwind::fault_of;
use super::{MAX_EFFECTS, Open, Run};
use crate::plan::{Branch, Instruction, Pc};
use crate::step_kind::{Asks, Stop};
use crate::{Ask, Effect, End, Fact, Fault, FaultKind, Outcome, StepNumber};
use hookflow_expr::EvalError;
use hookflow_text::{Code, Json, weight};
use std::sync::Arc;

impl Run {
    /// One instruction. An error is raised at the step it names.
    pub(super) fn execute(
        &mut self,
        fiber: usize,
        instruction: &Instruction,
    ) -> Result<(), (StepNumber, Stop)> {
        match instruction {
            Instruction::Eval { step, value } => {
                let value = value.eval(&self.env(fiber, *step)).map_err(at(*step))?;
                self.keep(fiber, *step, value).map_err(|fault| (*step, fault.into()))?;
                self.go(fiber, None);
            }
            Instruction::Branch { step, branch } => {
                let to = self.branch(fiber, *step, branch).map_err(at(*step))?;
                self.go(fiber, to);
            }
            Instruction::Ask { step, request } => return self.ask(fiber, *step, request.as_ref()),
            Instruction::Tell { step, telling } => {
                if telling.answers() && self.reply.is_some() {
                    self.ignored_replies += 1;
                } else {
                    let name = self.name(*step);
                    let effect =
                        telling.tell(&self.env(fiber, *step), &name).map_err(|stop| (*step, stop))?;
                    self.tell(effect).map_err(|fault| (*step, fault.into()))?;
                }
                self.go(fiber, None);
            }
            Instruction::Enter { handler, timeout } => {
                let deadline = timeout.and_then(|timeout| self.at.checked_add(timeout).ok());
                self.with(fiber, |fiber| fiber.scopes.push(Active::scope(*handler, deadline)));
                self.go(fiber, None);
            }
            Instruction::Leave => {
                self.with(fiber, Fiber::leave);
                self.go(fiber, None);
            }
            Instruction::Fork { step, each, after } => return self.fork(fiber, *step, each, *after),
            Instruction::Join { step, collect } => {
                let value = match collect {
                    Some(collect) => Some(collect.eval(&self.env(fiber, *step)).map_err(at(*step))?),
                    None => None,
                };
                let bytes = value.as_deref().map_or(0, weight);
                self.spend(bytes).map_err(|fault| (*step, fault.into()))?;
                self.finish_turn(fiber, value);
            }
            Instruction::Raise { step, failure } => {
                let fault = failure.fault(&self.env(fiber, *step)).map_err(at(*step))?;
                return Err((*step, fault.into()));
            }
            Instruction::End { step, value } => {
                let value = match (value, step) {
                    (Some(value), Some(step)) => value.eval(&self.env(fiber, *step)).map_err(at(*step))?,
                    _ => Arc::new(Json::Null),
                };
                // A run whose `on_error` has run is still a failed one.
                self.end = Some(match self.failing.take() {
                    Some(fault) => End::Failed(fault),
                    None => End::Succeeded(Arc::unwrap_or_clone(value)),
                });
            }
        }
        Ok(())
    }

    fn branch(&self, fiber: usize, step: StepNumber, branch: &Branch) -> Result<Option<Pc>, EvalError> {
        Ok(match branch {
            Branch::Always(to) => Some(*to),
            Branch::Unless(test, to) => (!test.test(&self.env(fiber, step))?).then_some(*to),
            Branch::Switch { on, cases, default } => {
                let value = on.eval(&self.env(fiber, step))?;
                let target = match &*value {
                    Json::String(text) => cases.get(text.as_str()),
                    other => cases.get(other.to_string().as_str()),
                };
                Some(*target.unwrap_or(default))
            }
        })
    }

    fn ask(&mut self, fiber: usize, step: StepNumber, request: &dyn Asks) -> Result<(), (StepNumber, Stop)> {
        self.count_effect().map_err(|fault| (step, fault.into()))?;
        let verb = self.plan.step(step).map_or("", |info| info.verb);
        let place = self.place(fiber, step);
        if !self.known.contains_key(&place) {
            let deadline = self.fibers.get(fiber).and_then(Fiber::deadline);
            let step_name = self.name(step);
            let ask =
                Ask { place: place.clone(), verb, attempt: 1, not_before: None, deadline, step: step_name };
            match request.ask(&self.env(fiber, step), ask) {
                Ok(effect) => self.effects.push(effect),
                Err(why) => return Err((step, self.not_asked(fiber, step, request, why))),
            }
        }
        self.open.insert(place, Open { fiber, verb });
        self.with(fiber, |fiber| fiber.state = State::Waiting);
        Ok(())
    }

    /// A request that could not be made: its step holds a result like that of one that failed.
    fn not_asked(&mut self, fiber: usize, step: StepNumber, request: &dyn Asks, why: Stop) -> Stop {
        let mut fault = fault_of(why);
        fault.step = Some(self.name(step).to_string());
        let outcome = Outcome::Failed { kind: fault.kind, message: fault.message.clone() };
        let (mut result, _) = request.settle(&outcome, 0);
        if let Json::Object(map) = &mut result {
            map.insert("error".to_owned(), fault.to_json());
        }
        self.keep(fiber, step, Arc::new(result)).err().unwrap_or(fault).into()
    }

    /// A tell counts against the run's bounds like an ask.
    fn tell(&mut self, effect: Effect) -> Result<(), Fault> {
        self.count_effect()?;
        match &effect {
            Effect::Log(line) => {
                self.spend(line.text.len() + line.fields.values().map(weight).sum::<usize>())?;
            }
            Effect::Reply(reply) => {
                self.spend(reply.body.len())?;
                self.reply = Some(reply.clone());
            }
            Effect::Call(..) => {}
        }
        self.effects.push(effect);
        Ok(())
    }

    fn count_effect(&mut self) -> Result<(), Fault> {
        self.asked += 1;
        if self.asked > MAX_EFFECTS {
            let message = format!("the run asked for more than {MAX_EFFECTS} effects");
            return Err(Fault::new(FaultKind::Limit, Code("run.limit"), message));
        }
        Ok(())
    }

    /// The outcome of an ask: the step's result, and its fault if it has one.
    pub(super) fn settle(&mut self, fiber: usize, fact: &Fact) {
        let step = fact.place.step;
        let plan = Arc::clone(&self.plan);
        let pc = self.fibers.get(fiber).map_or(0, |fiber| fiber.pc);
        let Some(Instruction::Ask { request, .. }) = plan.code.get(pc) else { return };
        let (mut result, fault) = match &fact.outcome {
            Outcome::Failed { kind: FaultKind::Cancelled, message } => {
                (Json::Null, Some(Fault::new(FaultKind::Cancelled, Code("run.cancelled"), message.clone())))
            }
            outcome => request.settle(outcome, fact.attempt),
        };
        let fault = fault.map(|mut fault| {
            fault.step = Some(self.name(step).to_string());
            if let Json::Object(map) = &mut result {
                map.insert("error".to_owned(), fault.to_json());
            }
            fault
        });
        self.with(fiber, |fiber| fiber.state = State::Ready);
        self.ready.push_back(fiber);
        let kept = self.keep(fiber, step, Arc::new(result));
        match kept.err().or(fault) {
            Some(fault) => self.raise(fiber, step, fault.into()),
            None => self.go(fiber, None),
        }
    }
}

/// An expression's error, raised at a step.
pub(super) fn at(step: StepNumber) -> impl Fn(EvalError) -> (StepNumber, Stop) {
    move |error| (step, error.into())
}
