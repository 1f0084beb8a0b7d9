//! The store of one life: the memory store behind a writer that takes its time, fails now and then, and one day is the
//! last thing that the process did.

use super::book::Book;
use super::dice::Dice;
use hookflow_flow::{Fact, Place};
use hookflow_runtime::{Clock, Tasks};
use hookflow_store::{
    AttemptCursor, AttemptFilter, AttemptLine, AttemptPage, Due, Erasure, FlowCount, Inbound, Journal,
    Life as Begun, NewRun, Owner, Page, Pending, Posted, Progress, Pruned, Recorded, Rejected, RejectedPage,
    Retention, RunFilter, Settled, Store, StoreError, Told, UnfinishedRun,
};
use jiff::Timestamp;
use std::any::Any;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::sync::{Notify, oneshot};

pub(super) struct Life {
    inner: Arc<dyn Store>,
    book: Arc<Mutex<Book>>,
    clock: Clock,
    state: Mutex<State>,
    work: Notify,
    /// Told when the process is dead.
    pub died: Notify,
}

struct State {
    dice: Dice,
    queue: VecDeque<Operation>,
    /// So many operations and calls until the end of the process; `None`: it lives.
    left: Option<u64>,
    dead: bool,
    /// Nothing goes wrong any more.
    calm: bool,
    /// The start is over. A store that is away then is no start, which is not simulated.
    started: bool,
    /// What a dead process would have told.
    untold: Vec<Box<dyn Any + Send>>,
}

type Operation = Box<dyn FnOnce(&Life, Fate) + Send>;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Done,
    /// The store says that it cannot.
    Failed,
    /// It is done, and nobody lives to hear of it.
    DoneUnheard,
    NeverDone,
}

impl Life {
    pub(super) fn begin(
        inner: Arc<dyn Store>,
        book: Arc<Mutex<Book>>,
        clock: Clock,
        dice: Dice,
        dies_after: Option<u64>,
    ) -> Arc<Self> {
        let (queue, untold, calm) = (VecDeque::new(), Vec::new(), dies_after.is_none());
        let state = State { dice, queue, left: dies_after, dead: false, calm, started: false, untold };
        Arc::new(Self {
            inner,
            book,
            clock,
            state: Mutex::new(state),
            work: Notify::new(),
            died: Notify::new(),
        })
    }

    /// The writer: takes what has gathered, in order.
    pub(super) fn write(self: &Arc<Self>, tasks: &Tasks) {
        let life = Arc::clone(self);
        tasks.spawn("simulated writer", async move {
            loop {
                life.work.notified().await;
                let pause = {
                    let mut state = life.state.lock().unwrap();
                    let slow = !state.calm && state.dice.one_in(6);
                    slow.then(|| state.dice.between(1, 3_000))
                };
                if let Some(pause) = pause {
                    life.clock.sleep(Duration::from_millis(pause)).await;
                }
                while let Some(operation) = life.next() {
                    let fate = life.fate();
                    operation(&life, fate);
                    tokio::task::yield_now().await;
                }
            }
        });
    }

    fn next(&self) -> Option<Operation> {
        self.state.lock().unwrap().queue.pop_front()
    }

    fn fate(&self) -> Fate {
        if self.dies_now() {
            let done = self.state.lock().unwrap().dice.one_in(2);
            return if done { Fate::DoneUnheard } else { Fate::NeverDone };
        }
        let mut state = self.state.lock().unwrap();
        match (state.dead, state.started && !state.calm) {
            (true, _) => Fate::NeverDone,
            (false, true) if state.dice.one_in(30) => Fate::Failed,
            (false, _) => Fate::Done,
        }
    }

    /// One more thing has happened. Returns whether it was the last one.
    pub(super) fn dies_now(&self) -> bool {
        let mut state = self.state.lock().unwrap();
        let Some(left) = &mut state.left else { return false };
        *left = left.saturating_sub(1);
        let dies = *left == 0 && !state.dead;
        if dies {
            state.dead = true;
            self.died.notify_one();
        }
        dies
    }

    pub(super) fn is_dead(&self) -> bool {
        self.state.lock().unwrap().dead
    }

    pub(super) fn is_calm(&self) -> bool {
        self.state.lock().unwrap().calm
    }

    /// From now on the store may be away.
    pub(super) fn started(&self) {
        self.state.lock().unwrap().started = true;
    }

    /// From now on nothing goes wrong.
    pub(super) fn calm(&self) {
        let mut state = self.state.lock().unwrap();
        (state.left, state.calm) = (None, true);
    }

