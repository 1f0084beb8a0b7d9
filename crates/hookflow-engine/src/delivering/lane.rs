//! The lanes: one for each subscription, with what is known of its endpoint. They outlive reloads.

use super::breaker::Breaker;
use super::verdict::Verdict;
use crate::due::Changes;
use crate::metrics::{DeliverySeries, Metrics};
use arc_swap::ArcSwapOption;
use hookflow_flow::Subscription;
use hookflow_outbound::Caller;
use hookflow_store::{DeliveryState, Store, StoreError};
use hookflow_text::Json;
use jiff::Timestamp;
use serde_json::json;
use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How many tries of one subscription are under way at the same time.
const TRIES: usize = 8;
/// How many of all, beside the one that each subscription has a seat of its own for: however many endpoints hang, nobody waits
/// for another's seat before it can try anything at all.
const SEATS: usize = 256;
/// Under which keys the store keeps what operators and endpoints have turned off, and which endpoints are set aside.
const OFF: &str = "subscription-off/";
const BREAKER: &str = "subscription-breaker/";

/// All lanes.
pub(crate) struct Lanes {
    seats: Arc<Semaphore>,
    by_id: Mutex<BTreeMap<Arc<str>, Arc<Lane>>>,
    caller: OnceLock<Caller>,
    /// As it was when the service started.
    kept: BTreeMap<Arc<str>, Arc<str>>,
}

/// A subscription's lane.
pub(crate) struct Lane {
    pub id: Arc<str>,
    pub changes: Changes,
    pub series: DeliverySeries,
    /// `None` when it is not in force any more.
    subscription: ArcSwapOption<Subscription>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    off: Option<Json>,
    breaker: Breaker,
    /// Its endpoint wants nothing before.
    held_until: Option<Timestamp>,
    in_hand: HashSet<Arc<str>>,
}

/// What may be tried now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Allowed {
    /// So many more.
    Tries(usize),
    /// Nothing, until a moment or until something changes.
    Not(Option<Timestamp>),
}

/// Where a try is made: the lane's own seat, or one of those that all share.
pub(super) struct Seat {
    _shared: Option<OwnedSemaphorePermit>,
}

/// A delivery that is being tried.
pub(super) struct InHand {
    lane: Arc<Lane>,
    id: Arc<str>,
    _seat: Seat,
}

impl Lanes {
    /// With what the store keeps of them.
    pub(crate) async fn kept(store: &dyn Store) -> Result<Self, StoreError> {
        let mut kept = store.states(OFF).await?;
        kept.extend(store.states(BREAKER).await?);
        Ok(Self {
            seats: Arc::new(Semaphore::new(SEATS)),
            by_id: Mutex::default(),
            caller: OnceLock::new(),
            kept,
        })
    }

    /// Puts subscriptions in force in place of those before. Returns the lanes that are new.
    pub(crate) fn replace(
        &self,
        subscriptions: &[Arc<Subscription>],
        caller: Caller,
        metrics: &Metrics,
    ) -> Vec<Arc<Lane>> {
        self.caller.get_or_init(|| caller);
        let (mut lanes, mut new) = (self.lock(), Vec::new());
        for lane in lanes.values().filter(|lane| !subscriptions.iter().any(|it| it.id == lane.id)) {
            lane.subscription.store(None);
        }
        for subscription in subscriptions {
            let lane = lanes.entry(Arc::clone(&subscription.id)).or_insert_with(|| {
                let lane = Arc::new(Lane::new(&subscription.id, &self.kept, metrics));
                new.push(Arc::clone(&lane));
                lane
            });
            lane.subscription.store(Some(Arc::clone(subscription)));
        }
        for lane in lanes.values() {
            lane.changes.tell();
        }
        new
    }

    /// Who gets events of this name.
    pub(crate) fn who_gets(&self, event: &str) -> Vec<Arc<str>> {
        let lanes = self.lock();
        let gets = |lane: &Lane| lane.subscription().is_some_and(|it| it.enabled && it.gets(event));
        lanes.values().filter(|lane| gets(lane)).map(|lane| Arc::clone(&lane.id)).collect()
    }

    /// There may be something new that is due.
    pub(crate) fn tell(&self, subscriptions: &[Arc<str>]) {
        if subscriptions.is_empty() {
            return;
        }
        let lanes = self.lock();
        for lane in subscriptions.iter().filter_map(|id| lanes.get(id)) {
            lane.changes.tell();
        }
    }

    pub(crate) fn get(&self, id: &str) -> Option<Arc<Lane>> {
        self.lock().get(id).filter(|lane| lane.subscription().is_some()).cloned()
    }

    pub(crate) fn all(&self) -> Vec<Arc<Lane>> {
        self.lock().values().cloned().collect()
    }

