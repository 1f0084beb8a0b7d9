//! Deliveries as JSON, and what a run has emitted.

use super::shown::Room;
use super::{History, HistoryFault, MOST, USUAL};
use crate::asked::{Asked, Wrong};
use hookflow_store::{
    Delivery, DeliveryFilter, DeliveryLine, DeliveryPage, DeliveryState, EmittedLine, StoreError,
};
use hookflow_text::Json;
use jiff::Timestamp;
use serde_json::json;
use std::collections::BTreeMap;

/// How many events of a run are shown.
const EVENTS: usize = 1_000;

const STATES: [(&str, DeliveryState); 3] = [
    ("pending", DeliveryState::Pending),
    ("delivered", DeliveryState::Delivered),
    ("failed", DeliveryState::Failed),
];

impl Asked {
    /// Which deliveries.
    pub(crate) fn deliveries(&mut self, now: Timestamp) -> Result<DeliveryFilter, Wrong> {
        Ok(DeliveryFilter {
            subscription: self.text("subscription").map(Into::into),
            state: self.word("state", &STATES)?,
            event: self.text("event").map(Into::into),
            since: self.moment("since", now)?,
            until: self.moment("until", now)?,
        })
    }
}

impl History {
    /// A page of deliveries, `{"items": […], "next": cursor or null}`, as the fields of a query ask for it.
    ///
    /// # Errors
    /// When a field is not known or cannot be read, or the store does not answer.
    pub async fn deliveries(
        &self,
        query: BTreeMap<String, String>,
        now: Timestamp,
    ) -> Result<Json, HistoryFault> {
        let mut asked = Asked::query(query);
        let (filter, before) = (asked.deliveries(now)?, asked.read("before", "a cursor")?);
        let limit = asked.read("limit", "a number")?.unwrap_or(USUAL).min(MOST);
        asked.finish()?;
        let page = self.delivery_page(&filter, before, limit).await?;
        let items: Vec<_> = page.deliveries.iter().map(delivery_line).collect();
        Ok(json!({"items": items, "next": page.next.map(|next| next.to_string())}))
    }

    /// Everything that is known of a delivery, with each of its tries; `None`: it is not kept.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn delivery(&self, id: &str) -> Result<Option<Json>, HistoryFault> {
        let outbox = self.store.outbox();
        let Some(Delivery { line, run, data }) = outbox.delivery(id).await? else {
            return Ok(None);
        };
        let tries = outbox.tries(id).await?;
        let mut shown = delivery_line(&line);
        let data = serde_json::from_str(&data).unwrap_or(Json::Null);
        if let Json::Object(shown) = &mut shown {
            shown.insert("tries".into(), tries.into());
            shown.insert("run".into(), run.as_deref().into());
            shown.insert("data".into(), Room::default().show(&data));
        }
        super::mask(&mut shown);
        Ok(Some(shown))
    }

    /// A page as the store gives it.
    pub(crate) async fn delivery_page(
        &self,
        filter: &DeliveryFilter,
        before: Option<u64>,
        limit: usize,
    ) -> Result<DeliveryPage, StoreError> {
        self.store.outbox().deliveries(filter, before, limit).await
    }

    /// The events that a run has emitted.
    pub(super) async fn emitted_by(&self, run: &str) -> Result<Json, StoreError> {
        let emitted = self.store.outbox().emitted_by(run, EVENTS).await?;
        let line = |EmittedLine { id, name, at, deliveries }: &EmittedLine| {
            let deliveries = deliveries.iter().map(delivery_line).collect::<Vec<_>>();
            json!({"event_id": &**id, "event": &**name, "at": at.to_string(), "deliveries": deliveries})
        };
        Ok(emitted.iter().map(line).collect())
    }
}

/// A delivery in a list.
pub(crate) fn delivery_line(line: &DeliveryLine) -> Json {
    let state = STATES.iter().find(|(_, state)| *state == line.state);
    json!({
        "delivery": &*line.id,
        "subscription": &*line.subscription,
        "event_id": &*line.event,
        "event": &*line.name,
        "created_at": line.at.to_string(),
        "state": state.map(|(word, _)| *word),
        "attempts": line.tries,
        "next_at": line.due.map(|due| due.to_string()),
        "last": line.last,
    })
}
