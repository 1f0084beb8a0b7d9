//! Flows that nobody waits for: the caller hears at once that the event is kept, and the steps run afterwards.

use super::service::{Folder, Service, beside};
use super::target::{Play, Target};
use super::wire::{Request, Wire};
use std::collections::HashSet;

const CREDENTIALS: &str = "key: {type: api_key, header: X-Api-Key, keys: [{file: key}]}";
const KEY: &str = "a-key-for-acknowledged-events";

/// A service with the flow `told`, whose steps call the target; `thanked`, which has an `ack` of its own beside them; and
/// `waited`, which answers behind them.
fn service(target: &Target) -> (Folder, Service) {
    let url = target.url("/told");
    let told = format!(
        "webhook: {{auth: key}}\nsteps:\n  - http: {{url: '{url}', json: {{id: '${{ webhook.body.id }}', run: '${{ run.id }}'}}}}\n"
    );
    let ack = "{status: 200, headers: {X-Thanks: many}, json: {received: true}}";
    let thanked = told.replace("auth: key", &format!("auth: key, ack: {ack}"));
    let folder = Folder::new().with("key", KEY).credentials(CREDENTIALS);
    let folder = folder.config("outbound: {allow: [127.0.0.0/8]}").flow("told", &told);
    let folder = folder.flow("thanked", &thanked).flow("waited", &format!("{told}  - respond: {{}}\n"));
    let service = Service::start(&folder);
    (folder, service)
}

fn event(flow: &str, id: usize) -> Request {
    Request::json(&format!("/hook/{flow}"), format!("{{\"id\": {id}}}")).header("X-Api-Key", KEY)
}

#[test]
fn the_caller_does_not_wait_for_the_steps() {
    let target = Target::hanging();
    let (_folder, service) = service(&target);
    let answer = service.send(&event("told", 1));
    assert_eq!(answer.status, 202, "{answer:?}");
    let run = answer.header("x-run-id").unwrap().to_owned();
    assert_eq!(answer.text(), format!(r#"{{"run_id":"{run}","status":"queued"}}"#));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let heard = target.heard(1);
    assert_eq!(
        heard[0].value(),
        serde_json::json!({"id": 1, "run": run}),
        "the run has the ID that was told"
    );

    let answer = service.send(&event("thanked", 2));
    assert_eq!((answer.status, answer.text().as_str()), (200, r#"{"received":true}"#));
    assert_eq!(answer.header("x-thanks"), Some("many"));
    assert!(answer.header("x-run-id").is_some());
    service.until_metric("hookflow_runs_in_flight", 2);
    target.release();
    service.until_metric("hookflow_runs_total{flow=\"told\",outcome=\"succeeded\"}", 1);
    service.until_metric("hookflow_runs_total{flow=\"thanked\",outcome=\"succeeded\"}", 1);
    service.stop_sound();
}

#[test]
fn every_accepted_event_runs_once() {
    const CALLERS: usize = 4;
    const EACH: usize = 25;
    let target = Target::start(|_| Play::Answer(200, "{}"));
    let (_folder, service) = service(&target);
    let public = service.public;
    let callers: Vec<_> = (0..CALLERS)
        .map(|caller| {
            beside(move || {
                let mut wire = Wire::connect(public);
                let mut send = |id| wire.ask(&event("told", caller * EACH + id));
                (0..EACH).map(|id| send(id).header("x-run-id").unwrap().to_owned()).collect::<Vec<_>>()
            })
        })
        .collect();
    let runs: HashSet<_> = callers.into_iter().flat_map(|caller| caller.join().unwrap()).collect();
    assert_eq!(runs.len(), CALLERS * EACH);
    let heard = target.heard(runs.len());
    service.until_metric("hookflow_runs_total{flow=\"told\",outcome=\"succeeded\"}", runs.len() as u64);
    assert_eq!(target.count(), heard.len(), "each was called once");
    let told: HashSet<_> =
        heard.iter().map(|heard| heard.value()["run"].as_str().unwrap().to_owned()).collect();
    assert_eq!(told, runs);
    let ids: HashSet<_> = heard.iter().map(|heard| heard.value()["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), runs.len());
    assert_eq!(service.metric("hookflow_queue_items{flow=\"told\"}"), Some(0));
    service.stop_sound();
}

#[test]
fn a_caller_who_goes_away_takes_nothing_along() {
    let target = Target::hanging();
    let (_folder, service) = service(&target);
    let mut callers = Vec::new();
    for (number, flow) in ["told", "waited", "thanked", "waited"].into_iter().enumerate() {
        let mut wire = Wire::connect(service.public);
        wire.send(event(flow, number).bytes());
        callers.push(wire);
        assert_eq!(target.heard(number + 1).len(), number + 1);
    }
    drop(callers);
    // Whoever comes later is served as if nothing had happened.
    assert_eq!(service.send(&event("told", 5)).status, 202);
    target.release();
    for (flow, runs) in [("told", 2), ("waited", 2), ("thanked", 1)] {
        service.until_metric(&format!("hookflow_runs_total{{flow=\"{flow}\",outcome=\"succeeded\"}}"), runs);
    }
    service.stop_sound();
}
