//! What is on disk: nothing that was acknowledged is lost, and nothing is done twice.

use super::answers::{call, folder};
use super::service::{Folder, Service, serve_refused};
use super::target::{Play, Target};
use std::collections::BTreeSet;

const EVENTS: usize = 20;

/// The flow `tell`, which tells the target the number of each event.
fn telling(target: &Target) -> Folder {
    let url = target.url("/${ webhook.body.n }");
    let yaml = format!(
        "webhook: {{auth: key, dedupe: {{key: '${{ webhook.body.n }}', window: 1h}}}}
queue: {{workers: 2}}
steps: [{{http: {{url: '{url}'}}}}]"
    );
    folder().config("outbound: {allow: [127.0.0.0/8]}").flow("tell", &yaml)
}

fn send_all(service: &Service) {
    for n in 0..EVENTS {
        assert_eq!(service.send(&call("tell", &format!("{{\"n\": {n}}}"))).status, 202);
    }
}

#[test]
fn what_was_acknowledged_outlives_a_kill() {
    let hanging = Target::hanging();
    let folder = telling(&hanging);
    let service = Service::start(&folder);
    let kept = folder.path().join("data/hookflow.db");
    assert!(service.printed().contains("ops:"));
    assert!(kept.exists());
    send_all(&service);
    assert_eq!(hanging.heard(2).len(), 2, "two are at work, the others wait");
    service.signal("KILL");
    service.end();

    // The runs go on, on the version of the flow that they were admitted with, and nobody waits for its answer any more.
    hanging.release();
    let service = Service::start(&folder);
    service.until_metric("hookflow_runs_total{flow=\"tell\",outcome=\"succeeded\"}", EVENTS as u64);
    let told: BTreeSet<_> = hanging.heard(EVENTS).iter().map(|heard| heard.target.clone()).collect();
    assert_eq!(told, (0..EVENTS).map(|n| format!("/{n}")).collect());
    // What came before the kill is known after it.
    let before = hanging.count();
    send_all(&service);
    let ended = service.stop_sound();
    assert!(ended.err.contains("no event is unfinished"), "{}", ended.err);
    let service = Service::start(&folder);
    assert_eq!(service.metric("hookflow_runs_in_flight"), Some(0));
    service.stop_sound();
    assert_eq!(hanging.count(), before, "nothing is done twice");
}

#[test]
fn a_folder_has_one_service() {
    let target = Target::start(|_| Play::Answer(200, "{}"));
    let folder = telling(&target);
    let service = Service::start(&folder);
    let ended = serve_refused(folder.path(), &[]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.err.contains("another service is running on it"), "{}", ended.err);
    send_all(&service);
    service.signal("KILL");
    service.end();
    // The system has let go of it.
    Service::start(&folder).stop_sound();
}

#[test]
fn memory_is_a_choice_and_said() {
    let target = Target::start(|_| Play::Answer(200, "{}"));
    let folder = telling(&target).config("store: {memory: {}}");
    let service = Service::start(&folder);
    let ended = service.stop_sound();
    assert!(ended.out.contains("Events live in memory"), "{}", ended.out);
    assert!(!folder.path().join("data").exists());
}