    /// Writes into the book, unless the process is dead.
    pub(super) fn book<T>(&self, write: impl FnOnce(&mut Book) -> T) -> Option<T> {
        if self.is_dead() {
            return None;
        }
        Some(self.write_down(write))
    }

    fn write_down<T>(&self, write: impl FnOnce(&mut Book) -> T) -> T {
        let mut book = self.book.lock().unwrap();
        book.now = self.clock.now();
        write(&mut book)
    }

    fn never_told(&self, what: impl Any + Send) {
        self.state.lock().unwrap().untold.push(Box::new(what));
    }

    fn hand(&self, operation: Operation) {
        self.state.lock().unwrap().queue.push_back(operation);
        self.work.notify_one();
    }

    fn write_op<T: Unpin + Send + 'static>(
        &self,
        perform: impl FnOnce(&Self) -> Pending<T> + Send + 'static,
    ) -> Pending<T> {
        let (sender, answer) = oneshot::channel();
        self.hand(Box::new(move |life, fate| match fate {
            Fate::Done => drop(sender.send(at_once(perform(life)))),
            Fate::Failed => drop(sender.send(Err(away()))),
            Fate::DoneUnheard => life.never_told((at_once(perform(life)).is_ok(), sender)),
            Fate::NeverDone => life.never_told(sender),
        }));
        Pending::later(answer)
    }

    fn record_now(&self, owner: &Owner, run: &Arc<str>, progress: Progress) -> Result<Recorded, StoreError> {
        let ended = progress.ended.clone();
        let recorded = at_once(self.inner.record(owner, run, progress));
        self.write_down(|book| {
            book.line(&format!("record {run} {recorded:?}"));
            if let (Ok(_), Some(ended)) = (&recorded, &ended) {
                book.ended(run, &ended.end);
            }
        });
        recorded
    }

    fn read<T: Unpin + Send + 'static>(&self, read: impl FnOnce(&dyn Store) -> Pending<T>) -> Pending<T> {
        let mut state = self.state.lock().unwrap();
        if state.dead {
            let (sender, answer) = oneshot::channel();
            state.untold.push(Box::new(sender));
            return Pending::later(answer);
        }
        if state.started && !state.calm && state.dice.one_in(60) {
            return Pending::now(Err(away()));
        }
        drop(state);
        read(&*self.inner)
    }
}

/// The memory store answers at once.
fn at_once<T: Unpin>(pending: Pending<T>) -> Result<T, StoreError> {
    match pin!(pending).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer,
        Poll::Pending => panic!("the memory store makes somebody wait"),
    }
}

fn away() -> StoreError {
    StoreError::Unavailable("as the seed has it".into())
}

impl fmt::Debug for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a life")
    }
}

impl Store for Life {
    fn is_durable(&self) -> bool {
        true
    }

    fn outbox(&self) -> &dyn hookflow_store::Outbox {
        self.inner.outbox()
    }

    fn check(&self) -> Pending<()> {
        self.read(|store| store.check())
    }

    fn register(&self, node: &Arc<str>) -> Pending<Begun> {
        self.inner.register(node)
    }

    fn retire(&self, owner: &Owner) -> Pending<()> {
        let owner = owner.clone();
        self.write_op(move |life| life.inner.retire(&owner))
    }

    fn keep_version(&self, flow: &Arc<str>, version: &Arc<str>, document: &Arc<str>) -> Pending<()> {
        self.inner.keep_version(flow, version, document)
    }

    fn version(&self, flow: &str, version: &str) -> Pending<Option<Arc<str>>> {
        self.read(|store| store.version(flow, version))
    }

    fn admit(&self, owner: &Owner, now: Timestamp, batch: Vec<(NewRun, Settled)>) {
        for (run, settled) in batch {
            let owner = owner.clone();
            self.hand(Box::new(move |life, fate| {
                let settled: Settled = match fate {
                    Fate::Done => settled,
                    Fate::Failed => return settled(Err(away())),
                    Fate::NeverDone => return life.never_told(settled),
                    Fate::DoneUnheard => {
                        life.never_told(settled);
                        Box::new(|_| ())
                    }
                };
                let (sender, mut outcome) = oneshot::channel();
                let told = Box::new(move |outcome| drop(sender.send(outcome)));
                life.inner.admit(&owner, now, vec![(run.clone(), told)]);
                let outcome = outcome.try_recv().expect("the memory store tells at once");
                life.write_down(|book| book.admitted(&run, &outcome));
                settled(outcome);
            }));
        }
    }

    fn record(&self, owner: &Owner, run: &Arc<str>, progress: Progress) -> Pending<Recorded> {
        let (owner, run) = (owner.clone(), Arc::clone(run));
        self.write_op(move |life| Pending::now(life.record_now(&owner, &run, progress)))
    }

