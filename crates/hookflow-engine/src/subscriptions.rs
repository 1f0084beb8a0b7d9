//! Events that go out: from flows and from elsewhere, to everybody who has subscribed to them. What operators can do about
//! their deliveries.

use crate::Engine;
use crate::delivering::Lane;
use crate::engine::Inner;
use hookflow_flow::{Emission, Subscription, is_event_name};
use hookflow_outbound::Caller;
use hookflow_store::{Emitter, Outgoing, Published, StoreError};
use hookflow_text::Json;
use jiff::Timestamp;
use serde_json::json;
use std::sync::Arc;

/// The largest data that an event from elsewhere carries.
pub const EVENT_BYTES: usize = 1 << 20;
/// The longest idempotency key.
const LONGEST_KEY: usize = 256;

/// Why an event is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishRefusal {
    /// Its name cannot be one.
    #[error("`{0}` cannot be an event's name")]
    Name(String),
    /// Its key is empty or too long.
    #[error("an idempotency key has 1 to {LONGEST_KEY} characters")]
    Key,
    /// It carries too much.
    #[error("an event carries at most {EVENT_BYTES} bytes")]
    TooLarge,
    /// The store does not take it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a subscription or a delivery is left as it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeliveryRefusal {
    /// No such subscription is in force.
    #[error("no such subscription is in force")]
    UnknownSubscription,
    /// No such delivery is kept.
    #[error("no such delivery is kept")]
    UnknownDelivery,
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How a subscription stands.
#[derive(Debug, Clone)]
pub struct SubscriptionStanding {
    /// As it is in force.
    pub subscription: Arc<Subscription>,
    /// Since when it is off, and why: `{since, why}`.
    pub off: Option<Json>,
    /// Until when its endpoint is set aside, and after how many failures in a row.
    pub set_aside: Option<(Timestamp, u32)>,
    /// How many deliveries are pending.
    pub pending: u64,
}

impl Engine {
    /// Puts subscriptions in force, all at once, in place of those before. What is known of their endpoints is not begun anew,
    /// and the first caller stays.
    pub fn subscribe(&self, subscriptions: &[Arc<Subscription>], caller: Caller) {
        for lane in self.0.lanes.replace(subscriptions, caller, &self.0.metrics) {
            self.0.tasks.spawn("deliveries", Arc::clone(&self.0).deliver_on_and_on(lane));
        }
    }

    /// Takes an event from elsewhere in. When this returns, it and its deliveries are kept.
    pub async fn publish(
        &self,
        name: &str,
        data: &Json,
        key: Option<&str>,
    ) -> Result<Published, PublishRefusal> {
        if !is_event_name(name) {
            return Err(PublishRefusal::Name(name.chars().take(LONGEST_KEY).collect()));
        }
        if key.is_some_and(|key| key.is_empty() || key.len() > LONGEST_KEY) {
            return Err(PublishRefusal::Key);
        }
        let data = data.to_string();
        if data.len() > EVENT_BYTES {
            return Err(PublishRefusal::TooLarge);
        }
        let engine = &self.0;
        let event = engine.outgoing(name.into(), data, Emitter::Caller(key.map(Into::into)));
        let published = engine.store.outbox().publish(&engine.owner, &event).await?;
        if published.is_new {
            engine.metrics.emitted.inc();
            engine.lanes.tell(&event.to);
        }
        Ok(published)
    }

    /// Has a delivery made again, with all its attempts.
    pub async fn resend(&self, delivery: &str) -> Result<(), DeliveryRefusal> {
        let engine = &self.0;
        let resent = engine.store.outbox().resend(delivery, engine.clock.now()).await?;
        let resent = resent.ok_or(DeliveryRefusal::UnknownDelivery)?;
        engine.lanes.tell(&[resent.subscription]);
        Ok(())
    }

    /// Turns a subscription off: what is emitted for it is kept and waits.
    pub async fn turn_off(&self, subscription: &str) -> Result<(), DeliveryRefusal> {
        let lane = self.0.lanes.get(subscription).ok_or(DeliveryRefusal::UnknownSubscription)?;
        Ok(self.0.turn_off(&lane, "an operator has turned it off").await?)
    }

    /// Turns a subscription on again, and tries its endpoint at once although it may have been set aside.
    pub async fn turn_on(&self, subscription: &str) -> Result<(), DeliveryRefusal> {
        let engine = &self.0;
        let lane = engine.lanes.get(subscription).ok_or(DeliveryRefusal::UnknownSubscription)?;
        engine.store.set_state(&lane.off_key(), None).await?;
        engine.store.set_state(&lane.breaker_key(), None).await?;
        lane.turn(None);
        tracing::info!(subscription, "an operator has the subscription go on");
        Ok(())
    }

    /// How the subscriptions in force stand, by name.
    pub async fn subscriptions(&self) -> Result<Vec<SubscriptionStanding>, StoreError> {
        let engine = &self.0;
        let undelivered = engine.store.outbox().undelivered(&engine.owner.node).await?;
        let standing = |lane: Arc<Lane>| {
            let pending = undelivered.iter().find(|it| it.subscription == lane.id);
            Some(SubscriptionStanding {
                subscription: lane.subscription()?,
                off: lane.off(),
                set_aside: lane.set_aside(),
                pending: pending.map_or(0, |it| it.deliveries),
            })
        };
        Ok(engine.lanes.all().into_iter().filter_map(standing).collect())
    }
}

impl Inner {
    /// An event that a run has emitted, on its way to the store.
    pub(crate) fn emitted(&self, emission: &Emission) -> Outgoing {
        self.metrics.emitted.inc();
        let place = Emitter::Place(emission.place.to_string().into());
        self.outgoing(Arc::clone(&emission.event), emission.data.to_string(), place)
    }

    fn outgoing(&self, name: Arc<str>, data: String, by: Emitter) -> Outgoing {
        let (now, to) = (self.clock.now(), self.lanes.who_gets(&name));
        let id = self.chance.uuid_v7_at(now).to_string().into();
        Outgoing { id, name, at: now, by, data: data.into(), to }
    }

    pub(crate) async fn turn_off(&self, lane: &Lane, why: &str) -> Result<(), StoreError> {
        let off = json!({"since": self.clock.now().to_string(), "why": why});
        self.store.set_state(&lane.off_key(), Some(&off.to_string())).await?;
        lane.turn(Some(off));
        tracing::warn!(subscription = &*lane.id, why, "a subscription is off");
        Ok(())
    }

    /// Shows how many deliveries are pending.
    pub(crate) async fn count_undelivered(&self) -> Result<(), StoreError> {
        let lanes = self.lanes.all();
        if lanes.is_empty() {
            return Ok(());
        }
        let undelivered = self.store.outbox().undelivered(&self.owner.node).await?;
        for lane in lanes {
            let pending = undelivered.iter().find(|it| it.subscription == lane.id);
            let pending = pending.map_or(0, |it| i64::try_from(it.deliveries).unwrap_or(i64::MAX));
            lane.series.pending.set(pending);
        }
        Ok(())
    }
}
