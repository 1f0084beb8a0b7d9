//! Events that go out, and their deliveries to who has subscribed to them.

use crate::{Owner, Pending, Pruned};
use hookflow_text::Json;
use jiff::Timestamp;
use std::sync::Arc;

/// How many deliveries one page of a list looks at.
pub const DELIVERIES_PER_PAGE: usize = 10_000;
/// How many tries of a delivery are kept, the latest: more than one sending takes, however often it is sent again.
pub const TRIES_KEPT: usize = 50;

/// The part of a store that keeps events that go out. An event and its deliveries are written in one transaction, so who was
/// told that an event is kept knows that all its deliveries are.
pub trait Outbox: Send + Sync {
    /// Keeps an event that no run has emitted, with its deliveries. An event with a key that is known is the first one again.
    fn publish(&self, owner: &Owner, event: &Outgoing) -> Pending<Published>;

    /// A node's pending deliveries to a subscription whose moment has come, the earliest first, and when the next one's
    /// comes.
    fn due_deliveries(
        &self,
        node: &str,
        subscription: &str,
        now: Timestamp,
        limit: usize,
    ) -> Pending<DueDeliveries>;

    /// A delivery with what it carries; `None`: it is not kept.
    fn delivery(&self, id: &str) -> Pending<Option<Delivery>>;

    /// What came of the tries of a delivery, the oldest first: the latest [`TRIES_KEPT`], over all its sendings.
    fn tries(&self, id: &str) -> Pending<Vec<Json>>;

    /// Records what came of a try of a pending delivery. Returns whether it was: not when it had other `tries` by now, for
    /// then somebody has had it sent again.
    fn settle(&self, owner: &Owner, id: &str, tries: u32, outcome: Tried) -> Pending<bool>;

    /// Has a delivery made again as if it were new. Returns whose it is; `None`: it is not kept.
    fn resend(&self, id: &str, now: Timestamp) -> Pending<Option<Resent>>;

    /// Deliveries that are kept, the newest first, from before the position `before`. A page may be short and still have a
    /// next one: it looks at [`DELIVERIES_PER_PAGE`].
    fn deliveries(&self, filter: &DeliveryFilter, before: Option<u64>, limit: usize)
    -> Pending<DeliveryPage>;

    /// The first events that a run has emitted, in order, each with its deliveries.
    fn emitted_by(&self, run: &str, limit: usize) -> Pending<Vec<EmittedLine>>;

    /// How many deliveries of a node are pending, by subscription.
    fn undelivered(&self, node: &str) -> Pending<Vec<Undelivered>>;

    /// Forgets events with their deliveries, the oldest first, at most `limit` of them.
    fn forget_events(&self, keep: &KeepEvents, limit: usize) -> Pending<Pruned>;
}

/// An event that goes out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// Its ID, without `_`.
    pub id: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// When it was emitted.
    pub at: Timestamp,
    /// Where it comes from.
    pub by: Emitter,
    /// What it carries, as JSON. These bytes are in every delivery.
    pub data: Arc<str>,
    /// Who gets it.
    pub to: Vec<Arc<str>>,
}

/// Where an event comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Emitter {
    /// A place of the run that it is recorded with. A place emits once.
    Place(Arc<str>),
    /// Somebody who is no flow, and how it is known there.
    Caller(Option<Arc<str>>),
}

/// What became of an event that was published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// Its ID, or that of the first one with its key.
    pub id: Arc<str>,
    /// Whether it is new.
    pub is_new: bool,
}

/// The deliveries to a subscription whose moment has come.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DueDeliveries {
    /// The earliest first.
    pub ids: Vec<Arc<str>>,
    /// When the first of those that are not due will be.
    pub next: Option<Timestamp>,
}

/// How far a delivery has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryState {
    /// It waits for a try.
    Pending,
    /// It was taken.
    Delivered,
    /// It is not tried any more.
    Failed,
}

/// A delivery in a list.
#[derive(Debug, Clone, PartialEq)]
pub struct DeliveryLine {
    /// Its place in the order of deliveries.
    pub position: u64,
    /// Its ID, the same for each of its tries.
    pub id: Arc<str>,
    /// To whom.
    pub subscription: Arc<str>,
    /// The event's ID.
    pub event: Arc<str>,
    /// The event's name.
    pub name: Arc<str>,
    /// When the event was emitted.
    pub at: Timestamp,
    /// How far it has come.
    pub state: DeliveryState,
    /// How often it was tried.
    pub tries: u32,
    /// When it is tried next.
    pub due: Option<Timestamp>,
    /// What came of the last try.
    pub last: Option<Json>,
}

/// A delivery with what it carries.
#[derive(Debug, Clone, PartialEq)]
pub struct Delivery {
    /// The delivery.
    pub line: DeliveryLine,
    /// The run that has emitted the event.
    pub run: Option<Arc<str>>,
    /// What the event carries, as JSON.
    pub data: Arc<str>,
}

/// What came of a try.
#[derive(Debug, Clone, PartialEq)]
pub struct Tried {
    /// How far the delivery has come with it.
    pub state: DeliveryState,
    /// When it is tried next, if it is pending.
    pub due: Option<Timestamp>,
    /// What is told of it.
    pub told: Json,
}

/// A delivery that is made again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resent {
    /// To whom.
    pub subscription: Arc<str>,
    /// Whose it is.
    pub node: Arc<str>,
}

/// Which deliveries to look for; nothing set: all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeliveryFilter {
    /// To this subscription.
    pub subscription: Option<Arc<str>>,
    /// That have come so far.
    pub state: Option<DeliveryState>,
    /// Of events of this name.
    pub event: Option<Arc<str>>,
    /// Emitted then or later.
    pub since: Option<Timestamp>,
    /// Emitted before.
    pub until: Option<Timestamp>,
}

impl DeliveryFilter {
    pub(crate) fn fits(&self, line: &DeliveryLine) -> bool {
        self.subscription.as_ref().is_none_or(|wanted| *wanted == line.subscription)
            && self.state.is_none_or(|wanted| wanted == line.state)
            && self.event.as_ref().is_none_or(|wanted| *wanted == line.name)
            && self.since.is_none_or(|since| line.at >= since)
            && self.until.is_none_or(|until| line.at < until)
    }
}

/// Deliveries of a list.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DeliveryPage {
    /// The newest first.
    pub deliveries: Vec<DeliveryLine>,
    /// Where the next page begins; `None`: there is nothing more.
    pub next: Option<u64>,
}

/// An event that a run has emitted.
#[derive(Debug, Clone, PartialEq)]
pub struct EmittedLine {
    /// Its ID.
    pub id: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// When.
    pub at: Timestamp,
    /// To whom it goes.
    pub deliveries: Vec<DeliveryLine>,
}

/// The pending deliveries to a subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undelivered {
    /// To whom.
    pub subscription: Arc<str>,
    /// How many.
    pub deliveries: u64,
}

/// Which events are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeepEvents {
    /// Those without a pending delivery that were emitted since.
    pub since: Timestamp,
    /// Those with one that were emitted since.
    pub pending_since: Timestamp,
    /// About how many bytes of what those carry that have no pending delivery.
    pub bytes: u64,
    /// How many of these.
    pub events: u64,
}

/// The ID of a delivery.
pub(crate) fn delivery_id(event: &str, subscription: &str) -> Arc<str> {
    format!("{event}_{subscription}").into()
}

/// The event and the subscription of a delivery.
pub(crate) fn parts_of(id: &str) -> Option<(&str, &str)> {
    id.split_once('_')
}
