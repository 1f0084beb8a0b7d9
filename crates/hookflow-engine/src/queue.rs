//! A flow's queue: a count of places, the events that wait, and the workers that come with work and go without.
//!
//! The places are the bound: one is taken before anything else is done for an event and travels with it, so a push
//! cannot fail. The list itself grows with the load, so a flow that nobody calls costs next to nothing.

mod drain_rate;
mod pause;
mod place;
mod window;

use crate::Metrics;
use crate::engine::Inner;
use crate::metrics::Series;
use crate::relaxed::{Owed, Relaxed};
use crate::ticket::{Accepted, Conclusion};
use crate::worker::Worker;
use crate::worker::hand::UNSTORED_ENDS;
use drain_rate::DrainRate;
use hookflow_flow::{Flow, Queue};
use hookflow_runtime::Clock;
use hookflow_store::Progress;
use hookflow_text::Code;
pub(crate) use place::Overall;
pub use place::QueuePlace;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, Semaphore, oneshot};
pub(crate) use window::InHand;
use window::Window;

/// The soonest and the latest that a refused caller is asked to come again.
const RETRY_AFTER: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(5));
/// When it cannot be known.
const RETRY_SOME_TIME: Duration = Duration::from_secs(30);

pub(crate) struct FlowQueue {
    flow: Arc<str>,
    state: Mutex<State>,
    work: Notify,
    overall: Arc<Overall>,
    metrics: Arc<Metrics>,
    series: OnceLock<Series>,
    relaxed: OnceLock<Arc<Relaxed>>,
    room_for_ends: OnceLock<Arc<Semaphore>>,
    clock: Clock,
}

struct State {
    /// The flow in force; events start on it, whatever was in force when they came.
    serving: Arc<Flow>,
    /// Since when an operator has paused the flow.
    held: Option<Arc<str>>,
    /// Whether the flow counts as paused.
    counted_paused: bool,
    waiting: VecDeque<Item>,
    window: Window,
    /// The stored runs that wait here or are in a worker's hand.
    in_hand: HashSet<Arc<str>>,
    /// Who waits for a run that lies in the store only.
    callers: HashMap<Arc<str>, Caller>,
    items: u64,
    bytes: u64,
    workers: usize,
    idle: usize,
    drain: DrainRate,
    closed: bool,
}

/// Who waits for a run, and the flow that took its event in: that flow answers, whatever is in force by then. Dropping it
/// says `Gone`.
pub(crate) struct Caller {
    pub flow: Arc<Flow>,
    pub sender: oneshot::Sender<Conclusion>,
}

/// An event or a run on its way to a worker.
pub(crate) struct Item {
    pub work: Work,
    pub caller: Option<Caller>,
    pub place: QueuePlace,
}

/// What a worker is to carry.
pub(crate) enum Work {
    /// An event as it came.
    Fresh(Arc<Accepted>),
    /// The same, promised and in memory only.
    Owed(Owed),
    /// A run that lies in the store.
    Stored(InHand),
}

/// There is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full {
    /// When there may be one, as the queue has drained lately.
    pub retry_after: Duration,
    /// The status that the flow answers then: 429 or 503.
    pub status: u16,
}

/// What a worker finds.
pub(crate) enum Taken {
    Item(Item),
    Nothing,
    /// The worker is counted out and must end.
    Leave,
}

#[derive(Clone, Copy)]
enum Rouse {
    Nobody,
    Idle,
    New,
}

impl Caller {
    /// Tells it. A caller who has gone away hears nothing.
    pub(crate) fn tell(self, conclusion: Conclusion) {
        drop(self.sender.send(conclusion));
    }
}

impl Rouse {
    const fn is_somebody(self) -> bool {
        !matches!(self, Self::Nobody)
    }
}

impl FlowQueue {
    pub(crate) fn new(flow: Arc<Flow>, overall: Arc<Overall>, metrics: Arc<Metrics>, clock: Clock) -> Self {
        let id = Arc::clone(&flow.id);
        let state = State {
            serving: flow,
            held: None,
            counted_paused: false,
            waiting: VecDeque::new(),
            window: Window::default(),
            in_hand: HashSet::new(),
            callers: HashMap::new(),
            items: 0,
            bytes: 0,
            workers: 0,
            idle: 0,
            drain: DrainRate::new(clock.monotonic()),
            closed: false,
        };
        let (work, state) = (Notify::new(), Mutex::new(state));
        let (series, relaxed, room_for_ends) = (OnceLock::new(), OnceLock::new(), OnceLock::new());
        Self { flow: id, state, work, overall, metrics, series, relaxed, room_for_ends, clock }
    }

