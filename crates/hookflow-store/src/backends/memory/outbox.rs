//! Events that go out, the oldest first.

use super::Memory;
use crate::outbox::{delivery_id, parts_of};
use crate::{
    DELIVERIES_PER_PAGE, Delivery, DeliveryFilter, DeliveryLine, DeliveryPage, DeliveryState, DueDeliveries,
    EmittedLine, Emitter, KeepEvents, Outbox, Outgoing, Owner, Pending, Pruned, Published, Resent,
    TRIES_KEPT, Tried, Undelivered,
};
use hookflow_text::Json;
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

/// How many events without a pending delivery are kept: memory has better uses.
const EVENTS_KEPT: usize = 10_000;
/// About how many bytes of what these carry.
const EVENT_BYTES: u64 = 64 << 20;

/// What is kept.
#[derive(Default)]
pub(super) struct Kept {
    events: BTreeMap<u64, Event>,
    /// By ID.
    numbers: HashMap<Arc<str>, u64>,
    places: HashMap<(Arc<str>, Arc<str>), u64>,
    keys: HashMap<Arc<str>, u64>,
    /// By position.
    deliveries: BTreeMap<u64, Row>,
    /// By event and subscription.
    positions: BTreeMap<(u64, Arc<str>), u64>,
    /// Those that are pending: by node and subscription, then moment and position.
    due: BTreeMap<(Arc<str>, Arc<str>), Moments>,
    /// The events without a pending delivery, and what these carry.
    settled: BTreeSet<u64>,
    settled_bytes: u64,
    last: u64,
}

/// Moments, each with a position.
type Moments = BTreeSet<(Timestamp, u64)>;

struct Event {
    event: Outgoing,
    run: Option<Arc<str>>,
}

struct Row {
    event: u64,
    node: Arc<str>,
    line: DeliveryLine,
    /// What came of the tries before the last one.
    former: VecDeque<Json>,
}

impl Kept {
    /// What a run has emitted. A place that has emitted before does so no more.
    pub(super) fn emit(&mut self, node: &Arc<str>, run: &Arc<str>, events: &[Outgoing]) {
        for event in events {
            let Emitter::Place(place) = &event.by else { continue };
            let place = (Arc::clone(run), Arc::clone(place));
            if !self.places.contains_key(&place) {
                let n = self.insert(node, Some(run), event);
                self.places.insert(place, n);
            }
        }
    }

    fn publish(&mut self, node: &Arc<str>, event: &Outgoing) -> Published {
        let Emitter::Caller(key) = &event.by else {
            return Published { id: Arc::clone(&event.id), is_new: false };
        };
        let first = key.as_ref().and_then(|key| self.events.get(self.keys.get(key)?));
        if let Some(first) = first {
            return Published { id: Arc::clone(&first.event.id), is_new: false };
        }
        let n = self.insert(node, None, event);
        if let Some(key) = key {
            self.keys.insert(Arc::clone(key), n);
        }
        Published { id: Arc::clone(&event.id), is_new: true }
    }

    fn insert(&mut self, node: &Arc<str>, run: Option<&Arc<str>>, event: &Outgoing) -> u64 {
        self.last += 1;
        let n = self.last;
        self.numbers.insert(Arc::clone(&event.id), n);
        for subscription in &event.to {
            self.last += 1;
            let line = DeliveryLine {
                position: self.last,
                id: delivery_id(&event.id, subscription),
                subscription: Arc::clone(subscription),
                event: Arc::clone(&event.id),
                name: Arc::clone(&event.name),
                at: event.at,
                state: DeliveryState::Pending,
                tries: 0,
                due: None,
                last: None,
            };
            self.positions.insert((n, Arc::clone(subscription)), self.last);
            self.deliveries
                .insert(self.last, Row { event: n, node: Arc::clone(node), line, former: VecDeque::new() });
            self.schedule(self.last, Some(event.at));
        }
        self.events.insert(n, Event { event: event.clone(), run: run.cloned() });
        self.reckon(n);
        self.make_room();
        n
    }

    /// Gives a delivery its moment, or none.
    fn schedule(&mut self, position: u64, due: Option<Timestamp>) {
        let Some(row) = self.deliveries.get_mut(&position) else { return };
        let lane = (Arc::clone(&row.node), Arc::clone(&row.line.subscription));
        let former = std::mem::replace(&mut row.line.due, due);
        let moments = self.due.entry(lane.clone()).or_default();
        if let Some(former) = former {
            moments.remove(&(former, position));
        }
        if let Some(due) = due {
            moments.insert((due, position));
        }
        if moments.is_empty() {
            self.due.remove(&lane);
        }
    }

