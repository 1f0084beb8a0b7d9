//! One instruction after the other.

use super::fiber::{Active, Exit, Fiber, State};
use super::unwind::fault_of;
use super::{MAX_EFFECTS, Open, Run, scope};
use crate::arm::{Made, Way};
use crate::plan::{Branch, Instruction, Pc};
use crate::retry::{Failed, retry_after};
use crate::step_kind::{Asks, Stop};
use crate::{Ask, Effect, Fact, Fault, FaultKind, Outcome, StepNumber};
use hookflow_expr::EvalError;
use hookflow_text::{Code, Json, weight};
use jiff::Timestamp;
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
                let (value, fault) = value.make(&self.env(fiber, *step)).map_err(|stop| (*step, stop))?;
                self.keep(fiber, *step, value).map_err(|fault| (*step, fault.into()))?;
                if let Some(fault) = fault {
                    return Err((*step, fault.into()));
                }
                self.go(fiber, None);
            }
            Instruction::Branch { step, branch } => {
                let to = self.branch(fiber, *step, branch).map_err(at(*step))?;
                self.go(fiber, to);
            }
            Instruction::Ask { step, request } => return self.ask(fiber, *step, request.as_ref(), 1, None),
            Instruction::Tell { step, telling } => {
                if telling.answers() && self.reply.is_some() {
                    self.ignored_replies += 1;
                } else {
                    let name = self.name(*step);
                    let place = self.place(fiber, *step);
                    let effect =
                        telling.tell(&self.env(fiber, *step), &name, &place).map_err(|stop| (*step, stop))?;
                    self.tell(effect).map_err(|fault| (*step, fault.into()))?;
                }
                self.go(fiber, None);
            }
            Instruction::Enter(scope) => {
                let scope = Active::open(scope.clone(), self.at);
                self.with(fiber, |fiber| fiber.scopes.push(scope));
                self.go(fiber, None);
            }
            Instruction::Leave => self.leave(fiber),
            Instruction::Fork { step, over, after } => return self.fork(fiber, *step, over, *after),
            Instruction::Join { step, collect } => {
                let value = match collect {
                    Some(collect) => Some(collect.eval(&self.env(fiber, *step)).map_err(at(*step))?),
                    None => None,
                };
                let bytes = value.as_deref().map_or(0, weight);
                self.spend(bytes).map_err(|fault| (*step, fault.into()))?;
                self.finish_line(fiber, value);
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
                self.unwind(fiber, Exit::Ended(value));
            }
        }
        Ok(())
    }

    fn branch(&mut self, fiber: usize, step: StepNumber, branch: &Branch) -> Result<Option<Pc>, EvalError> {
        let at = self.fibers.get(fiber).map_or(0, |fiber| fiber.pc);
        Ok(match branch {
            Branch::Always(to) => Some(*to),
            Branch::Unless(test, to) => {
                let env = self.env(fiber, step);
                let holds = test.test(&env)?;
                let way = || if holds { Way::Yes } else { Way::No };
                self.choose(fiber, at, way, |turns| Made::by(test, &env, turns, &holds.into()));
                (!holds).then_some(*to)
            }
            Branch::Switch { on, cases, default } => {
                let env = self.env(fiber, step);
                let value = on.eval(&env)?;
                let case = match &*value {
                    Json::String(text) => cases.get_key_value(text.as_str()),
                    other => cases.get_key_value(other.to_string().as_str()),
                };
                let way = || case.map_or(Way::Otherwise, |(key, _)| Way::Case(key.clone()));
                self.choose(fiber, at, way, |turns| Made::by(on, &env, turns, &value));
                Some(case.map_or(*default, |(_, to)| *to))
            }
        })
    }

    fn ask(
        &mut self,
        fiber: usize,
        step: StepNumber,
        request: &dyn Asks,
        attempt: u32,
        not_before: Option<Timestamp>,
    ) -> Result<(), (StepNumber, Stop)> {
        self.count_effect().map_err(|fault| (step, fault.into()))?;
        let verb = self.plan.step(step).map_or("", |info| info.verb);
        let place = self.place(fiber, step);
        if !self.known.contains(&(place.clone(), attempt)) {
            let deadline = self.fibers.get(fiber).and_then(Fiber::deadline);
            let (step_name, at) = (self.name(step), self.at);
            let ask = Ask { place: place.clone(), verb, attempt, at, not_before, deadline, step: step_name };
            match request.ask(&self.env(fiber, step), ask) {
                Ok(effect) => self.effects.push(effect),
                Err(why) => return Err((step, self.not_asked(fiber, step, request, why))),
            }
        }
        self.open.insert(place, Open { fiber, verb, attempt });
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
            Effect::Reply(reply, _) => {
                self.spend(reply.body.len())?;
                self.reply = Some(reply.clone());
            }
            Effect::Emit(emission) => self.spend(weight(&emission.data))?,
            Effect::Call(..) | Effect::Sleep(_) | Effect::Wait(..) | Effect::Run(..) => {}
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

    /// The outcome of an ask: another try, or the step's result, and its fault if it has one.
    pub(super) fn settle(&mut self, fiber: usize, fact: &Fact) {
        let step = fact.place.step;
        let plan = Arc::clone(&self.plan);
        let pc = self.fibers.get(fiber).map_or(0, |fiber| fiber.pc);
        let Some(Instruction::Ask { request, .. }) = plan.code.get(pc) else { return };
        self.with(fiber, |fiber| fiber.state = State::Ready);
        self.ready.push_back(fiber);
        if let Outcome::Failed { kind: FaultKind::Cancelled, message } = &fact.outcome {
            let fault = Fault::new(FaultKind::Cancelled, Code("run.cancelled"), message.clone());
            let fault = self.named(step, fault);
            return self.unwind(fiber, Exit::Cancelled(Box::new(fault)));
        }
        let (mut result, fault) = request.settle(&fact.outcome, fact.attempt);
        if let Some(due) = fault.as_ref().and_then(|fault| self.another_try(fiber, fact, fault)) {
            if let Err((step, stop)) =
                self.ask(fiber, step, request.as_ref(), fact.attempt.saturating_add(1), Some(due))
            {
                self.raise(fiber, step, stop);
            }
            return;
        }
        let fault = fault.map(|fault| {
            let fault = self.named(step, fault);
            if let Json::Object(map) = &mut result {
                map.insert("error".to_owned(), fault.to_json());
            }
            fault
        });
        let kept = self.keep(fiber, step, Arc::new(result));
        match kept.err().or(fault) {
            Some(fault) => self.raise(fiber, step, fault.into()),
            None => self.go(fiber, None),
        }
    }

    /// When the ask is asked again. Its `timeout` then begins anew.
    fn another_try(&mut self, fiber: usize, fact: &Fact, fault: &Fault) -> Option<Timestamp> {
        if self.is_doomed(fiber) {
            return None;
        }
        let at = self.at;
        let turns = &self.fibers.get(fiber)?.turns;
        let chance = scope::chance(&self.start.seed, fact.place.step, turns);
        let current = self.fibers.get_mut(fiber)?;
        let scope = current
            .scopes
            .pop_if(|active| matches!(active, Active::Open { scope, .. } if scope.retry.is_some()))?;
        let deadline = current.deadline();
        let Active::Open { scope, since, deadline: own } = scope else { return None };
        // The time for tries does not pass while the first one waits for its turn.
        let since = fact.left.unwrap_or(since);
        let retry_after = match &fact.outcome {
            Outcome::Answered { headers, .. } => retry_after(headers, at),
            _ => None,
        };
        let failed = Failed { fault, attempt: fact.attempt, since, at, deadline, retry_after, chance };
        let due = scope.retry.as_ref().and_then(|retry| retry.next(&failed));
        let deadline = match (due, scope.timeout) {
            (Some(due), Some(timeout)) => due.checked_add(timeout).ok(),
            _ => own,
        };
        current.scopes.push(Active::Open { scope, since, deadline });
        due
    }
}

/// An expression's error, raised at a step.
pub(super) fn at(step: StepNumber) -> impl Fn(EvalError) -> (StepNumber, Stop) {
    move |error| (step, error.into())
}
