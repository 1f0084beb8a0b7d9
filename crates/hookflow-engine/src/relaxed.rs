//! Flows with `durability: relaxed`: what of their runs lies in memory only.
//!
//! An event is written when its run fails, asks the world for something, or can neither begin nor end before the process
//! does. What ended well without any of this is a line in a short list. A sender's own ID of a request is known again
//! as long as the process lives.

use crate::engine::Inner;
use crate::queue::{FlowQueue, Overall};
use crate::ticket::Accepted;
use crate::{Duplicate, Engine};
use hookflow_flow::{End, Reply};
use hookflow_store::{Ended, RunFilter, RunLine, RunStatus, StoreError};
use hookflow_text::Json;
use hookflow_trigger::Event;
use jiff::Timestamp;
use std::cmp::Reverse;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How many runs of a flow are listed.
const LISTED: usize = 1_000;
/// How many senders' IDs of a flow are known again.
const SEEN: usize = 10_000;
/// How many bytes of replies are kept with them.
const SEEN_BYTES: usize = 4 << 20;

/// What is remembered of a relaxed flow.
pub(crate) struct Relaxed {
    flow: Arc<str>,
    overall: Arc<Overall>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The oldest end first.
    ran: VecDeque<Ran>,
    seen: HashMap<Key, First>,
    /// The oldest first; also those that were forgotten before their time.
    order: VecDeque<(Key, Arc<str>)>,
    /// Of the replies.
    bytes: usize,
}

/// A run that ended well and was not written.
struct Ran {
    run: Arc<str>,
    started_at: Timestamp,
    ended_at: Timestamp,
    version: Arc<str>,
}

/// Who sent it, and how it is called there.
type Key = (Option<Arc<str>>, String);

/// The run of an event that may come again.
struct First {
    run: Arc<str>,
    /// Until when it is known, and what it replied.
    ended: Option<(Timestamp, Option<Arc<Reply>>)>,
}

impl Relaxed {
    pub(crate) fn new(flow: Arc<str>, overall: Arc<Overall>) -> Self {
        Self { flow, overall, state: Mutex::default() }
    }

    /// Lists a run that ended well.
    pub(crate) fn ran(&self, accepted: &Accepted, version: &Arc<str>, now: Timestamp) {
        let ran = Ran {
            run: Arc::clone(&accepted.run),
            started_at: accepted.started_at,
            ended_at: now,
            version: Arc::clone(version),
        };
        let mut state = self.lock();
        let makes_room = state.ran.len() >= LISTED || !self.overall.list_one_more(state.ran.is_empty());
        let forgotten = if makes_room { state.ran.pop_front() } else { None };
        state.ran.push_back(ran);
        drop(state);
        drop(forgotten);
    }

    /// Takes the sender's ID of an event for a run, or says whose it is.
    pub(crate) fn claim(&self, event: &Event, run: &Arc<str>, now: Timestamp) -> Result<(), Duplicate> {
        let Some(key) = key(event) else { return Ok(()) };
        let mut state = self.lock();
        if let Some(first) = state.seen.get(&key).filter(|first| first.is_known(now)) {
            return Err(first.duplicate());
        }
        state.forget(&key);
        state.order.push_back((key.clone(), Arc::clone(run)));
        state.seen.insert(key, First { run: Arc::clone(run), ended: None });
        state.keep_bounds();
        Ok(())
    }

    /// The run that an event repeats, as far as it is known here.
    pub(crate) fn first(&self, event: &Event, now: Timestamp) -> Option<Duplicate> {
        let state = self.lock();
        state.seen.get(&key(event)?).filter(|first| first.is_known(now)).map(First::duplicate)
    }

    /// A run has ended: its event is known again with its reply, unless another try of the sender may fare better.
    pub(crate) fn ended(
        &self,
        (event, run): (&Event, &Arc<str>),
        end: &End,
        reply: Option<&Arc<Reply>>,
        now: Timestamp,
    ) {
        let Some((key, id)) = key(event).zip(event.replay()) else { return };
        let mut state = self.lock();
        let is_bad = |reply: &Arc<Reply>| reply.status.is_server_error() || reply.status.as_u16() == 429;
        let State { seen, bytes, .. } = &mut *state;
        let Some(first) = seen.get_mut(&key).filter(|first| first.run == *run) else { return };
        if matches!(end, End::Failed(_)) || reply.is_some_and(is_bad) {
            return state.forget(&key);
        }
        let until = now.checked_add(id.remember).unwrap_or(Timestamp::MAX);
        first.ended = Some((until, reply.cloned()));
        *bytes += reply.map_or(0, |reply| reply.body.len());
        state.keep_bounds();
    }

    /// A run will not come: whoever sends its event again is let in.
    pub(crate) fn release(&self, event: &Event, run: &Arc<str>) {
        let Some(key) = key(event) else { return };
        let mut state = self.lock();
        if state.seen.get(&key).is_some_and(|first| first.run == *run && first.ended.is_none()) {
            state.forget(&key);
        }
    }

