//! Flows that an operator pauses: what is held, what is refused, and that a restart changes nothing.

use super::answers::{call, folder};
use super::service::{Folder, Service, until};
use super::target::{Heard, Play, Target};
use serde_json::{Value, json};

/// The flow `tell`, which tells the target the number of each event, one after the other.
fn telling(target: &Target) -> Folder {
    let flow = format!(
        "webhook: {{auth: key}}
queue: {{workers: 1, capacity: 7}}
steps: [{{http: {{url: '{}', json: '${{ webhook.body.n }}'}}}}]",
        target.url("/")
    );
    folder().config("outbound: {allow: [127.0.0.0/8]}").flow("tell", &flow)
}

fn flow(service: &Service, id: &str) -> Value {
    let list = service.ops("/api/flows").value();
    list["items"].as_array().unwrap().iter().find(|item| item["flow"] == id).unwrap().clone()
}

fn pause(service: &Service, id: &str) -> Value {
    let answer = service.ops_post(&format!("/api/flows/{id}/pause"), "");
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.value()
}

fn resume(service: &Service, id: &str) -> Value {
    let answer = service.ops_post(&format!("/api/flows/{id}/resume"), "");
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.value()
}

#[test]
fn what_an_operator_paused_is_held_over_a_kill_and_a_reload_and_then_runs_in_order() {
    let target = Target::start(|_| Play::Answer(200, "{}"));
    let folder = telling(&target);
    let service = Service::start(&folder);
    let shown = flow(&service, "tell");
    assert_eq!((&shown["paused"], &shown["paused_since"]), (&Value::Null, &Value::Null));
    assert_eq!(shown["queue"], json!({"items": 0, "bytes": 0, "capacity": 7, "workers": 1, "at_work": 0}));
    assert_eq!(pause(&service, "tell"), json!({"flow": "tell", "paused": "operator"}));
    let send = |service: &Service, n: u32| service.send(&call("tell", &format!("{{\"n\": {n}}}"))).status;
    assert_eq!([send(&service, 0), send(&service, 1), send(&service, 2)], [202; 3]);
    // Killed three times: what never started is nobody's suspect.
    let mut service = service;
    for n in 3..6 {
        service.signal("KILL");
        service.end();
        service = Service::start(&folder);
        let shown = flow(&service, "tell");
        assert_eq!((&shown["paused"], &shown["queue"]["items"]), (&json!("operator"), &json!(n)));
        assert!(shown["paused_since"].is_string() && shown["enabled"] == true, "{shown}");
        assert_eq!(send(&service, n), 202);
    }
    folder.put("flows/other.yaml", "webhook: {auth: key}\nsteps: []");
    assert_eq!(service.reload().status, 200);
    assert_eq!(send(&service, 6), 202);
    let full = service.send(&call("tell", r#"{"n": 7}"#));
    assert_eq!((full.status, full.code().as_str()), (429, "queue.full"), "what is held counts");
    service.until_metric("hookflow_flow_paused{flow=\"tell\"}", 1);
    service.until_metric("hookflow_queue_items{flow=\"tell\"}", 7);
    assert_eq!(target.count(), 0);

    assert_eq!(resume(&service, "tell"), json!({"flow": "tell", "paused": null}));
    let heard = target.heard(7);
    let told: Vec<_> = heard.iter().map(Heard::value).collect();
    assert_eq!(told, (0..7).map(|n| json!(n)).collect::<Vec<_>>());
    service.until_metric("hookflow_runs_total{flow=\"tell\",outcome=\"succeeded\"}", 7);
    assert_eq!(service.metric("hookflow_flow_paused{flow=\"tell\"}"), Some(0));
    service.stop_sound();
    let service = Service::start(&folder);
    assert_eq!(flow(&service, "tell")["paused"], Value::Null, "that it goes on is kept as well");
    service.stop_sound();
}

#[test]
fn callers_who_wait_are_refused_and_nothing_is_kept() {
    let folder = folder();
    let service = Service::start(&folder);
    assert_eq!(service.send(&call("created", "{}")).status, 201);
    pause(&service, "created");
    for _ in 0..2 {
        let refused = service.send(&call("created", "{}"));
        assert_eq!((refused.status, refused.code().as_str()), (503, "flow.paused"));
        assert!(refused.retry_after().is_some_and(|seconds| seconds >= 1));
        assert_eq!(refused.header("x-run-id"), None);
    }
    // Who may not call hears what they always hear.
    assert_eq!(service.send(&call("created", "{}").set("X-Api-Key", "another key")).status, 401);
    assert_eq!(service.metric("hookflow_events_accepted_total{flow=\"created\"}"), Some(1));
    assert_eq!(service.ops("/api/runs?flow=created").value()["items"].as_array().unwrap().len(), 1);
    resume(&service, "created");
    assert_eq!(service.send(&call("created", "{}")).status, 201);
    service.stop_sound();
}

#[test]
fn a_run_that_is_under_way_ends_and_those_behind_it_wait() {
    let target = Target::hanging();
    let folder = telling(&target);
    let service = Service::start(&folder);
    for n in 0..3 {
        assert_eq!(service.send(&call("tell", &format!("{{\"n\": {n}}}"))).status, 202);
    }
    target.heard(1);
    pause(&service, "tell");
    pause(&service, "tell");
    assert_eq!(flow(&service, "tell")["queue"]["at_work"], 1);
    target.release();
    service.until_metric("hookflow_runs_total{flow=\"tell\",outcome=\"succeeded\"}", 1);
    until("a worker without work", || (flow(&service, "tell")["queue"]["at_work"] == 0).then_some(()));
    assert_eq!(flow(&service, "tell")["queue"]["items"], 2);
    assert_eq!(target.count(), 1);
    resume(&service, "tell");
    service.until_metric("hookflow_runs_total{flow=\"tell\",outcome=\"succeeded\"}", 3);
    service.stop_sound();
}

#[test]
fn operators_pause_by_command_and_are_told_who_else_does() {
    let folder = folder();
    let service = Service::start(&folder);
    let paused = service.command(&folder, &["pause", "queued"]);
    let said = "The flow queued is paused; `hookflow resume queued` has it go on.\n";
    assert_eq!((paused.code, paused.out.as_str()), (Some(0), said), "{paused:?}");
    assert_eq!(service.send(&call("queued", "{}")).status, 202);
    assert_eq!(flow(&service, "queued")["queue"]["items"], 1);
    let resumed = service.command(&folder, &["resume", "queued"]);
    assert_eq!((resumed.code, resumed.out.as_str()), (Some(0), "The flow queued goes on.\n"));
    service.until_metric("hookflow_runs_total{flow=\"queued\",outcome=\"succeeded\"}", 1);

    // A file's pause is the file's.
    assert_eq!(flow(&service, "held")["paused"], "file");
    assert_eq!(service.command(&folder, &["pause", "held"]).code, Some(0));
    assert_eq!(flow(&service, "held")["paused"], "operator");
    let still = service.command(&folder, &["resume", "held", "--format", "json"]);
    assert_eq!(still.code, Some(1), "{still:?}");
    assert_eq!(serde_json::from_str::<Value>(&still.out).unwrap(), json!({"flow": "held", "paused": "file"}));
    assert!(service.command(&folder, &["resume", "held"]).out.contains("its file still does"));

    for verb in ["pause", "resume"] {
        let unknown = service.command(&folder, &[verb, "no such/flow"]);
        assert!(unknown.code == Some(1) && unknown.err.contains("flow.unknown"), "{unknown:?}");
    }
    // A flow that is gone may go on, so that it does once it is back.
    service.command(&folder, &["pause", "queued"]);
    folder.remove("flows/queued.yaml");
    assert_eq!(service.reload().status, 200);
    assert_eq!(service.command(&folder, &["pause", "queued"]).code, Some(1));
    assert_eq!(service.command(&folder, &["resume", "queued"]).code, Some(0));
    assert_eq!(service.command(&folder, &["resume", "queued"]).code, Some(1));
    service.stop_sound();
}
