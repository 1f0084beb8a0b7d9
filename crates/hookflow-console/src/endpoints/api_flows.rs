//! `/api/flows`: the flows in force, and how each stands now.

use crate::answer::json;
use crate::console::Desk;
use crate::endpoint::Endpoint;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use hookflow_engine::{Engine, LiveFlow, PausedBy};
use hookflow_text::Json;
use serde_json::json;
use std::sync::Arc;

pub(crate) const API_FLOWS: Endpoint = Endpoint {
    path: "/api/flows",
    summary: "The flows in force, each with its version, who has paused it, its queue and, where it has a webhook, its URL.",
    routes: || get(flows),
};

async fn flows(State(desk): State<Arc<Desk>>) -> Response {
    let generation = desk.engine.get().map(Engine::generation);
    let mut items = desk.in_force.flows();
    for item in &mut items {
        let Json::Object(item) = item else { continue };
        let id = item.get("flow").and_then(Json::as_str);
        let live = id.and_then(|id| generation.as_ref()?.flows.get(id));
        if let Some(live) = live {
            item.extend(standing(live));
        }
    }
    json(StatusCode::OK, &json!({"items": items, "next": null}))
}

fn standing(live: &LiveFlow) -> serde_json::Map<String, Json> {
    let (standing, bounds) = (live.standing(), &live.flow.queue);
    let queue = json!({
        "items": standing.items,
        "bytes": standing.bytes,
        "capacity": bounds.capacity,
        "workers": bounds.workers,
        "at_work": standing.at_work,
    });
    let fields = [
        ("paused", paused_by(standing.paused)),
        ("paused_since", standing.since.as_deref().into()),
        ("queue", queue),
    ];
    fields.map(|(name, value)| (name.to_owned(), value)).into_iter().collect()
}

/// Who has paused a flow, in a word.
pub(super) fn paused_by(paused: Option<PausedBy>) -> Json {
    match paused {
        Some(PausedBy::Operator) => "operator".into(),
        Some(PausedBy::File) => "file".into(),
        None => Json::Null,
    }
}
