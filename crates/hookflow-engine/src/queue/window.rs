//! The part of a flow's events that lies in memory.
//!
//! A flow may have a million events; some hundred of them are at hand and the rest is in the store. One owner, the
//! queue's lock, knows how far they were loaded and which turn is the last: a fresh event goes straight to the workers
//! only when nothing before it is in the store only. So nothing overtakes, is skipped or is loaded twice.

use super::{Caller, FlowQueue, Item, QueuePlace, State, Work};
use crate::due::Changes;
use crate::engine::Inner;
use hookflow_runtime::fault_point;
use hookflow_store::UnfinishedRun;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// How many events of a flow are at hand.
const WINDOW: usize = 1_000;
/// How soon the store is asked again when it did not answer.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// How far a flow's events were loaded, in turns.
#[derive(Clone, Copy, Default)]
pub(super) struct Window {
    /// The last one that there is.
    last: u64,
    /// Every one up to this was at hand.
    loaded_to: u64,
    loading: bool,
}

impl Window {
    /// Whether no event is in the store only.
    pub(super) fn is_at_hand(self) -> bool {
        self.loaded_to >= self.last
    }
}

/// A stored run that waits for a worker or is in its hand: nobody else takes it up meanwhile.
pub(crate) struct InHand {
    pub run: Arc<str>,
    queue: Weak<FlowQueue>,
    /// Who looks for runs that are due hears that it may be looked at again.
    released: Arc<Changes>,
}

impl Drop for InHand {
    fn drop(&mut self) {
        if let Some(queue) = self.queue.upgrade() {
            queue.lock().in_hand.remove(&self.run);
        }
        self.released.tell();
    }
}

impl State {
    /// Whether the events at hand run low and there are more.
    pub(super) fn wants_more(&self) -> bool {
        let Window { last, loaded_to, loading } = self.window;
        !loading && loaded_to < last && self.waiting.len() <= WINDOW / 2 && !self.closed
    }
}

impl FlowQueue {
    /// An event was kept under this turn; called in the order of the commits. It is queued here, or stays in the store
    /// alone when others before it do, or when it is behind another run.
    pub(crate) fn kept(self: &Arc<Self>, engine: &Arc<Inner>, turn: u64, behind: bool, item: Item) {
        let mut state = self.lock();
        if state.closed {
            // Its place takes the lock when it is dropped.
            drop(state);
            return drop(item);
        }
        let at_hand = state.window.is_at_hand() && state.waiting.len() < WINDOW;
        let mut left = None;
        if !behind {
            state.window.last = turn;
        }
        if !behind && at_hand {
            state.window.loaded_to = turn;
            state.waiting.push_back(item);
        } else {
            let Item { work, caller, mut place } = item;
            if let (Work::Fresh(accepted), Some(caller)) = (&work, caller) {
                state.callers.insert(Arc::clone(&accepted.run), caller);
            }
            place.stays_counted();
            left = Some((work, place));
        }
        if state.wants_more() {
            self.load(engine, &mut state);
        }
        let rouse = state.rouse();
        drop(state);
        drop(left);
        self.act(engine, rouse);
    }

    /// A run that a worker has in its hand was kept under this turn; called in the order of the commits.
    pub(crate) fn kept_in_hand(&self, turn: u64) {
        let mut state = self.lock();
        if state.window.is_at_hand() {
            state.window.loaded_to = turn;
        }
        state.window.last = turn;
    }

    /// A run that nobody has in hand was kept under this turn, and is loaded in its turn; called in the order of the commits.
    pub(crate) fn kept_in_store(self: &Arc<Self>, engine: &Arc<Inner>, turn: u64) {
        let mut state = self.lock();
        state.window.last = turn;
        if state.wants_more() {
            self.load(engine, &mut state);
        }
    }

    /// Nobody else takes up the run as long as the answer lives; `None`: somebody has it.
    pub(crate) fn take_in_hand(self: &Arc<Self>, engine: &Inner, run: &Arc<str>) -> Option<InHand> {
        let taken = self.lock().in_hand.insert(Arc::clone(run));
        taken.then(|| self.in_hand(engine, run))
    }

    /// A stored run is to be taken up: one whose moment has come, or that was behind another, which still counts.
    pub(crate) fn take_up(self: &Arc<Self>, engine: &Arc<Inner>, row: &UnfinishedRun, counts: bool) {
        let mut state = self.lock();
        let Some(item) = self.item(engine, &mut state, row, counts) else { return };
        state.waiting.push_back(item);
        let rouse = state.rouse();
        drop(state);
        self.act(engine, rouse);
    }

