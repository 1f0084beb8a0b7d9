//! The request that a flow's `sample` stands for, signed as its sender would and taken through the same doors as a
//! real one.

use hookflow_flow::Flow;
use hookflow_trigger::{Event, Means, Route, Sample, decode};
use http::Method;
use jiff::Timestamp;
use std::sync::Arc;

/// An event from a sample.
#[derive(Debug)]
pub(crate) struct SampleRequest {
    pub(crate) method: Method,
    pub(crate) url: String,
    /// What could not be done as for a real request.
    pub(crate) note: Option<String>,
    pub(crate) event: Event,
}

impl SampleRequest {
    /// Makes the request, signs it, verifies it and decodes it. The reason when the flow does not take it.
    pub(crate) fn of(flow: &Flow, at: Timestamp, base_url: &Arc<str>) -> Result<Self, String> {
        let webhook = flow.webhook.as_ref().ok_or("the flow has no webhook, so it cannot be called")?;
        let (mut sample, suffix) = match &webhook.sample {
            Some(sample) => (sample.request.clone(), sample.suffix.clone()),
            None => (Sample::default(), String::new()),
        };
        // A sample that names no method is a POST; a flow that takes none means its own.
        if sample.method == Method::POST && !webhook.methods.contains(&Method::POST) {
            sample.method = webhook.methods.iter().next().cloned().unwrap_or(Method::POST);
        }
        if !webhook.methods.contains(&sample.method) {
            return Err(format!(
                "405: the flow takes {}, and the sample is a {}",
                webhook.methods.allow(),
                sample.method
            ));
        }
        let params = webhook.path.matches(&suffix).ok_or_else(|| {
            format!("404: the sample's `suffix` is `{suffix}`, which the webhook's `path` does not take")
        })?;
        let route = Route { flow: Arc::clone(&flow.id), suffix, params, system: webhook.system.clone() };
        let path = format!("/hook/{}{}", route.flow, route.suffix);
        let mut received = sample.clone().into_received(&webhook.body, path, at, Arc::clone(base_url));
        if received.body.len() > webhook.body.limit() {
            return Err(format!("413: the sample's body is larger than {} bytes", webhook.body.limit()));
        }
        let method = received.head.method.clone();
        // It is in memory.
        let sent = received.body.held().cloned().unwrap_or_default();
        let signed = match webhook.auth.credentials().first() {
            Some(credential) => credential.sign(&mut received.head, &sent, at),
            None => Ok(()),
        };
        // The URL as the sender knows it may hold a key in its query; what is shown is that of the event.
        let (event, note) = match signed {
            Ok(()) => {
                let authenticated = webhook
                    .auth
                    .verify(received, at)
                    .map_err(|refusal| format!("401: {}", refusal.reason()))?;
                (decode(authenticated, &webhook.body, route, "try", &mut Means::memory()), None)
            }
            Err(why) => {
                let event = Event::of_sample(sample, &webhook.body, route, "try", at, Arc::clone(base_url));
                (event, Some(format!("the sample was not signed: {why}")))
            }
        };
        let event = event.map_err(|refusal| refusal.to_string())?;
        Ok(Self { method, url: event.head().url(), note, event })
    }
}
