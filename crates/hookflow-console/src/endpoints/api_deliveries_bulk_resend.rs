//! `/api/deliveries/resend`: has many deliveries made again, a slice for each request. Where it has got to is the cursor in
//! its answer, so nothing is resent twice when somebody goes on.

use crate::answer::{json, not_delivered, not_ready, store_refused};
use crate::asked::{Asked, Wrong};
use crate::console::Desk;
use crate::endpoint::Endpoint;
use crate::history::delivery_line;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::post;
use hookflow_engine::{DeliveryRefusal, Engine};
use hookflow_store::{DeliveryFilter, DeliveryPage};
use hookflow_text::{Json, Rate};
use jiff::Timestamp;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

/// How many deliveries a request resends unless asked for fewer.
const SLICE: usize = 100;
/// How long a request may take with its pauses.
const LONGEST: Duration = Duration::from_secs(5);

pub(crate) const API_DELIVERIES_RESEND: Endpoint = Endpoint {
    path: "/api/deliveries/resend",
    summary: "POST `{subscription, state, event, since, until, rate, dry_run, limit, before}`: has deliveries made again, newest \
              first, up to 100 in a request; its `next` goes on as `before`.",
    routes: || post(resend),
};

struct Bulk {
    filter: DeliveryFilter,
    dry_run: bool,
    pause: Duration,
    before: Option<u64>,
    limit: usize,
}

async fn resend(State(desk): State<Arc<Desk>>, body: Bytes) -> Response {
    let bulk = match Asked::body(&body).and_then(|asked| read(asked, desk.clock.now())) {
        Ok(bulk) => bulk,
        Err(wrong) => return wrong.into_problem(),
    };
    let Some(engine) = desk.engine.get() else { return not_ready() };
    let page = match desk.history.delivery_page(&bulk.filter, bulk.before, bulk.limit).await {
        Ok(page) => page,
        Err(error) => return store_refused(&error),
    };
    if bulk.dry_run {
        return answer(&page.deliveries.iter().map(delivery_line).collect::<Vec<_>>(), page.next);
    }
    resend_page(&desk, engine, &bulk, &page).await
}

async fn resend_page(desk: &Desk, engine: &Engine, bulk: &Bulk, page: &DeliveryPage) -> Response {
    let (began, mut items) = (desk.clock.monotonic(), Vec::new());
    for line in &page.deliveries {
        if desk.clock.monotonic().saturating_duration_since(began) + bulk.pause > LONGEST && !items.is_empty()
        {
            return answer(&items, Some(line.position.saturating_add(1)));
        }
        match engine.resend(&line.id).await {
            Ok(()) => items.push(delivery_line(line)),
            // Forgotten since the page was read.
            Err(DeliveryRefusal::UnknownDelivery) => continue,
            Err(refusal) => return not_delivered(&refusal),
        }
        desk.clock.sleep(bulk.pause).await;
    }
    answer(&items, page.next)
}

fn answer(items: &[Json], next: Option<u64>) -> Response {
    json(StatusCode::OK, &json!({"items": items, "next": next.map(|next| next.to_string())}))
}

fn read(mut asked: Asked, now: Timestamp) -> Result<Bulk, Wrong> {
    let filter = asked.deliveries(now)?;
    let dry_run = asked.read("dry_run", "true or false")?.unwrap_or(false);
    let pause = asked.rate("rate")?.map_or(Duration::ZERO, |Rate { count, per }| (per / count).min(LONGEST));
    let before = asked.read("before", "a cursor")?;
    let limit = asked.read("limit", "a number")?.unwrap_or(SLICE).min(SLICE);
    asked.finish()?;
    Ok(Bulk { filter, dry_run, pause, before, limit })
}