    /// The flow's ID.
    pub(crate) fn flow(&self) -> &str {
        &self.flow
    }

    /// What is counted of the flow, made when it is first used.
    pub(crate) fn series(&self) -> &Series {
        self.series.get_or_init(|| self.metrics.series(&self.flow))
    }

    /// What is remembered of a relaxed flow, made when it is first used.
    pub(crate) fn relaxed(&self) -> &Arc<Relaxed> {
        let new = || Arc::new(Relaxed::new(Arc::clone(&self.flow), Arc::clone(&self.overall)));
        self.relaxed.get_or_init(new)
    }

    /// The same, if it was used.
    pub(crate) fn relaxed_if_any(&self) -> Option<&Arc<Relaxed>> {
        self.relaxed.get()
    }

    /// For ends on their way into the store, made when it is first used.
    pub(crate) fn room_for_ends(&self) -> Arc<Semaphore> {
        Arc::clone(self.room_for_ends.get_or_init(|| Arc::new(Semaphore::new(UNSTORED_ENDS))))
    }

    /// An event is not as the webhook expects.
    pub(crate) fn mismatched(&self) {
        self.metrics.mismatched(self.series());
    }

    /// A request was refused.
    pub(crate) fn refused(&self, code: Code) {
        self.metrics.refused_of(self.series(), code);
    }

    /// An event has no dedupe key.
    pub(crate) fn without_key(&self) {
        self.metrics.without_key(self.series());
    }

    pub(crate) fn reserve(self: &Arc<Self>, bounds: &Queue, bytes: u64) -> Result<QueuePlace, Full> {
        let mut state = self.lock();
        // An event that is larger than the whole queue would never fit, so an empty queue takes it.
        let fits = state.bytes == 0 || state.bytes.saturating_add(bytes) <= bounds.bytes;
        if state.items >= bounds.capacity || !fits || !self.overall.take(bytes) {
            let retry_after = state.retry_after(&self.clock);
            return Err(Full { retry_after, status: bounds.on_full });
        }
        state.items += 1;
        state.bytes = state.bytes.saturating_add(bytes);
        drop(state);
        self.series().took_place(bytes);
        Ok(QueuePlace { queue: Arc::clone(self), bytes, started: false })
    }

    /// Puts an event that is in memory only behind the others. When there are none, a worker is free and somebody waits for
    /// the run, it begins at once, on the thread that brings it: one that waits for nothing is over when this returns. Gives
    /// the event back when the flow is paused, or when nobody waits for it and it has to be kept first: others before it are
    /// in the store only, or nothing starts any more. Then who waits is let go, and hears `Gone`.
    pub(crate) fn push(self: &Arc<Self>, engine: &Arc<Inner>, item: Item) -> Result<(), Item> {
        let mut state = self.lock();
        let has_caller = item.caller.is_some();
        if state.closed && has_caller {
            // Its place takes the lock when it is dropped.
            drop(state);
            drop(item);
            return Ok(());
        }
        if state.is_paused() || (!has_caller && (state.closed || !state.window.is_at_hand())) {
            return Err(item);
        }
        if has_caller && state.has_hand_free() {
            state.workers += 1;
            drop(state);
            let worker = Worker::new(Arc::clone(engine), Arc::clone(self));
            engine.tasks.begin("flow worker", worker.work(Some(item)));
            return Ok(());
        }
        state.waiting.push_back(item);
        let rouse = state.rouse();
        drop(state);
        self.act(engine, rouse);
        Ok(())
    }

    /// The next event, for a worker. `was_idle`: it found nothing the last time. `stays`: it would wait if there is
    /// nothing now.
    pub(crate) fn take(self: &Arc<Self>, engine: &Arc<Inner>, was_idle: bool, stays: bool) -> Taken {
        let mut state = self.lock();
        if was_idle {
            state.idle -= 1;
        }
        if state.wants_more() {
            self.load(engine, &mut state);
        }
        let has_work = !state.is_paused() && !state.waiting.is_empty();
        if state.workers > state.serving.queue.workers || (!has_work && !stays) {
            state.workers -= 1;
            // The wake-up that it takes along may have been for an event.
            let rouse = state.rouse();
            drop(state);
            self.act(engine, rouse);
            return Taken::Leave;
        }
        let Some(item) = state.waiting.pop_front_if(|_| has_work) else {
            state.idle += 1;
            return Taken::Nothing;
        };
        // A wake-up that was stored for two is not lost for the second.
        let rouse = state.rouse();
        drop(state);
        self.act(engine, rouse);
        Taken::Item(item)
    }