    /// A seat for one more try of a lane; `None`: others have them, and the lane sits on its own.
    pub(super) fn seat(&self, lane: &Lane) -> Option<Seat> {
        if lane.lock().in_hand.is_empty() {
            return Some(Seat { _shared: None });
        }
        Arc::clone(&self.seats).try_acquire_owned().ok().map(|shared| Seat { _shared: Some(shared) })
    }

    pub(super) fn caller(&self) -> Option<&Caller> {
        self.caller.get()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Arc<Lane>>> {
        // Nothing under the lock can panic half way.
        self.by_id.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lane {
    fn new(id: &Arc<str>, kept: &BTreeMap<Arc<str>, Arc<str>>, metrics: &Metrics) -> Self {
        let read = |key: &str| serde_json::from_str::<Json>(kept.get(&*format!("{key}{id}"))?).ok();
        let breaker = read(BREAKER).and_then(|kept| {
            let until = kept.get("until")?.as_str()?.parse().ok()?;
            let failures = u32::try_from(kept.get("failures")?.as_u64()?).ok()?;
            Some(Breaker::open(until, failures))
        });
        let state = State { off: read(OFF), breaker: breaker.unwrap_or_default(), ..State::default() };
        let series = metrics.deliveries.of(id);
        series.off.set(i64::from(state.off.is_some()));
        series.set_aside.set(i64::from(state.breaker.until().is_some()));
        Self {
            id: Arc::clone(id),
            changes: Changes::default(),
            series,
            subscription: ArcSwapOption::empty(),
            state: Mutex::new(state),
        }
    }

    /// As it is in force.
    pub(crate) fn subscription(&self) -> Option<Arc<Subscription>> {
        self.subscription.load_full()
    }

    /// What may be tried now.
    pub(super) fn allowed(&self, now: Timestamp) -> Allowed {
        let state = self.lock();
        if state.off.is_some() || self.subscription().is_none_or(|it| !it.enabled) {
            return Allowed::Not(None);
        }
        match state.breaker.until().max(state.held_until).filter(|until| *until > now) {
            Some(until) => Allowed::Not(Some(until)),
            None => Allowed::Tries(state.breaker.tries(TRIES).saturating_sub(state.in_hand.len())),
        }
    }

    /// Takes a delivery in hand, unless it is.
    pub(super) fn take(self: &Arc<Self>, id: &Arc<str>, seat: Seat) -> Option<InHand> {
        let new = self.lock().in_hand.insert(Arc::clone(id));
        new.then(|| InHand { lane: Arc::clone(self), id: Arc::clone(id), _seat: seat })
    }

    /// Hears what came of a try. Returns whether [`Lane::breaker`] has changed.
    pub(super) fn hear(&self, verdict: &Verdict, now: Timestamp) -> bool {
        let mut state = self.lock();
        state.held_until = verdict.hold.and_then(|hold| now.checked_add(hold).ok()).max(state.held_until);
        let good = verdict.tried.state == DeliveryState::Delivered;
        if !state.breaker.hear(good, now) {
            return false;
        }
        let (failures, until) = (state.breaker.failures(), state.breaker.until());
        self.series.set_aside.set(i64::from(until.is_some()));
        match until {
            None => tracing::info!(subscription = &*self.id, "an endpoint takes deliveries again"),
            Some(until) => {
                tracing::warn!(subscription = &*self.id, failures, %until, "an endpoint fails, and is set aside");
            }
        }
        true
    }

    /// What the store keeps of its endpoint under [`Lane::breaker_key`].
    pub(super) fn breaker(&self) -> Option<String> {
        let (until, failures) = self.set_aside()?;
        Some(json!({"until": until.to_string(), "failures": failures}).to_string())
    }

    /// Turns it off, or on again; then the endpoint is tried at once.
    pub(crate) fn turn(&self, off: Option<Json>) {
        let mut state = self.lock();
        if off.is_none() {
            (state.breaker, state.held_until) = (Breaker::default(), None);
            self.series.set_aside.set(0);
        }
        self.series.off.set(i64::from(off.is_some()));
        state.off = off;
        drop(state);
        self.changes.tell();
    }

    pub(crate) fn off(&self) -> Option<Json> {
        self.lock().off.clone()
    }

    /// Until when its endpoint is set aside, and after how many failures in a row.
    pub(crate) fn set_aside(&self) -> Option<(Timestamp, u32)> {
        let state = self.lock();
        Some((state.breaker.until()?, state.breaker.failures()))
    }

    pub(crate) fn off_key(&self) -> String {
        format!("{OFF}{}", self.id)
    }

    pub(crate) fn breaker_key(&self) -> String {
        format!("{BREAKER}{}", self.id)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing under the lock can panic half way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl InHand {
    pub(super) fn lane(&self) -> &Lane {
        &self.lane
    }
}

impl Drop for InHand {
    fn drop(&mut self) {
        self.lane.lock().in_hand.remove(&self.id);
        self.lane.changes.tell();
    }
}
