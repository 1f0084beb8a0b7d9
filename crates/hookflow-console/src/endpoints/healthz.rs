//! `/healthz`: whether the process's loops turn. Who asks restarts the process when they do not.

use crate::console::Desk;
use crate::endpoint::Endpoint;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use std::sync::Arc;
use std::time::Duration;

/// A loop that has not turned for so long is dead: an idle one beats every few seconds.
const STALE: Duration = Duration::from_secs(30);

pub(crate) const HEALTHZ: Endpoint = Endpoint {
    path: "/healthz",
    summary: "Whether the loops of the process turn: 200, or 503 with the names of those that do not.",
    routes: || get(healthz),
};

async fn healthz(State(desk): State<Arc<Desk>>) -> (StatusCode, String) {
    let stale = desk.heartbeats.stale(STALE);
    if stale.is_empty() {
        (StatusCode::OK, "ok\n".into())
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, format!("not turning: {}\n", stale.join(", ")))
    }
}
