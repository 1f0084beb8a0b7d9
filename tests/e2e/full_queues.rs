//! Queues that are full, and one flow that is slow beside others that are not.

use super::answers::{call, folder};
use super::service::{Folder, Service, beside};
use super::target::Target;
use super::wire::Wire;

/// A flow with one worker and one place, whose run hangs at the target.
fn narrow(folder: Folder, id: &str, target: &Target, queue: &str, rest: &str) -> Folder {
    let url = target.url(&format!("/{id}"));
    let yaml = format!(
        "webhook: {{auth: key}}\nqueue: {{capacity: 1, workers: 1{queue}}}\nsteps:\n  - http: {{url: '{url}'}}\n{rest}"
    );
    folder.flow(id, &yaml)
}

#[test]
fn a_full_queue_refuses_and_says_when_to_come_again() {
    const RESPOND: &str = "  - respond: {status: 201}\n";
    let target = Target::hanging();
    let folder = folder().config("outbound: {allow: [127.0.0.0/8]}");
    let folder = narrow(folder, "async", &target, "", "");
    let folder = narrow(folder, "async503", &target, ", on_full: 503", "");
    let folder = narrow(folder, "sync", &target, "", RESPOND);
    let folder = narrow(folder, "sync503", &target, ", on_full: 503", RESPOND);
    let service = Service::start(&folder);
    let mut callers = Vec::new();
    for (number, (flow, status)) in
        [("async", 429), ("async503", 503), ("sync", 429), ("sync503", 503)].into_iter().enumerate()
    {
        // One runs …
        let mut first = Wire::connect(service.public);
        first.send(call(flow, "{}").bytes());
        assert_eq!(target.heard(number + 1).len(), number + 1);
        // … one waits …
        let mut second = Wire::connect(service.public);
        second.send(call(flow, "{}").bytes());
        service.until_metric(&format!("hookflow_queue_items{{flow=\"{flow}\"}}"), 1);
        // … and there is no place for a third, now or again.
        for _ in 0..2 {
            let third = service.send(&call(flow, "{}"));
            assert_eq!((third.status, third.code().as_str()), (status, "queue.full"), "{flow}");
            assert!(third.retry_after().is_some_and(|seconds| (1..=300).contains(&seconds)), "{third:?}");
            assert_eq!(third.header("x-run-id"), None);
        }
        callers.extend([(flow, first), (flow, second)]);
    }
    target.release();
    for (flow, mut caller) in callers {
        let expected = if flow.starts_with("sync") { 201 } else { 202 };
        assert_eq!(caller.answer().status, expected, "{flow}");
    }
    for flow in ["async", "async503", "sync", "sync503"] {
        service.until_metric(&format!("hookflow_runs_total{{flow=\"{flow}\",outcome=\"succeeded\"}}"), 2);
        assert_eq!(service.metric(&format!("hookflow_queue_items{{flow=\"{flow}\"}}")), Some(0));
        let expected = if flow.starts_with("sync") { 201 } else { 202 };
        assert_eq!(service.send(&call(flow, "{}")).status, expected, "{flow}: there is room again");
    }
    assert_eq!(target.heard(12).len(), 12, "what was refused never ran");
    for flow in ["async", "async503", "sync", "sync503"] {
        let series = format!("hookflow_requests_refused_total{{code=\"queue.full\",flow=\"{flow}\"}}");
        assert_eq!(service.metric(&series), Some(2));
    }
    service.stop_sound();
}

#[test]
fn a_slow_flow_does_not_hold_up_another() {
    let target = Target::hanging();
    let url = target.url("/");
    let slow = format!(
        "webhook: {{auth: key}}\nqueue: {{workers: 4}}\nsteps: [{{http: {{url: '{url}'}}}}, {{respond: {{}}}}]"
    );
    let folder = folder().config("outbound: {allow: [127.0.0.0/8]}").flow("slow", &slow);
    let service = Service::start(&folder);
    let public = service.public;
    let waiting: Vec<_> = (0..20)
        .map(|_| {
            let mut wire = Wire::connect(public);
            wire.send(call("slow", "{}").bytes());
            wire
        })
        .collect();
    assert_eq!(target.heard(4).len(), 4);
    service.until_metric("hookflow_queue_items{flow=\"slow\"}", 16);
    // With all its workers caught, the other flow answers on many connections.
    let others: Vec<_> = (0..4)
        .map(|_| {
            beside(move || {
                let mut wire = Wire::connect(public);
                for _ in 0..25 {
                    assert_eq!(wire.ask(&call("created", "{}")).status, 201);
                }
            })
        })
        .collect();
    for other in others {
        other.join().unwrap();
    }
    assert_eq!(target.count(), 4, "the slow flow is as slow as before");
    target.release();
    for mut wire in waiting {
        assert_eq!(wire.answer().status, 200);
    }
    assert_eq!(target.count(), 20);
    service.stop_sound();
}

#[test]
fn who_finds_a_queue_full_is_kept_for_a_moment_which_a_shutdown_ends() {
    let target = Target::hanging();
    let config = "outbound: {allow: [127.0.0.0/8]}\npublic: {limits: {quick_refusals: 0, refusal_delay: 10s, connections: 40}}\nshutdown: {grace: 5s}";
    let folder = narrow(folder().config(config), "full", &target, "", "");
    let service = Service::start(&folder);
    let mut accepted: Vec<_> = (0..2).map(|_| Wire::connect(service.public)).collect();
    for (number, wire) in accepted.iter_mut().enumerate() {
        wire.send(call("full", "{}").bytes());
        assert_eq!(wire.answer().status, 202);
        assert_eq!(target.heard(1).len(), 1, "{number}");
    }
    let mut kept: Vec<_> = (0..20).map(|_| Wire::connect(service.public)).collect();
    for wire in &mut kept {
        wire.send(call("full", "{}").bytes());
    }
    service.until_metric("hookflow_requests_refused_total{code=\"queue.full\",flow=\"full\"}", 20);
    assert!(kept.iter_mut().all(|wire| wire.is_open_for(b"")), "nobody has heard anything");
    // As many as half of all connections are kept; the next one is not, nor is who is refused for another reason.
    assert_eq!(service.send(&call("full", "{}")).code(), "queue.full");
    assert_eq!(service.send(&call("full", "{}").set("X-Api-Key", "wrong")).status, 401);
    assert_eq!(service.send(&call("created", "{}")).status, 201);
    service.signal("TERM");
    for wire in &mut kept {
        let answer = wire.answer();
        assert_eq!((answer.status, answer.code().as_str()), (429, "queue.full"));
        assert!(answer.retry_after().is_some(), "{answer:?}");
    }
    target.release();
    let ended = service.end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
}
