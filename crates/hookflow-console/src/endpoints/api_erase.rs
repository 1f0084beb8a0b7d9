//! `/api/erase`: forgets ended runs of a flow before their time, such as those of somebody who wants to be forgotten.

use crate::answer::{json, store_refused};
use crate::asked::{Asked, Wrong};
use crate::console::Desk;
use crate::endpoint::Endpoint;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::post;
use hookflow_store::Erasure;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

/// How many runs are forgotten at once.
const SLICE: usize = 500;
/// How long a request may take.
const LONGEST: Duration = Duration::from_secs(5);

pub(crate) const API_ERASE: Endpoint = Endpoint {
    path: "/api/erase",
    summary: "POST `{flow, key}`: forgets the ended runs of a flow, all or those with this order or dedupe key; asked \
              again while `more` is true.",
    routes: || post(erase),
};

async fn erase(State(desk): State<Arc<Desk>>, body: Bytes) -> Response {
    let what = match Asked::body(&body).and_then(read) {
        Ok(what) => what,
        Err(wrong) => return wrong.into_problem(),
    };
    let (began, mut erased) = (desk.clock.monotonic(), 0);
    loop {
        let pruned = match desk.history.erase(&what, SLICE).await {
            Ok(pruned) => pruned,
            Err(error) => return store_refused(&error),
        };
        erased += pruned.runs;
        let is_over = desk.clock.monotonic().saturating_duration_since(began) > LONGEST;
        if !pruned.more || is_over {
            tracing::info!(target: "console", flow = &*what.flow, runs = erased, "runs were erased");
            return json(StatusCode::OK, &json!({"erased": erased, "more": pruned.more}));
        }
        tokio::task::yield_now().await;
    }
}

fn read(mut asked: Asked) -> Result<Erasure, Wrong> {
    let flow = asked.needed("flow")?.into();
    let key = asked.text("key").map(Into::into);
    asked.finish()?;
    Ok(Erasure { flow, key })
}
