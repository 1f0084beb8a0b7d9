//! Fork and join: the turns of a loop, and branches side by side.

use super::execute::at;
use super::fiber::{Active, Exit, Fiber, Fork, Lines, Parent, State, Turn};
use super::{Run, scope};
use crate::arm::{Made, Way};
use crate::plan::{Each, Instruction, Over, Pc};
use crate::step_kind::Stop;
use crate::{Fault, FaultKind, Place, StepNumber};
use hookflow_text::{Code, Json};
use std::sync::Arc;

impl Run {
    pub(super) fn fork(
        &mut self,
        fiber: usize,
        step: StepNumber,
        over: &Over,
        after: Pc,
    ) -> Result<(), (StepNumber, Stop)> {
        let (lines, count, limit) = match over {
            Over::Each(each) => {
                let turns = self.turns(fiber, step, each)?;
                let (pc, count) = (self.fibers.get(fiber).map_or(0, |fiber| fiber.pc), turns.1);
                let way = || if count > 0 { Way::Yes } else { Way::No };
                let made = |turns| Made { turns, value: count.into(), reads: Vec::new() };
                self.choose(fiber, pc, way, made);
                turns
            }
            Over::Branches(branches) => (Lines::Branches(branches.clone()), branches.len(), branches.len()),
        };
        let number = self.forks.len();
        self.forks.push(Fork {
            parent: fiber,
            step,
            lines,
            count,
            collected: None,
            after,
            next: 0,
            running: 0,
            exit: None,
        });
        self.with(fiber, |fiber| fiber.state = State::Waiting);
        if count == 0 {
            self.join(number);
            return Ok(());
        }
        for _ in 0..limit.min(count) {
            self.begin_line(number);
        }
        Ok(())
    }

    /// The turns of a loop: how many, and how many side by side.
    fn turns(
        &mut self,
        fiber: usize,
        step: StepNumber,
        each: &Each,
    ) -> Result<(Lines, usize, usize), (StepNumber, Stop)> {
        let list = each.list.eval(&self.env(fiber, step)).map_err(at(step))?;
        let Json::Array(items) = &*list else {
            let message = format!("`in` gave {}, which is not a list", scope::kind(&list));
            return Err((
                step,
                Fault::new(FaultKind::Expression, Code("step.for.not-a-list"), message).into(),
            ));
        };
        let count = items.len();
        if count > each.max {
            let message = format!("the list has {count} items, more than `max`: {}", each.max);
            return Err((step, Fault::new(FaultKind::Limit, Code("step.for.too-many"), message).into()));
        }
        let body = self.fibers.get(fiber).map_or(0, |fiber| fiber.pc) + 1;
        Ok((Lines::Turns { item: Arc::clone(&each.item), list, body }, count, each.limit))
    }

    fn begin_line(&mut self, number: usize) {
        let Some(fork) = self.forks.get_mut(number) else { return };
        let index = fork.next;
        fork.next += 1;
        fork.running += 1;
        let (pc, turn) = match &fork.lines {
            Lines::Turns { item: name, list, body } => {
                let item = Arc::new(list.get(index).cloned().unwrap_or(Json::Null));
                (*body, Some(Turn { name: Arc::clone(name), index, count: fork.count, item }))
            }
            Lines::Branches(branches) => (branches.get(index).copied().unwrap_or(usize::MAX), None),
        };
        let Some(parent) = self.fibers.get(fork.parent) else { return };
        let child = Fiber::line(parent, turn, pc, Parent { fork: number, index });
        // A fiber that is done makes room, so a long loop keeps few of them.
        let slot = self.fibers.iter().position(|fiber| fiber.state == State::Done);
        let slot = slot.unwrap_or(self.fibers.len());
        match self.fibers.get_mut(slot) {
            Some(free) => *free = child,
            None => self.fibers.push(child),
        }
        self.ready.push_back(slot);
    }

