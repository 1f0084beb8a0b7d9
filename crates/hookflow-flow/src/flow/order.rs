//! Which events of a flow are run one after the other.

use super::{EventKey, Queue};
use crate::Plan;
use hookflow_trigger::Event;
use jiff::Timestamp;

/// Events with the same key: the next one's run begins when the former one's has ended.
#[derive(Debug)]
pub struct Order(Option<EventKey>);

impl Order {
    /// By `order_by`. A flow with one worker is in order as a whole, which its queue sees to as long as a run keeps its
    /// worker; one that waits may leave it.
    pub(super) fn of(order_by: Option<EventKey>, queue: &Queue, plan: &Plan) -> Option<Self> {
        let whole = queue.workers == 1 && plan.waits();
        (order_by.is_some() || whole).then_some(Self(order_by))
    }

    /// The event's key; `None` when it has none, and so is in no order.
    pub fn key(&self, event: &Event, now: Timestamp) -> Option<String> {
        match &self.0 {
            Some(order_by) => order_by.of(event, now),
            None => Some(String::new()),
        }
    }
}
