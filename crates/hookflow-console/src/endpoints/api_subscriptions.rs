//! `/api/subscriptions`: who gets events, and how their endpoints are doing.

use crate::answer::{json, not_ready, store_refused};
use crate::console::Desk;
use crate::endpoint::Endpoint;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use hookflow_engine::SubscriptionStanding;
use hookflow_text::Json;
use serde_json::json;
use std::sync::Arc;

pub(crate) const API_SUBSCRIPTIONS: Endpoint = Endpoint {
    path: "/api/subscriptions",
    summary: "The subscriptions in force: where they go, whether they are off, whether their endpoint is set aside, and how many \
              deliveries are pending.",
    routes: || get(subscriptions),
};

async fn subscriptions(State(desk): State<Arc<Desk>>) -> Response {
    let Some(engine) = desk.engine.get() else { return not_ready() };
    match engine.subscriptions().await {
        Ok(standing) => {
            let items: Vec<_> = standing.iter().map(line).collect();
            json(StatusCode::OK, &json!({"items": items, "next": null}))
        }
        Err(error) => store_refused(&error),
    }
}

fn line(standing: &SubscriptionStanding) -> Json {
    let SubscriptionStanding { subscription, off, set_aside, pending } = standing;
    let state = match (subscription.enabled, off, set_aside) {
        (false, ..) => "disabled",
        (_, Some(_), _) => "off",
        (_, _, Some(_)) => "set aside",
        _ => "on",
    };
    // A path may hold what is a secret in practice; the host says enough.
    let host = subscription.callback_url.origin().ascii_serialization();
    json!({
        "subscription": &*subscription.id,
        "title": subscription.title,
        "endpoint": host,
        "events": subscription.events.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "max_attempts": subscription.max_attempts,
        "state": state,
        "off": off,
        "set_aside": set_aside.map(|(until, failures)| json!({"until": until.to_string(), "failures": failures})),
        "pending": pending,
    })
}
