//! `/api/runs/{run}/replay`: runs a run's event again.

use crate::answer::{json, not_ready, not_replayed};
use crate::asked::{Asked, Wrong};
use crate::console::Desk;
use crate::endpoint::Endpoint;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::post;
use hookflow_engine::{Again, OnVersion};
use serde_json::json;
use std::sync::Arc;

pub(crate) const API_RUN_REPLAY: Endpoint = Endpoint {
    path: "/api/runs/{run}/replay",
    summary: "POST `{from, version}`: runs a run's event again, from a step on or whole, on the version `latest` or \
              `same`; 202 with the new run's ID.",
    routes: || post(replay),
};

async fn replay(State(desk): State<Arc<Desk>>, Path(run): Path<String>, body: Bytes) -> Response {
    let again = match Asked::body(&body).and_then(read) {
        Ok(again) => again,
        Err(wrong) => return wrong.into_problem(),
    };
    let Some(engine) = desk.engine.get() else { return not_ready() };
    match engine.replay(&run, &again).await {
        Ok(new) => json(StatusCode::ACCEPTED, &json!({"run_id": &*new, "replays": run})),
        Err(refusal) => not_replayed(&refusal),
    }
}

fn read(mut asked: Asked) -> Result<Again, Wrong> {
    let again = Again { from: asked.text("from"), version: version(&mut asked)? };
    asked.finish()?;
    Ok(again)
}

pub(super) fn version(asked: &mut Asked) -> Result<OnVersion, Wrong> {
    let words = [("latest", OnVersion::Latest), ("same", OnVersion::Same)];
    Ok(asked.word("version", &words)?.unwrap_or_default())
}
