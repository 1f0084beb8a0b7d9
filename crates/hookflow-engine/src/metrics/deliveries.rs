//! What is counted of deliveries.

use super::{Label, OTHER, Outcome};
use hookflow_store::DeliveryState;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many subscriptions have series of their own; the rest share one.
const LABELLED: usize = 1_000;

/// What is counted.
#[derive(Debug, Default)]
pub(crate) struct DeliveryMetrics {
    tries: Family<Outcome, Counter>,
    pending: Family<Label, Gauge>,
    set_aside: Family<Label, Gauge>,
    off: Family<Label, Gauge>,
    labelled: AtomicUsize,
}

/// What is counted of a subscription.
#[derive(Debug)]
pub(crate) struct DeliverySeries {
    delivered: Counter,
    again: Counter,
    failed: Counter,
    pub pending: Gauge,
    pub set_aside: Gauge,
    pub off: Gauge,
}

impl DeliveryMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        let help = "Tries of deliveries, by subscription and by what the delivery has come to";
        registry.register("hookflow_deliveries", help, self.tries.clone());
        let help = "Deliveries that are pending, by subscription";
        registry.register("hookflow_deliveries_pending", help, self.pending.clone());
        let help = "1 while the endpoint of a subscription is set aside";
        registry.register("hookflow_subscription_set_aside", help, self.set_aside.clone());
        let help = "1 while a subscription is off";
        registry.register("hookflow_subscription_off", help, self.off.clone());
    }

    pub(crate) fn of(&self, subscription: &str) -> DeliverySeries {
        let has_own = self.labelled.fetch_add(1, Ordering::Relaxed) < LABELLED;
        let name = if has_own { subscription } else { OTHER };
        let label = [("subscription", name.to_owned())];
        let tries = |outcome: &str| {
            let label = [("subscription", name.to_owned()), ("outcome", outcome.to_owned())];
            self.tries.get_or_create_owned(&label)
        };
        DeliverySeries {
            delivered: tries("delivered"),
            again: tries("again"),
            failed: tries("failed"),
            pending: self.pending.get_or_create_owned(&label),
            set_aside: self.set_aside.get_or_create_owned(&label),
            off: self.off.get_or_create_owned(&label),
        }
    }
}

impl DeliverySeries {
    /// Counts a try, by what its delivery has come to.
    pub(crate) fn count(&self, state: DeliveryState) {
        match state {
            DeliveryState::Delivered => self.delivered.inc(),
            DeliveryState::Pending => self.again.inc(),
            DeliveryState::Failed => self.failed.inc(),
        };
    }
}