    fn position(&self, id: &str) -> Option<u64> {
        let (event, subscription) = parts_of(id)?;
        self.positions.get(&(*self.numbers.get(event)?, subscription.into())).copied()
    }

    fn settle(&mut self, node: &str, id: &str, tries: u32, outcome: Tried) -> bool {
        let Some(position) = self.position(id) else { return false };
        let Some(row) = self.deliveries.get_mut(&position) else { return false };
        if *row.node != *node || row.line.tries != tries || row.line.due.is_none() {
            return false;
        }
        row.line.state = outcome.state;
        row.line.tries += 1;
        let event = row.event;
        row.former.extend(row.line.last.replace(outcome.told));
        if row.former.len() >= TRIES_KEPT {
            row.former.pop_front();
        }
        self.schedule(position, outcome.due);
        self.reckon(event);
        self.make_room();
        true
    }

    fn resend(&mut self, id: &str, now: Timestamp) -> Option<Resent> {
        let position = self.position(id)?;
        let row = self.deliveries.get_mut(&position)?;
        row.line.state = DeliveryState::Pending;
        row.line.tries = 0;
        let resent = Resent { subscription: Arc::clone(&row.line.subscription), node: Arc::clone(&row.node) };
        let event = row.event;
        self.schedule(position, Some(now));
        self.reckon(event);
        Some(resent)
    }

    /// Something may be pending of an event that was not before, or the other way round.
    fn reckon(&mut self, n: u64) {
        let Some(weight) = self.events.get(&n).map(|event| weight(&event.event)) else { return };
        if self.is_pending(n) {
            self.unsettle(n, weight);
        } else if self.settled.insert(n) {
            self.settled_bytes = self.settled_bytes.saturating_add(weight);
        }
    }

    fn unsettle(&mut self, n: u64, weight: u64) {
        if self.settled.remove(&n) {
            self.settled_bytes = self.settled_bytes.saturating_sub(weight);
        }
    }

    fn is_pending(&self, n: u64) -> bool {
        self.of(n).any(|row| row.line.due.is_some())
    }

    fn of(&self, n: u64) -> impl Iterator<Item = &Row> {
        let from = (n, Arc::from(""));
        self.positions
            .range(from..)
            .take_while(move |((event, _), _)| *event == n)
            .filter_map(|(_, position)| self.deliveries.get(position))
    }

    /// What is beyond the bounds of this store goes at once. What is pending stays.
    fn make_room(&mut self) {
        while self.settled.len() > EVENTS_KEPT || self.settled_bytes > EVENT_BYTES {
            let Some(oldest) = self.settled.first().copied() else { return };
            self.forget(oldest);
        }
    }

    fn forget(&mut self, n: u64) {
        let positions: Vec<_> = self.of(n).map(|row| row.line.position).collect();
        for position in positions {
            self.schedule(position, None);
            if let Some(row) = self.deliveries.remove(&position) {
                self.positions.remove(&(row.event, row.line.subscription));
            }
        }
        let Some(Event { event, run }) = self.events.remove(&n) else { return };
        self.numbers.remove(&event.id);
        self.unsettle(n, weight(&event));
        match (event.by, run) {
            (Emitter::Place(place), Some(run)) => drop(self.places.remove(&(run, place))),
            (Emitter::Caller(Some(key)), _) => drop(self.keys.remove(&key)),
            _ => {}
        }
    }

    /// Who has a run erased means all of it.
    pub(super) fn forget_emitted_by(&mut self, run: &str) {
        let of = |event: &Event| event.run.as_deref() == Some(run);
        let all: Vec<_> = self.events.iter().filter(|(_, event)| of(event)).map(|(n, _)| *n).collect();
        for n in all {
            self.forget(n);
        }
    }

    fn forget_events(&mut self, keep: &KeepEvents, limit: usize) -> Pruned {
        let count = |events: usize| u64::try_from(events).unwrap_or(u64::MAX);
        let mut many = count(self.settled.len()).saturating_sub(keep.events);
        let mut much = self.settled_bytes.saturating_sub(keep.bytes);
        let mut found = Vec::new();
        for (n, event) in &self.events {
            let is_surplus = many > 0 || much > 0;
            if !is_surplus && event.event.at >= keep.since {
                break;
            }
            let pending = !self.settled.contains(n);
            let old = if pending {
                event.event.at < keep.pending_since
            } else {
                is_surplus || event.event.at < keep.since
            };
            if old && !pending {
                (many, much) = (many.saturating_sub(1), much.saturating_sub(weight(&event.event)));
            }
            if old {
                found.push(*n);
            }
        }
        let more = found.len() > limit;
        found.truncate(limit);
        for n in &found {
            self.forget(*n);
        }
        Pruned { runs: count(found.len()), more }
    }