    fn lines(&self, fits: &impl Fn(&Ran) -> bool, found: &mut Vec<RunLine>, end: &Arc<End>) {
        let state = self.lock();
        found.extend(state.ran.iter().filter(|ran| fits(ran)).map(|ran| RunLine {
            position: 0,
            run: Arc::clone(&ran.run),
            flow: Arc::clone(&self.flow),
            attempt: 1,
            started_at: ran.started_at,
            version: Arc::clone(&ran.version),
            replays: None,
            status: RunStatus::Succeeded,
            ended: Some(Ended { end: Arc::clone(end), at: ran.ended_at }),
        }));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing under the lock can panic half way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Relaxed {
    fn drop(&mut self) {
        self.overall.list_fewer(self.lock().ran.len());
    }
}

impl State {
    fn forget(&mut self, key: &Key) {
        if let Some(first) = self.seen.remove(key) {
            self.bytes -= first.bytes();
        }
    }

    /// Beyond the bounds, a repeat that comes late enough is a new event.
    fn keep_bounds(&mut self) {
        while self.order.len() > SEEN || self.bytes > SEEN_BYTES {
            let Some((key, run)) = self.order.pop_front() else { return };
            if self.seen.get(&key).is_some_and(|first| first.run == run) {
                self.forget(&key);
            }
        }
    }
}

impl First {
    fn is_known(&self, now: Timestamp) -> bool {
        self.ended.as_ref().is_none_or(|(until, _)| *until > now)
    }

    fn duplicate(&self) -> Duplicate {
        let (run, ended) = (Arc::clone(&self.run), self.ended.is_some());
        Duplicate { run, ended, reply: self.ended.as_ref().and_then(|(_, reply)| reply.clone()) }
    }

    fn bytes(&self) -> usize {
        let reply = self.ended.as_ref().and_then(|(_, reply)| reply.as_ref());
        reply.map_or(0, |reply| reply.body.len())
    }
}

fn key(event: &Event) -> Option<Key> {
    let replay = event.replay()?;
    Some((event.credential().cloned(), replay.id.clone()))
}

/// An event that somebody was told of and that lies in memory only. Whoever lets go of it before its run has ended has
/// it written, so that it goes on at the next start. Not to be dropped under a queue's lock.
pub(crate) struct Owed {
    pub accepted: Arc<Accepted>,
    engine: Arc<Inner>,
    queue: Arc<FlowQueue>,
}

impl Owed {
    pub(crate) fn new(engine: &Arc<Inner>, queue: &Arc<FlowQueue>, accepted: Arc<Accepted>) -> Self {
        Self { accepted, engine: Arc::clone(engine), queue: Arc::clone(queue) }
    }
}

impl Drop for Owed {
    fn drop(&mut self) {
        if !self.accepted.is_in_memory_only() {
            return;
        }
        let new_run = self.accepted.new_run(self.queue.nothing_yet());
        let accepted = Arc::clone(&self.accepted);
        let settled = Box::new(move |outcome| match outcome {
            // Its own hand had handed it over before.
            Ok(_) | Err(StoreError::Ended) => drop(accepted.set_kept()),
            Err(error) => {
                let (run, flow) = (&*accepted.run, &*accepted.flow);
                tracing::error!(run, flow, %error, "an accepted event of a relaxed flow is lost");
            }
        });
        self.engine.store.admit(&self.engine.owner, self.engine.clock.now(), vec![(new_run, settled)]);
    }
}

impl Engine {
    /// Runs of relaxed flows that ended well and were not written, the newest first and from before a run, as far as
    /// they are remembered. They have no position.
    pub fn relaxed_runs(
        &self,
        filter: &RunFilter,
        before: Option<&(Timestamp, Arc<str>)>,
        limit: usize,
    ) -> Vec<RunLine> {
        if filter.status.is_some_and(|status| status != RunStatus::Succeeded) {
            return Vec::new();
        }
        let fits = |ran: &Ran| {
            filter.since.is_none_or(|since| ran.started_at >= since)
                && filter.until.is_none_or(|until| ran.started_at < until)
                && filter.search.as_ref().is_none_or(|text| ran.run.contains(text))
                && before.is_none_or(|(at, run)| (ran.started_at, &ran.run) < (*at, run))
        };
        let (mut found, end) = (Vec::new(), Arc::new(End::Succeeded(Json::Null)));
        for queue in self.0.all_queues() {
            if filter.flow.as_ref().is_none_or(|flow| **flow == *queue.flow())
                && let Some(relaxed) = queue.relaxed_if_any()
            {
                relaxed.lines(&fits, &mut found, &end);
            }
        }
        found.sort_by_key(|line| Reverse((line.started_at, Arc::clone(&line.run))));
        found.truncate(limit);
        found
    }
}
