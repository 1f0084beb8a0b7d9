//! Flows with `durability: relaxed`: nothing is written of what succeeds, and all else is as safe as ever.

use super::answers::{call, folder};
use super::service::{Folder, Service, beside, hookflow, until};
use super::target::Target;
use super::wire::{Answer, Wire};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const CONFIG: &str = "outbound: {allow: [127.0.0.0/8]}";

fn relaxed(folder: Folder, id: &str, queue: &str, steps: &str) -> Folder {
    folder.flow(
        id,
        &format!("durability: relaxed\nwebhook: {{auth: key}}\nqueue: {{{queue}}}\nsteps:\n{steps}"),
    )
}

fn marked(answer: &Answer) -> bool {
    answer.header("x-hookflow-durability") == Some("relaxed")
}

fn runs(service: &Service, query: &str) -> Vec<Value> {
    service.ops(&format!("/api/runs?{query}")).value()["items"].as_array().unwrap().clone()
}

fn succeeded(flow: &str) -> String {
    format!("hookflow_runs_total{{flow=\"{flow}\",outcome=\"succeeded\"}}")
}

fn not_written(flow: &str) -> String {
    format!("hookflow_runs_not_written_total{{flow=\"{flow}\"}}")
}

#[test]
fn what_succeeds_is_answered_marked_and_remembered_until_a_restart() {
    let folder = relaxed(folder(), "later", "", "  - set: {a: '${ webhook.body.n }'}\n");
    let folder =
        relaxed(folder, "now", "", "  - respond: {status: 201, headers: {X-Hookflow-Durability: full}}\n");
    let service = Service::start(&folder);
    let said =
        "durability: relaxed (events are in memory only, unless their runs fail or call out): later, now\n";
    assert!(service.printed().contains(said), "{}", service.printed());
    let mut ids = BTreeSet::new();
    for n in 0..3 {
        let queued = service.send(&call("later", &format!("{{\"n\": {n}}}")));
        assert_eq!((queued.status, marked(&queued)), (202, true), "{queued:?}");
        let answered = service.send(&call("now", "{}"));
        assert_eq!((answered.status, marked(&answered)), (201, true), "{answered:?}");
        ids.extend([queued, answered].map(|answer| answer.header("x-run-id").unwrap().to_owned()));
    }
    assert!(!marked(&service.send(&call("created", "{}"))), "others promise more");
    let refused = service.send(&call("now", "{}").set("X-Api-Key", "another key"));
    assert!(refused.status == 401 && !marked(&refused));
    for flow in ["later", "now"] {
        service.until_metric(&not_written(flow), 3);
        assert_eq!(service.metric(&succeeded(flow)), Some(3));
        assert_eq!(service.metric(&format!("hookflow_queue_items{{flow=\"{flow}\"}}")), Some(0));
    }
    let listed = runs(&service, "status=succeeded");
    assert_eq!(listed.len(), 7);
    let of_relaxed = listed.iter().filter(|run| run["durability"] == "relaxed");
    assert_eq!(of_relaxed.map(|run| run["run"].as_str().unwrap().to_owned()).collect::<BTreeSet<_>>(), ids);
    assert_eq!(runs(&service, "flow=later").len(), 3);
    assert_eq!(runs(&service, "flow=later&status=failed").len(), 0);
    let flows = service.ops("/api/flows").value();
    let durability = |id: &str| {
        let found = flows["items"].as_array().unwrap().iter().find(|flow| flow["flow"] == id);
        found.unwrap()["durability"].clone()
    };
    assert_eq!((durability("now"), durability("created")), (json!("relaxed"), json!("full")));
    // Page by page there is as much.
    let (mut paged, mut before) = (BTreeSet::new(), String::new());
    loop {
        let page = service.ops(&format!("/api/runs?limit=2{before}")).value();
        for run in page["items"].as_array().unwrap() {
            assert!(paged.insert(run["run"].as_str().unwrap().to_owned()), "once: {run}");
        }
        let Some(next) = page["next"].as_str() else { break };
        before = format!("&before={next}");
    }
    assert_eq!(paged.len(), 7);
    let table = service.command(&folder, &["runs", "--server", "--flow", "now"]);
    assert_eq!(table.out.matches("succeeded (relaxed)").count(), 3, "{table:?}");
    let one = ids.first().unwrap();
    let shown = service.command(&folder, &["runs", "show", one, "--server"]);
    assert!(
        shown.code == Some(0) && shown.out.contains("nothing of a run that succeeds is written"),
        "{shown:?}"
    );
    let again = service.command(&folder, &["runs", "replay", one]);
    assert!(
        again.code == Some(1) && again.err.contains("run.unknown"),
        "there is no event any more: {again:?}"
    );
    service.stop_sound();

    let service = Service::start(&folder);
    assert_eq!(runs(&service, "").len(), 1, "the one of the flow that is not relaxed");
    service.stop_sound();
}

