//! `/readyz`: whether the service takes requests. Who asks sends them elsewhere when it does not.

use crate::console::Desk;
use crate::endpoint::Endpoint;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::routing::get;
use std::sync::Arc;

pub(crate) const READYZ: Endpoint = Endpoint {
    path: "/readyz",
    summary: "Whether the service takes requests: 200, or 503 with what does not hold; `?verbose` shows all.",
    routes: || get(readyz),
};

async fn readyz(State(desk): State<Arc<Desk>>, RawQuery(query): RawQuery) -> (StatusCode, String) {
    let verbose =
        query.is_some_and(|query| query.split('&').any(|part| part == "verbose" || part == "verbose=true"));
    let running = if desk.tasks.soft().is_set() {
        Err("the service is shutting down".into())
    } else {
        Ok(String::new())
    };
    let looked: Vec<_> = std::iter::once(("running", running))
        .chain(desk.conditions.iter().map(|condition| (condition.name, condition.look())))
        .collect();
    let missing: Vec<_> = looked.iter().filter(|(_, found)| found.is_err()).map(|(name, _)| *name).collect();
    let (status, mut text) = if missing.is_empty() {
        (StatusCode::OK, "ready\n".to_owned())
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {}\n", missing.join(", ")))
    };
    if verbose {
        for (name, found) in looked {
            let (mark, Ok(why) | Err(why)) = (if found.is_ok() { "+" } else { "-" }, found);
            text.push_str(format!("{mark} {name} {why}").trim_end());
            text.push('\n');
        }
    }
    (status, text)
}