    /// The same, for somebody else than the queue's workers.
    pub(crate) fn stored_item(
        self: &Arc<Self>,
        engine: &Inner,
        row: &UnfinishedRun,
        counts: bool,
    ) -> Option<Item> {
        let mut state = self.lock();
        self.item(engine, &mut state, row, counts)
    }

    /// `None`: somebody has the run already.
    fn item(
        self: &Arc<Self>,
        engine: &Inner,
        state: &mut State,
        row: &UnfinishedRun,
        counts: bool,
    ) -> Option<Item> {
        if state.closed || !state.in_hand.insert(Arc::clone(&row.run)) {
            return None;
        }
        let work = Work::Stored(self.in_hand(engine, &row.run));
        let caller = state.callers.remove(&row.run);
        // Its event is in memory from now on, whether or not there is room.
        self.overall.add(row.bytes);
        let place = QueuePlace { queue: Arc::clone(self), bytes: row.bytes, started: !counts };
        Some(Item { work, caller, place })
    }

    /// A parked run's caller waits on.
    pub(crate) fn keep_caller(&self, run: &Arc<str>, caller: Caller) {
        let mut state = self.lock();
        if !state.closed {
            state.callers.insert(Arc::clone(run), caller);
        }
    }

    /// What the store holds when the service starts: so many events up to this turn, none of them at hand.
    pub(crate) fn found(self: &Arc<Self>, engine: &Arc<Inner>, last_turn: u64, events: u64, bytes: u64) {
        let mut state = self.lock();
        state.items += events;
        state.bytes = state.bytes.saturating_add(bytes);
        state.window.last = state.window.last.max(last_turn);
        self.series().found_places(events, bytes);
        if state.wants_more() {
            self.load(engine, &mut state);
        }
    }

    /// Has the next events loaded.
    pub(super) fn load(self: &Arc<Self>, engine: &Arc<Inner>, state: &mut State) {
        state.window.loading = true;
        let (queue, engine) = (Arc::clone(self), Arc::clone(engine));
        let tasks = engine.tasks.clone();
        let _on_our_threads = engine.runtime.clone().enter();
        tasks.spawn("event loader", async move { queue.load_from_store(&engine).await });
    }

    async fn load_from_store(self: &Arc<Self>, engine: &Arc<Inner>) {
        loop {
            let (after, last) = {
                let state = self.lock();
                (state.window.loaded_to, state.window.last)
            };
            match engine.store.ready(&engine.owner.node, &self.flow, after, WINDOW).await {
                Ok(rows) => {
                    fault_point("engine.refilling");
                    if !self.loaded(engine, &rows, last) {
                        return;
                    }
                }
                Err(error) => {
                    tracing::error!(flow = &*self.flow, %error, "waiting events cannot be loaded");
                    engine.clock.sleep(ASK_AGAIN).await;
                }
            }
            if self.lock().closed {
                return;
            }
        }
    }

    /// Returns whether to go on at once.
    fn loaded(self: &Arc<Self>, engine: &Arc<Inner>, rows: &[UnfinishedRun], last: u64) -> bool {
        let mut state = self.lock();
        if state.closed {
            return false;
        }
        // The store may show what `kept` has not told of yet; that comes by `kept`.
        let known = state.window.last;
        for row in rows.iter().take_while(|row| row.turn <= known) {
            state.window.loaded_to = state.window.loaded_to.max(row.turn);
            let item = self.item(engine, &mut state, row, true);
            state.waiting.extend(item);
        }
        if rows.len() < WINDOW {
            // Everything up to what was the last one then has been seen.
            state.window.loaded_to = state.window.loaded_to.max(last);
        }
        state.window.loading = false;
        let more = state.wants_more();
        state.window.loading = more;
        let rouses: Vec<_> =
            rows.iter().map(|_| state.rouse()).take_while(|rouse| rouse.is_somebody()).collect();
        drop(state);
        for rouse in rouses {
            self.act(engine, rouse);
        }
        more
    }

    fn in_hand(self: &Arc<Self>, engine: &Inner, run: &Arc<str>) -> InHand {
        InHand {
            run: Arc::clone(run),
            queue: Arc::downgrade(self),
            released: Arc::clone(&engine.due_changed),
        }
    }
}