#[test]
fn what_fails_or_calls_is_stored_from_there_on() {
    let hanging = Target::hanging();
    let steps = |rest: &str| format!("  - {{when: webhook.body.bad, fail: too bad}}\n{rest}");
    let folder = relaxed(folder().config(CONFIG), "pure", "", &steps("  - log: hello\n"));
    let folder = relaxed(folder, "sync", "", &steps("  - respond: {status: 201}\n"));
    let folder = relaxed(folder, "sends", "", "  - emit: order.created\n");
    let asks = format!("  - http: {{method: GET, url: '{}'}}\n", hanging.url("/"));
    let folder = relaxed(folder, "asks", "workers: 4", &asks);
    let service = Service::start(&folder);
    let failed = service.send(&call("pure", r#"{"bad": true}"#));
    assert_eq!((failed.status, marked(&failed)), (202, true));
    let heard = service.send(&call("sync", r#"{"bad": true}"#));
    assert_eq!((heard.status, heard.code().as_str(), marked(&heard)), (500, "flow-failed", true));
    assert_eq!(service.send(&call("sends", "{}")).status, 202);
    for n in 0..3 {
        assert_eq!(service.send(&call("asks", &format!("{{\"n\": {n}}}"))).status, 202);
    }
    hanging.heard(3);
    for flow in ["pure", "sync"] {
        service.until_metric(&format!("hookflow_runs_total{{flow=\"{flow}\",outcome=\"failed\"}}"), 1);
    }
    service.until_metric(&succeeded("sends"), 1);
    for flow in ["pure", "sync", "sends", "asks"] {
        assert_eq!(service.metric(&not_written(flow)), Some(0), "{flow}");
    }
    service.signal("KILL");
    service.end();
    hanging.release();

    let service = Service::start(&folder);
    service.until_metric(&succeeded("asks"), 3);
    let failed = runs(&service, "status=failed");
    assert_eq!(failed.len(), 2);
    assert!(failed.iter().all(|run| run["durability"] == "full"), "on disk: {failed:?}");
    assert_eq!(runs(&service, "flow=sends").len(), 1);
    // With its event, so it can run again.
    let run = failed.iter().find(|run| run["flow"] == "pure").unwrap()["run"].as_str().unwrap();
    let shown = service.ops(&format!("/api/runs/{run}")).value();
    assert_eq!(shown["request"]["body"], json!({"bad": true}));
    assert_eq!(service.ops_post(&format!("/api/runs/{run}/replay"), "").status, 202);
    service.stop_sound();
}

#[test]
fn what_waits_in_memory_at_a_shutdown_is_not_lost() {
    for hurry in [false, true] {
        let hanging = Target::hanging();
        let config = "outbound: {allow: [127.0.0.0/8]}\nshutdown: {grace: 1s}";
        let steps = format!(
            "  - {{when: webhook.body.n == 0, http: {{method: GET, url: '{}'}}}}\n  - log: 'n is ${{ webhook.body.n }}'\n",
            hanging.url("/")
        );
        let folder = relaxed(folder().config(config), "narrow", "workers: 1", &steps);
        let service = Service::start(&folder);
        for n in 0..20 {
            assert_eq!(service.send(&call("narrow", &format!("{{\"n\": {n}}}"))).status, 202);
            if n == 0 {
                hanging.heard(1);
            }
        }
        service.signal("TERM");
        if hurry {
            service.until_draining();
            service.signal("TERM");
        }
        let ended = service.end();
        assert_eq!(ended.code, Some(0), "{ended:?}");
        hanging.release();
        let service = Service::start(&folder);
        service.until_metric(&succeeded("narrow"), 20);
        let ended = service.stop_sound();
        let told = (0..20).filter(|n| {
            ended.err.contains(&format!("n is {n}\n")) || ended.err.contains(&format!("n is {n} "))
        });
        assert_eq!(told.count(), 20, "{}", ended.err);
    }
}

#[test]
fn a_queue_in_memory_is_bounded_and_drains_before_the_end() {
    let hanging = Target::hanging();
    let steps = format!(
        "  - {{when: webhook.body.n == 0, http: {{method: GET, url: '{}'}}}}\n  - log: done\n",
        hanging.url("/")
    );
    let folder = relaxed(folder().config(CONFIG), "narrow", "workers: 1, capacity: 3", &steps);
    let service = Service::start(&folder);
    let send = |n: u32| service.send(&call("narrow", &format!("{{\"n\": {n}}}")));
    assert_eq!(send(0).status, 202);
    hanging.heard(1);
    for n in 1..4 {
        assert_eq!(send(n).status, 202);
    }
    let full = send(4);
    assert_eq!((full.status, full.code().as_str()), (429, "queue.full"));
    assert!(!marked(&full));
    service.until_metric("hookflow_queue_items{flow=\"narrow\"}", 3);
    service.signal("TERM");
    service.until_draining();
    hanging.release();
    let ended = service.end();
    assert!(ended.code == Some(0) && ended.err.contains("no event is unfinished"), "{ended:?}");
}

#[test]
fn while_it_is_paused_its_events_are_kept_on_disk() {
    let folder = relaxed(folder(), "held", "", "  - log: hello\n");
    let service = Service::start(&folder);
    assert_eq!(service.ops_post("/api/flows/held/pause", "").status, 200);
    for _ in 0..3 {
        let held = service.send(&call("held", "{}"));
        assert_eq!((held.status, marked(&held)), (202, true));
    }
    service.signal("KILL");
    service.end();
    let service = Service::start(&folder);
    service.until_metric("hookflow_queue_items{flow=\"held\"}", 3);
    assert_eq!(service.ops_post("/api/flows/held/resume", "").status, 200);
    service.until_metric(&succeeded("held"), 3);
    service.stop_sound();
}

#[test]
fn a_caller_whose_time_is_over_is_told_of_a_run_that_is_on_disk() {
    let hanging = Target::hanging();
    let flow = format!(
        "durability: relaxed\nwebhook: {{auth: key, timeout: 300ms}}\nqueue: {{workers: 1}}\nsteps:\n  \
         - {{when: webhook.body.hang, http: {{method: GET, url: '{}'}}}}\n  - respond: {{}}\n",
        hanging.url("/")
    );
    let folder = folder().config(CONFIG).flow("slow", &flow);
    let service = Service::start(&folder);
    let public = service.public;
    let first = beside(move || Wire::connect(public).ask(&call("slow", r#"{"hang": true}"#)));
    hanging.heard(1);
    // This one never gets a worker in time.
    let late = service.send(&call("slow", r#"{"hang": false}"#));
    assert_eq!((late.status, late.code().as_str(), marked(&late)), (504, "flow-timeout", true));
    assert_eq!(first.join().unwrap().status, 504);
    let run = late.header("x-run-id").unwrap().to_owned();
    service.signal("KILL");
    service.end();
    hanging.release();
    let service = Service::start(&folder);
    until("the end of a run that was named", || {
        let shown = service.ops(&format!("/api/runs/{run}")).value();
        (shown["status"] == "succeeded").then_some(())
    });
    service.stop_sound();
}

#[test]
fn check_refuses_what_needs_more() {
    let folder = relaxed(folder(), "wrong", "", "  - wait: {auth: key}\n").flow(
        "keyed",
        "durability: relaxed\nwebhook: {auth: key, dedupe: {key: '${ webhook.id }'}}\nsteps: []",
    );
    let checked = hookflow(folder.path(), &["check"]);
    assert_eq!(checked.code, Some(1), "{checked:?}");
    let all = format!("{}{}", checked.out, checked.err);
    assert_eq!(all.matches("flow.relaxed").count(), 2, "{all}");
}