    fn hand_in(&self, owner: &Owner, run: &Arc<str>, progress: Progress, told: Told) {
        let (owner, run) = (owner.clone(), Arc::clone(run));
        self.hand(Box::new(move |life, fate| match fate {
            Fate::Done => told(life.record_now(&owner, &run, progress)),
            Fate::Failed => told(Err(away())),
            Fate::DoneUnheard => {
                life.never_told((life.record_now(&owner, &run, progress).is_ok(), told));
            }
            Fate::NeverDone => life.never_told(told),
        }));
    }

    fn load(&self, run: &str) -> Pending<Journal> {
        self.read(|store| store.load(run))
    }

    fn unfinished(&self, node: &str, after: u64, limit: usize) -> Pending<Vec<UnfinishedRun>> {
        self.read(|store| store.unfinished(node, after, limit))
    }

    fn ready(&self, node: &str, flow: &str, after: u64, limit: usize) -> Pending<Vec<UnfinishedRun>> {
        self.read(|store| store.ready(node, flow, after, limit))
    }

    fn counts(&self, node: &str) -> Pending<Vec<FlowCount>> {
        self.inner.counts(node)
    }

    fn due(&self, node: &str, now: Timestamp, limit: usize) -> Pending<Due> {
        self.read(|store| store.due(node, now, limit))
    }

    fn post(&self, run: &str, inbound: Inbound) -> Pending<Posted> {
        let run = run.to_owned();
        self.write_op(move |life| {
            let is_cancel = matches!(inbound, Inbound::Cancel { .. });
            let posted = at_once(life.inner.post(&run, inbound));
            life.write_down(|book| {
                book.line(&format!("post {run} cancel: {is_cancel} {posted:?}"));
                if let (true, Ok(_), Some(kept)) = (is_cancel, &posted, book.runs.get_mut(&*run)) {
                    kept.cancelled = true;
                }
            });
            Pending::now(posted)
        })
    }

    fn close(&self, owner: &Owner, run: &Arc<str>, place: &Place) -> Pending<Option<Arc<Fact>>> {
        let (owner, run, place) = (owner.clone(), Arc::clone(run), place.clone());
        self.write_op(move |life| life.inner.close(&owner, &run, &place))
    }

    fn suspect(&self, owner: &Owner, runs: Vec<Arc<str>>) -> Pending<Vec<u32>> {
        self.inner.suspect(owner, runs)
    }

    fn alone(&self, owner: &Owner, run: Option<&Arc<str>>) -> Pending<()> {
        let (owner, run) = (owner.clone(), run.cloned());
        self.write_op(move |life| life.inner.alone(&owner, run.as_ref()))
    }

    fn set_state(&self, key: &str, value: Option<&str>) -> Pending<()> {
        let (key, value) = (key.to_owned(), value.map(str::to_owned));
        self.write_op(move |life| life.inner.set_state(&key, value.as_deref()))
    }

    fn states(&self, prefix: &str) -> Pending<BTreeMap<Arc<str>, Arc<str>>> {
        self.inner.states(prefix)
    }

    fn seed(&self, run: &str) -> Pending<[u8; 16]> {
        self.read(|store| store.seed(run))
    }

    fn keep_rejected(&self, rejected: Vec<Rejected>) -> Pending<()> {
        self.write_op(move |life| life.inner.keep_rejected(rejected))
    }

    fn rejected(&self, flow: Option<&str>, before: Option<u64>, limit: usize) -> Pending<RejectedPage> {
        self.read(|store| store.rejected(flow, before, limit))
    }

    fn forget_rejected(&self, flow: Option<&str>, before: Timestamp) -> Pending<u64> {
        self.inner.forget_rejected(flow, before)
    }

    fn attempt(&self, run: &str, number: u64) -> Pending<Option<AttemptLine>> {
        self.read(|store| store.attempt(run, number))
    }

    fn attempts(
        &self,
        filter: &AttemptFilter,
        before: Option<AttemptCursor>,
        limit: usize,
    ) -> Pending<AttemptPage> {
        self.read(|store| store.attempts(filter, before, limit))
    }

    fn find(&self, filter: &RunFilter, before: Option<u64>, limit: usize) -> Pending<Page> {
        self.read(|store| store.find(filter, before, limit))
    }

    fn prune(&self, keep: &Retention, limit: usize) -> Pending<Pruned> {
        let keep = *keep;
        self.write_op(move |life| life.inner.prune(&keep, limit))
    }

    fn erase(&self, what: &Erasure, limit: usize) -> Pending<Pruned> {
        let what = what.clone();
        self.write_op(move |life| life.inner.erase(&what, limit))
    }
}
