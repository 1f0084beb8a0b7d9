//! Deliveries: each subscription has a lane of its own, which tries what is due and nothing else, so an endpoint that
//! hangs or fails holds up nobody but itself.
//!
//! However many deliveries are pending, only some of those that are due are at hand. What became of a try is recorded before
//! the next one of the same delivery; a node that dies in between has it tried again, under the same ID.

mod breaker;
mod lane;
mod verdict;

pub(crate) use lane::{Lane, Lanes};
pub(crate) use verdict::LONGEST_WAIT;

use crate::engine::Inner;
use crate::perform::fault_kind;
use hookflow_flow::{FaultKind, Message};
use hookflow_runtime::fault_point;
use hookflow_store::{Delivery, DeliveryState, StoreError};
use lane::{Allowed, InHand};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use verdict::{Verdict, judge};

/// How many deliveries of a subscription are at hand.
const AT_HAND: usize = 64;
/// How long a try may take.
const TIMEOUT: Duration = Duration::from_secs(15);
/// How soon the store is asked again when it did not answer.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// Nothing is heard of in so long: the store is looked into all the same.
const LOOK_AGAIN: Duration = Duration::from_mins(1);

impl Inner {
    /// Tries what is due to a subscription until the service goes down.
    pub(crate) async fn deliver_on_and_on(self: Arc<Self>, lane: Arc<Lane>) {
        let heartbeat = self.heartbeats.register("deliveries");
        let mut soft = self.soft.clone();
        let mut at_hand = VecDeque::new();
        loop {
            let seen = lane.changes.count();
            let Some(later) = self.try_due(&lane, &mut at_hand).await else {
                heartbeat.beat();
                if soft.is_set() {
                    return heartbeat.end();
                }
                continue;
            };
            let come = async {
                tokio::select! {
                    biased;
                    () = lane.changes.reach(seen.saturating_add(1)) => {}
                    () = self.clock.sleep(later) => {}
                }
            };
            tokio::select! {
                biased;
                () = heartbeat.wait(come) => {}
                () = soft.wait() => return heartbeat.end(),
            }
        }
    }

    /// Begins as many tries as may be made now. Returns how long to wait when nothing changes before; `None`: there may be
    /// more that is due.
    async fn try_due(
        self: &Arc<Self>,
        lane: &Arc<Lane>,
        at_hand: &mut VecDeque<Arc<str>>,
    ) -> Option<Duration> {
        let now = self.clock.now();
        let mut room = match lane.allowed(now) {
            Allowed::Tries(0) => return Some(LOOK_AGAIN),
            Allowed::Tries(room) => room,
            Allowed::Not(None) => {
                at_hand.clear();
                return Some(LOOK_AGAIN);
            }
            Allowed::Not(Some(until)) => {
                at_hand.clear();
                return Some(Duration::try_from(until.duration_since(now)).unwrap_or_default());
            }
        };
        let mut next = None;
        let fetched = at_hand.is_empty();
        if fetched {
            let due = self.store.outbox().due_deliveries(&self.owner.node, &lane.id, now, AT_HAND).await;
            match due {
                Ok(due) => {
                    at_hand.extend(due.ids);
                    next = due.next;
                }
                Err(error) => {
                    tracing::error!(subscription = &*lane.id, %error, "the store does not say which deliveries are due");
                    return Some(ASK_AGAIN);
                }
            }
        }
        let mut began = false;
        while room > 0
            && let Some(id) = at_hand.pop_front()
        {
            let Some(seat) = self.lanes.seat(lane) else {
                // One of its own is under way, and the lane is told when that is over.
                at_hand.push_front(id);
                return Some(LOOK_AGAIN);
            };
            let Some(in_hand) = lane.take(&id, seat) else { continue };
            (room, began) = (room - 1, true);
            let engine = Arc::clone(self);
            self.tasks.spawn("delivery", async move { engine.deliver(in_hand, &id).await });
        }
        if at_hand.is_empty() && (began || !fetched) && room > 0 {
            return None;
        }
        let until = next.map(|next| Duration::try_from(next.duration_since(now)).unwrap_or_default());
        Some(until.unwrap_or(LOOK_AGAIN).min(LOOK_AGAIN))
    }

    /// One try of a delivery.
    async fn deliver(&self, in_hand: InHand, id: &Arc<str>) {
        let lane = in_hand.lane();
        if self.soft.is_set() {
            return;
        }
        let delivery = match self.store.outbox().delivery(id).await {
            Ok(Some(delivery)) => delivery,
            Ok(None) => return,
            Err(error) => {
                tracing::error!(delivery = &**id, %error, "a delivery cannot be read");
                return self.clock.sleep(ASK_AGAIN).await;
            }
        };
        let due = delivery.line.due.is_some_and(|due| due <= self.clock.now());
        if delivery.line.state != DeliveryState::Pending || !due {
            return;
        }
        let Some(verdict) = self.try_once(lane, &delivery).await else { return };
        fault_point("engine.delivered");
        let (told, now) = (verdict.tried.clone(), self.clock.now());
        loop {
            match self.store.outbox().settle(&self.owner, id, delivery.line.tries, told.clone()).await {
                Ok(_) => break,
                Err(StoreError::Unavailable(why)) if !self.soft.is_set() => {
                    tracing::error!(delivery = &**id, why, "the outcome of a delivery waits for the store");
                    self.clock.sleep(ASK_AGAIN).await;
                }
                Err(error) => {
                    tracing::error!(delivery = &**id, %error, "the outcome of a delivery is lost");
                    // It is still due, so it stays in hand for a while: else it would be sent again at once.
                    let mut soft = self.soft.clone();
                    return tokio::select! {
                        biased;
                        () = soft.wait() => {}
                        () = self.clock.sleep(LOOK_AGAIN) => {}
                    };
                }
            }
        }
        lane.series.count(verdict.tried.state);
        if verdict.gone {
            let why = "its endpoint answered 410: it wants nothing any more";
            if let Err(error) = self.turn_off(lane, why).await {
                tracing::error!(subscription = &*lane.id, %error, "the store does not keep that a subscription is off");
            }
        }
        if lane.hear(&verdict, now)
            && let Err(error) = self.store.set_state(&lane.breaker_key(), lane.breaker().as_deref()).await
        {
            tracing::error!(subscription = &*lane.id, %error, "the store does not keep that an endpoint is set aside");
        }
    }

    async fn try_once(&self, lane: &Lane, delivery: &Delivery) -> Option<Verdict> {
        let subscription = lane.subscription()?;
        let caller = self.lanes.caller()?;
        let kept = &delivery.line;
        let message = Message {
            delivery: &kept.id,
            event_id: &kept.event,
            event: &kept.name,
            created_at: kept.at,
            data: &delivery.data,
        };
        let began = self.clock.monotonic();
        let outcome = match subscription.request(&message, self.clock.now()) {
            Ok(request) => {
                let answer = caller.send(request, TIMEOUT).await;
                answer.map_err(|fault| (fault_kind(fault.kind), fault.message))
            }
            Err(why) => Err((FaultKind::Refused, why)),
        };
        let took = self.clock.monotonic().saturating_duration_since(began);
        let last = kept.tries.saturating_add(1) >= subscription.max_attempts;
        let chance = self.chance.bytes::<2>();
        Some(judge(outcome.as_ref(), (kept.tries, last), (self.clock.now(), took), chance))
    }
}