    /// Completes when there may be work. Made before [`Self::take`], it misses none that comes after.
    pub(crate) fn work(&self) -> impl Future<Output = ()> {
        self.work.notified()
    }

    /// An event leaves the queue for its run.
    pub(crate) fn started(&self, mut place: QueuePlace) -> QueuePlace {
        if !place.started {
            let now = self.clock.monotonic();
            self.give_back(place.bytes, |state| state.drain.count(now));
            place.started = true;
        }
        place
    }

    /// The flow that a run begins on: that of the caller who waits, else the one in force. Asked late, so that a held
    /// event runs on the flow that was mended meanwhile.
    pub(crate) fn begins_on(&self, caller: Option<&Caller>) -> Arc<Flow> {
        let waits = caller.filter(|caller| !caller.sender.is_closed());
        waits.map_or_else(|| self.serving(), |caller| Arc::clone(&caller.flow))
    }

    /// The flow in force. The store knows its version, whatever was in force when an event came.
    pub(crate) fn serving(&self) -> Arc<Flow> {
        Arc::clone(&self.lock().serving)
    }

    /// What a run begins with that has not started.
    pub(crate) fn nothing_yet(&self) -> Progress {
        Progress::none(Arc::clone(&self.serving().plan.version))
    }

    /// A worker is gone without having been told to leave.
    pub(crate) fn worker_lost(&self) {
        self.lock().workers -= 1;
    }

    /// Nothing starts any more; callers who wait are let go. Returns how many events did not start.
    pub(crate) fn close(&self) -> usize {
        let mut state = self.lock();
        state.closed = true;
        let waiting = std::mem::take(&mut state.waiting);
        let callers = std::mem::take(&mut state.callers);
        drop(state);
        drop(callers);
        waiting.len()
    }

    /// Whether nothing is in it and nobody works for it.
    pub(crate) fn is_idle(&self) -> bool {
        let state = self.lock();
        state.items == 0 && state.workers == 0 && state.in_hand.is_empty() && state.callers.is_empty()
    }

    /// Takes the flow out of what is counted.
    pub(crate) fn forget_series(&self) {
        if let Some(series) = self.series.get() {
            if std::mem::take(&mut self.lock().counted_paused) {
                series.paused.dec();
            }
            self.metrics.forget(series);
        }
    }

    fn act(self: &Arc<Self>, engine: &Arc<Inner>, rouse: Rouse) {
        match rouse {
            Rouse::Nobody => {}
            Rouse::Idle => self.work.notify_one(),
            Rouse::New => {
                let worker = Worker::new(Arc::clone(engine), Arc::clone(self));
                let _on_our_threads = engine.runtime.enter();
                engine.tasks.spawn("flow worker", worker.work(None));
            }
        }
    }

    fn give_back(&self, bytes: u64, note: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        note(&mut state);
        state.items = state.items.saturating_sub(1);
        state.bytes = state.bytes.saturating_sub(bytes);
        drop(state);
        self.series().gave_place_back(bytes);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing under the lock can panic half way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Who is to see to what waits. A new worker is counted here.
    fn rouse(&mut self) -> Rouse {
        if self.waiting.is_empty() || self.is_paused() {
            Rouse::Nobody
        } else if self.idle > 0 {
            Rouse::Idle
        } else if self.workers < self.serving.queue.workers {
            self.workers += 1;
            Rouse::New
        } else {
            Rouse::Nobody
        }
    }

    /// Whether an event would be taken up at once, unless the flow is paused. Beside idle workers there may be one too
    /// many then: the first of them that wakes leaves, so there never are too many at work.
    fn has_hand_free(&self) -> bool {
        let busy = self.workers.saturating_sub(self.idle);
        self.waiting.is_empty() && busy < self.serving.queue.workers
    }

    fn retry_after(&self, clock: &Clock) -> Duration {
        let (soonest, latest) = RETRY_AFTER;
        let time = self.drain.time_for(self.items, clock.monotonic());
        time.map_or(RETRY_SOME_TIME, |time| time.clamp(soonest, latest))
    }
}

impl Item {
    /// Whether somebody was told that its run will come.
    fn is_promised(&self) -> bool {
        match &self.work {
            Work::Fresh(accepted) => self.caller.is_none() || accepted.is_kept(),
            Work::Owed(_) | Work::Stored(_) => true,
        }
    }
}
