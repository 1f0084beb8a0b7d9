//! Fork and join: the turns of a loop.

use super::execute::at;
use super::fiber::{Fiber, Fork, Parent, State, Turn};
use super::{Run, scope};
use crate::plan::{Each, Pc};
use crate::step_kind::Stop;
use crate::{Fault, FaultKind, StepNumber};
use hookflow_text::{Code, Json};
use std::sync::Arc;

impl Run {
    pub(super) fn fork(
        &mut self,
        fiber: usize,
        step: StepNumber,
        each: &Each,
        after: Pc,
    ) -> Result<(), (StepNumber, Stop)> {
        let list = each.list.eval(&self.env(fiber, step)).map_err(at(step))?;
        let Json::Array(items) = &*list else {
            let message = format!("`in` gave {}, which is not a list", scope::kind(&list));
            return Err((
                step,
                Fault::new(FaultKind::Expression, Code("step.for.not-a-list"), message).into(),
            ));
        };
        if items.len() > each.max {
            let message = format!("the list has {} items, more than `max`: {}", items.len(), each.max);
            return Err((step, Fault::new(FaultKind::Limit, Code("step.for.too-many"), message).into()));
        }
        let count = items.len();
        let body = self.fibers.get(fiber).map_or(0, |fiber| fiber.pc) + 1;
        let number = self.forks.len();
        self.forks.push(Fork {
            parent: fiber,
            step,
            item: Arc::clone(&each.item),
            list,
            count,
            collected: None,
            body,
            after,
            next: 0,
            running: 0,
            fault: None,
        });
        self.with(fiber, |fiber| fiber.state = State::Waiting);
        if count == 0 {
            self.join(number);
            return Ok(());
        }
        for _ in 0..each.limit.min(count) {
            self.begin_turn(number);
        }
        Ok(())
    }

    fn begin_turn(&mut self, number: usize) {
        let Some(fork) = self.forks.get_mut(number) else { return };
        let index = fork.next;
        fork.next += 1;
        fork.running += 1;
        let item = fork.list.get(index).cloned().unwrap_or(Json::Null);
        let turn = Turn { name: Arc::clone(&fork.item), index, count: fork.count, item: Arc::new(item) };
        let Some(parent) = self.fibers.get(fork.parent) else { return };
        let child = Fiber::turn(parent, turn, fork.body, Parent { fork: number, index });
        // A fiber that is done makes room, so a long loop keeps few of them.
        let slot = self.fibers.iter().position(|fiber| fiber.state == State::Done);
        let slot = slot.unwrap_or(self.fibers.len());
        match self.fibers.get_mut(slot) {
            Some(free) => *free = child,
            None => self.fibers.push(child),
        }
        self.ready.push_back(slot);
    }

    /// A turn is over: the next one begins, or the loop is done.
    pub(super) fn finish_turn(&mut self, fiber: usize, value: Option<Arc<Json>>) {
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
            (fork.parent, fork.next < fork.count && fork.fault.is_none(), fork.running);
        if more && !self.is_doomed(parent) {
            self.begin_turn(number);
        } else if running == 0 {
            self.join(number);
        }
    }

    /// All turns are over: the fiber that forked goes on, or fails with the first fault.
    fn join(&mut self, number: usize) {
        let Some(fork) = self.forks.get_mut(number) else { return };
        let (parent, step, after) = (fork.parent, fork.step, fork.after);
        let fault = fork.fault.take();
        let collected = fork.collected.take().map_or(Json::Null, Json::Array);
        fork.list = Arc::new(Json::Null);
        let result = if fork.count == 0 && collected.is_null() { Json::Array(Vec::new()) } else { collected };
        self.with(parent, |fiber| fiber.state = State::Ready);
        self.ready.push_back(parent);
        let kept = self.keep(parent, step, Arc::new(result));
        match fault.or(kept.err()) {
            Some(fault) => self.raise(parent, step, fault.into()),
            None => self.go(parent, Some(after)),
        }
    }

    /// Whether a fork around this fiber has failed, so that it must not begin another step.
    pub(super) fn is_doomed(&self, fiber: usize) -> bool {
        let mut parent = self.fibers.get(fiber).and_then(|fiber| fiber.parent);
        while let Some(Parent { fork, .. }) = parent {
            let Some(fork) = self.forks.get(fork) else { return false };
            if fork.fault.is_some() {
                return true;
            }
            parent = self.fibers.get(fork.parent).and_then(|fiber| fiber.parent);
        }
        false
    }
}