    fn deliveries(&self, filter: &DeliveryFilter, before: Option<u64>, limit: usize) -> DeliveryPage {
        let older = self.deliveries.range(..before.unwrap_or(u64::MAX)).rev();
        let mut page = DeliveryPage::default();
        for (looked, (position, row)) in older.enumerate() {
            if page.deliveries.len() >= limit || looked >= DELIVERIES_PER_PAGE {
                page.next = Some(position + 1);
                break;
            }
            if filter.fits(&row.line) {
                page.deliveries.push(row.line.clone());
            }
        }
        page
    }
}

fn weight(event: &Outgoing) -> u64 {
    u64::try_from(event.data.len()).unwrap_or(u64::MAX)
}

impl Outbox for Memory {
    fn publish(&self, owner: &Owner, event: &Outgoing) -> Pending<Published> {
        let mut contents = self.lock();
        let living = contents.living(owner).map(drop);
        Pending::now(living.map(|()| contents.outbox.publish(&owner.node, event)))
    }

    fn due_deliveries(
        &self,
        node: &str,
        subscription: &str,
        now: Timestamp,
        limit: usize,
    ) -> Pending<DueDeliveries> {
        let Kept { due, deliveries, .. } = &self.lock().outbox;
        let Some(moments) = due.get(&(node.into(), subscription.into())) else {
            return Pending::now(Ok(DueDeliveries::default()));
        };
        let until_now = moments.range(..=(now, u64::MAX)).take(limit);
        let ids = until_now.filter_map(|(_, position)| deliveries.get(position));
        Pending::now(Ok(DueDeliveries {
            ids: ids.map(|row| Arc::clone(&row.line.id)).collect(),
            next: moments.range((now, u64::MAX)..).next().map(|(at, _)| *at),
        }))
    }

    fn delivery(&self, id: &str) -> Pending<Option<Delivery>> {
        let kept = &self.lock().outbox;
        let row = kept.position(id).and_then(|position| kept.deliveries.get(&position));
        let found = row.and_then(|row| {
            let Event { event, run } = kept.events.get(&row.event)?;
            Some(Delivery { line: row.line.clone(), run: run.clone(), data: Arc::clone(&event.data) })
        });
        Pending::now(Ok(found))
    }

    fn tries(&self, id: &str) -> Pending<Vec<Json>> {
        let kept = &self.lock().outbox;
        let row = kept.position(id).and_then(|position| kept.deliveries.get(&position));
        let tries = row.map(|row| row.former.iter().chain(&row.line.last).cloned().collect());
        Pending::now(Ok(tries.unwrap_or_default()))
    }

    fn settle(&self, owner: &Owner, id: &str, tries: u32, outcome: Tried) -> Pending<bool> {
        let mut contents = self.lock();
        let living = contents.living(owner).map(drop);
        Pending::now(living.map(|()| contents.outbox.settle(&owner.node, id, tries, outcome)))
    }

    fn resend(&self, id: &str, now: Timestamp) -> Pending<Option<Resent>> {
        Pending::now(Ok(self.lock().outbox.resend(id, now)))
    }

    fn deliveries(
        &self,
        filter: &DeliveryFilter,
        before: Option<u64>,
        limit: usize,
    ) -> Pending<DeliveryPage> {
        Pending::now(Ok(self.lock().outbox.deliveries(filter, before, limit)))
    }

    fn emitted_by(&self, run: &str, limit: usize) -> Pending<Vec<EmittedLine>> {
        let kept = &self.lock().outbox;
        let of = kept.events.iter().filter(|(_, event)| event.run.as_deref() == Some(run));
        let line = |(n, Event { event, .. }): (&u64, &Event)| EmittedLine {
            id: Arc::clone(&event.id),
            name: Arc::clone(&event.name),
            at: event.at,
            deliveries: kept.of(*n).map(|row| row.line.clone()).collect(),
        };
        Pending::now(Ok(of.take(limit).map(line).collect()))
    }

    fn undelivered(&self, node: &str) -> Pending<Vec<Undelivered>> {
        let kept = &self.lock().outbox;
        let mine = kept.due.iter().filter(|((of, _), _)| **of == *node);
        let count = mine.map(|((_, subscription), moments)| Undelivered {
            subscription: Arc::clone(subscription),
            deliveries: u64::try_from(moments.len()).unwrap_or(u64::MAX),
        });
        Pending::now(Ok(count.collect()))
    }

    fn forget_events(&self, keep: &KeepEvents, limit: usize) -> Pending<Pruned> {
        Pending::now(Ok(self.lock().outbox.forget_events(keep, limit)))
    }
}
