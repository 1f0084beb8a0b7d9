//! `/api/runs/replay`: runs the events of many runs again, a slice for each request. Where it has got to is the cursor in
//! its answer, so nothing is lost when somebody stops asking, and nothing is replayed twice when they go on.

use super::api_runs_run_replay::version;
use crate::answer::{json, not_ready, not_replayed, retry_after, store_refused};
use crate::asked::{Asked, Wrong};
use crate::console::Desk;
use crate::endpoint::Endpoint;
use crate::history::line;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::post;
use hookflow_engine::{Again, Engine, ReplayRefusal};
use hookflow_store::{Page, RunFilter, StoreError};
use hookflow_text::{Json, Rate};
use jiff::Timestamp;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

/// How many runs a request looks at unless asked for fewer.
const SLICE: usize = 100;
/// How long a request may take with its pauses.
const LONGEST: Duration = Duration::from_secs(5);

pub(crate) const API_RUNS_REPLAY: Endpoint = Endpoint {
    path: "/api/runs/replay",
    summary: "POST `{flow, status, since, until, search, version, rate, dry_run, limit, before}`: runs the events of ended \
              runs again, newest first, up to 100 in a request; its `next` goes on as `before`.",
    routes: || post(replay),
};

struct Bulk {
    filter: RunFilter,
    again: Again,
    dry_run: bool,
    pause: Duration,
    before: Option<u64>,
    limit: usize,
}

async fn replay(State(desk): State<Arc<Desk>>, body: Bytes) -> Response {
    let bulk = match Asked::body(&body).and_then(|asked| read(asked, desk.clock.now())) {
        Ok(bulk) => bulk,
        Err(wrong) => return wrong.into_problem(),
    };
    let Some(engine) = desk.engine.get() else { return not_ready() };
    let page = match desk.history.page(&bulk.filter, bulk.before, bulk.limit).await {
        Ok(page) => page,
        Err(error) => return store_refused(&error),
    };
    if bulk.dry_run {
        let ended = page.runs.iter().filter(|run| run.ended.is_some());
        return answer(&ended.map(line).collect::<Vec<_>>(), page.next, None);
    }
    replay_page(&desk, engine, &bulk, page).await
}

async fn replay_page(desk: &Desk, engine: &Engine, bulk: &Bulk, page: Page) -> Response {
    let (began, mut items) = (desk.clock.monotonic(), Vec::new());
    for run in &page.runs {
        // The run itself and all before it are still to come.
        let here = Some(run.position.saturating_add(1));
        if desk.clock.monotonic().saturating_duration_since(began) + bulk.pause > LONGEST && !items.is_empty()
        {
            return answer(&items, here, None);
        }
        if run.ended.is_none() {
            continue;
        }
        let new = match engine.replay(&run.run, &bulk.again).await {
            Ok(new) => Some(new),
            Err(
                ReplayRefusal::FlowGone(_)
                | ReplayRefusal::Version(_)
                | ReplayRefusal::Store(StoreError::Damaged(_)),
            ) => None,
            // Forgotten since the page was read.
            Err(ReplayRefusal::UnknownRun) => continue,
            Err(ReplayRefusal::Full(full)) => return answer(&items, here, Some(retry_after(&full))),
            Err(refusal) => return not_replayed(&refusal),
        };
        let mut item = line(run);
        if let Json::Object(item) = &mut item {
            item.insert("replayed_as".into(), new.as_deref().into());
        }
        items.push(item);
        desk.clock.sleep(bulk.pause).await;
    }
    answer(&items, page.next, None)
}

fn answer(items: &[Json], next: Option<u64>, retry_after: Option<u64>) -> Response {
    let next = next.map(|next| next.to_string());
    json(StatusCode::OK, &json!({"items": items, "next": next, "retry_after": retry_after}))
}

fn read(mut asked: Asked, now: Timestamp) -> Result<Bulk, Wrong> {
    let filter = asked.filter(now)?;
    let again = Again { from: None, version: version(&mut asked)? };
    let dry_run = asked.read("dry_run", "true or false")?.unwrap_or(false);
    let pause = asked.rate("rate")?.map_or(Duration::ZERO, |Rate { count, per }| (per / count).min(LONGEST));
    let before = asked.read("before", "a cursor")?;
    let limit = asked.read("limit", "a number")?.unwrap_or(SLICE).min(SLICE);
    asked.finish()?;
    Ok(Bulk { filter, again, dry_run, pause, before, limit })
}