    /// A line is over: the next one begins, or the fork is done.
    pub(super) fn finish_line(&mut self, fiber: usize, value: Option<Arc<Json>>) {
        let Some(Parent { fork: number, index }) = self.fibers.get(fiber).and_then(|fiber| fiber.parent)
        else {
            return;
        };
        self.with(fiber, |fiber| fiber.state = State::Done);
        let Some(fork) = self.forks.get_mut(number) else { return };
        fork.running -= 1;
        if let Some(value) = value {
            let count = fork.count;
            let collected = fork.collected.get_or_insert_with(|| vec![Json::Null; count]);
            if let Some(slot) = collected.get_mut(index) {
                *slot = Arc::unwrap_or_clone(value);
            }
        }
        let (parent, more, running) =
            (fork.parent, fork.next < fork.count && fork.exit.is_none(), fork.running);
        if more && !self.is_doomed(parent) {
            self.begin_line(number);
        } else if running == 0 {
            self.join(number);
        }
    }

    /// A line left on a way out. The first to do so decides for the fork, but for a cancelled run.
    pub(super) fn leave_fork(&mut self, number: usize, exit: Exit) {
        let Some(fork) = self.forks.get_mut(number) else { return };
        match (&fork.exit, &exit) {
            (_, Exit::Doomed) => {}
            (None, _) | (Some(_), Exit::Cancelled(_)) => {
                fork.exit = Some(exit);
                self.end_waits();
            }
            (Some(_), _) => {}
        }
    }

    /// What only waits beside something that has failed waits no longer.
    fn end_waits(&mut self) {
        let plan = Arc::clone(&self.plan);
        let gives_way = |fiber: usize| {
            let pc = self.fibers.get(fiber).map_or(0, |fiber| fiber.pc);
            matches!(plan.code.get(pc), Some(Instruction::Ask { request, .. }) if request.gives_way())
        };
        let mut over: Vec<(Place, usize)> = self
            .open
            .iter()
            .filter(|(_, open)| gives_way(open.fiber) && self.is_doomed(open.fiber))
            .map(|(place, open)| (place.clone(), open.fiber))
            .collect();
        // The open asks are in no order, and what follows must always be in the same.
        over.sort();
        for (place, fiber) in over {
            self.open.remove(&place);
            self.with(fiber, |fiber| fiber.state = State::Ready);
            self.ready.push_back(fiber);
        }
    }

    /// All lines are over: the fiber that forked goes on, or leaves like the first that left.
    fn join(&mut self, number: usize) {
        let Some(fork) = self.forks.get_mut(number) else { return };
        let (parent, step, after) = (fork.parent, fork.step, fork.after);
        let exit = fork.exit.take();
        let is_loop = matches!(fork.lines, Lines::Turns { .. });
        let collected = fork.collected.take().map_or(Json::Null, Json::Array);
        fork.lines = Lines::Branches(Vec::new());
        let none = is_loop && fork.count == 0 && collected.is_null();
        let result = if none { Json::Array(Vec::new()) } else { collected };
        self.with(parent, |fiber| fiber.state = State::Ready);
        self.ready.push_back(parent);
        let kept = self.keep(parent, step, Arc::new(result));
        match (exit, kept) {
            (Some(exit), _) => self.unwind(parent, exit),
            (None, Err(fault)) => self.raise(parent, step, fault.into()),
            (None, Ok(())) => self.go(parent, Some(after)),
        }
    }

    /// Whether something beside this fiber has failed or ended, so that it must not begin another step. A `finally` is
    /// not cut short.
    pub(super) fn is_doomed(&self, fiber: usize) -> bool {
        let finalizing = self.fibers.get(fiber).is_some_and(Fiber::is_finalizing);
        !finalizing && self.is_doomed_around(fiber)
    }

    /// The same, when the innermost scope, which is about to be left, does not count.
    pub(super) fn is_doomed_without(&self, fiber: usize) -> bool {
        let Some(current) = self.fibers.get(fiber) else { return false };
        let others = current.scopes.split_last().map(|(_, others)| others).unwrap_or_default();
        !others.iter().any(Active::is_finalizing) && self.is_doomed_around(fiber)
    }

    fn is_doomed_around(&self, fiber: usize) -> bool {
        let mut parent = self.fibers.get(fiber).and_then(|fiber| fiber.parent);
        while let Some(Parent { fork, .. }) = parent {
            let Some(fork) = self.forks.get(fork) else { return false };
            if fork.exit.is_some() {
                return true;
            }
            let Some(outer) = self.fibers.get(fork.parent).filter(|outer| !outer.is_finalizing()) else {
                return false;
            };
            parent = outer.parent;
        }
        false
    }
}
