//! What an operator sees of runs afterwards, and does about them.

use super::answers::{KEY, call, folder};
use super::service::{Ended, Folder, Service, until};
use super::target::{Play, Target};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const CONFIG: &str = "outbound: {allow: [127.0.0.0/8]}";

/// A warehouse that is broken until it is mended, and a flow that asks it after another call.
fn warehouse() -> (Target, Arc<AtomicBool>, Folder) {
    let mended = Arc::new(AtomicBool::new(false));
    let is_mended = Arc::clone(&mended);
    let target = Target::start(move |heard| match heard.target.as_str() {
        "/stock" if !is_mended.load(Ordering::Relaxed) => Play::Answer(503, r#"{"sorry": true}"#),
        _ => Play::Answer(200, r#"{"left": 7}"#),
    });
    let flow = format!(
        "webhook: {{auth: key, dedupe: {{key: '${{ webhook.body.id }}'}}}}
steps:
  - {{id: customer, http: {{url: '{0}', json: '${{ webhook.body }}'}}}}
  - {{log: 'asks for ${{ webhook.body.id }}'}}
  - {{id: stock, http: {{url: '{1}', headers: {{Authorization: Bearer of-the-flow}}, json: '${{ webhook.body }}'}}}}
  - {{id: sum, set: {{left: '${{ steps.stock.body.left }}'}}}}
  - {{respond: {{status: 201, json: {{left: '${{ steps.sum.left }}'}}}}}}
",
        target.url("/customer"),
        target.url("/stock"),
    );
    let folder = folder().config(CONFIG).flow("shop", &flow);
    (target, mended, folder)
}

fn items(list: &Value) -> Vec<Value> {
    list["items"].as_array().unwrap().clone()
}

fn json_of(ended: &Ended) -> Value {
    assert_eq!(ended.code, Some(0), "{ended:?}");
    serde_json::from_str(&ended.out).unwrap()
}

fn run_of(service: &Service, flow: &str, body: &str) -> String {
    service.send(&call(flow, body)).header("x-run-id").unwrap().to_owned()
}

/// Waits until a run has ended.
fn ended(service: &Service, run: &str) -> Value {
    until("the end of the run", || {
        let shown = service.ops(&format!("/api/runs/{run}")).value();
        shown["ended_at"].is_string().then_some(shown)
    })
}

#[test]
fn runs_are_listed_found_and_shown() {
    let (_target, _, folder) = warehouse();
    let service = Service::start(&folder);
    for n in 1..=5 {
        assert_eq!(service.send(&call("created", &format!("{{\"id\": \"B-{n}\"}}"))).status, 201);
    }
    let failed = run_of(&service, "shop", r#"{"id": "A-1", "price": 10.10}"#);

    let list = service.ops("/api/runs?flow=created&limit=2").value();
    assert_eq!(items(&list).len(), 2);
    let before = list["next"].as_str().unwrap();
    let rest = service.ops(&format!("/api/runs?flow=created&before={before}")).value();
    assert_eq!((items(&rest).len(), &rest["next"]), (3, &Value::Null));
    let found = |query: &str| items(&service.ops(&format!("/api/runs?{query}")).value());
    assert_eq!(found("search=B-3").len(), 1);
    assert_eq!(found("status=failed&since=1h").len(), 1);
    assert_eq!(found("until=1h").len(), 0);
    let line = &found("flow=shop")[0];
    assert_eq!((&line["run"], &line["status"]), (&json!(failed), &json!("failed")));
    assert_eq!(
        (&line["error"]["code"], &line["error"]["step"]),
        (&json!("step.http.status"), &json!("stock"))
    );
    let answer = service.ops("/api/runs?stauts=failed");
    assert_eq!((answer.status, answer.code().as_str()), (400, "ops.query"));

    let listed = service.command(&folder, &["runs", "--status", "failed"]);
    assert!(listed.out.contains("shop  failed") && listed.out.contains(&failed), "{listed:?}");
    let listed = json_of(&service.command(&folder, &["runs", "--limit", "3", "--format", "json"]));
    assert_eq!(items(&listed).len(), 3);

    let shown = service.command(&folder, &["runs", "show", &failed]);
    assert_eq!(shown.code, Some(0), "{shown:?}");
    for part in [
        "of shop: failed",
        "error     step.http.status at `stock`",
        "request POST /hook/shop",
        "credential key",
        "\"price\": 10.10",
        "customer  http",
        "    in   POST http://127.0.0.1:",
        "info   1: asks for A-1",
    ] {
        assert!(shown.out.contains(part), "{part} in {}", shown.out);
    }
    let shown = json_of(&service.command(&folder, &["runs", "show", &failed, "--format", "json"]));
    assert_eq!(
        shown["request"]["body"],
        json!({"id": "A-1", "price": serde_json::from_str::<Value>("10.10").unwrap()})
    );
    let steps = shown["steps"].as_array().unwrap();
    assert_eq!(steps.iter().map(|step| &step["step"]).collect::<Vec<_>>(), ["customer", "stock"]);
    assert_eq!(steps[0]["out"]["body"], json!({"left": 7}));
    assert_eq!((&steps[1]["attempts"][0]["status"], &steps[1]["out"]["ok"]), (&json!(503), &json!(false)));
    assert!(steps[1]["took_ms"].is_u64() && shown["begun_at"].is_string());
    let text = shown.to_string();
    assert!(!text.contains(KEY) && !text.contains("of-the-flow"), "{text}");

    let unknown = service.command(&folder, &["runs", "show", "no such/run"]);
    assert_eq!(unknown.code, Some(1), "{unknown:?}");
    assert!(unknown.err.contains("run.unknown"), "{unknown:?}");
    service.stop_sound();
    let alone = super::service::hookflow(folder.path(), &["runs", "replay", &failed]);
    assert!(alone.code == Some(2) && alone.err.contains("no server answers"), "{alone:?}");
}

#[test]
fn a_failed_run_goes_on_where_it_failed() {
    let (target, mended, folder) = warehouse();
    let service = Service::start(&folder);
    let body = "{\"id\":  \"A-1\"}";
    let failed = run_of(&service, "shop", body);
    assert_eq!(target.count(), 2);
    mended.store(true, Ordering::Relaxed);

    let wrong = service.command(&folder, &["runs", "replay", &failed, "--from", "gone"]);
    assert!(wrong.code == Some(1) && wrong.err.contains("run.unknown-step"), "{wrong:?}");
    let args = ["runs", "replay", &failed, "--from", "stock", "--version", "same", "--format", "json"];
    let again = json_of(&service.command(&folder, &args));
    let again = again["run_id"].as_str().unwrap().to_owned();
    let shown = ended(&service, &again);
    assert_eq!((&shown["status"], &shown["attempt"]), (&json!("succeeded"), &json!(2)));
    assert_eq!((&shown["replays"], &shown["answer"]["status"]), (&json!(failed), &json!(201)));
    assert_eq!(shown["request"]["bytes"], body.len());
    assert_eq!(target.heard(3)[2].target, "/stock", "the customer was not asked again");
    assert_eq!(ended(&service, &failed)["replayed_by"], json!([again]));

    // A whole one is no duplicate, although the event has a key that has succeeded.
    let whole = service.command(&folder, &["runs", "replay", &again]);
    assert!(whole.code == Some(0) && whole.out.starts_with("The event runs again as "), "{whole:?}");
    assert_eq!(target.heard(5)[4].value(), json!({"id": "A-1"}));
    service.until_metric("hookflow_runs_total{flow=\"shop\",outcome=\"succeeded\"}", 2);
    service.stop_sound();
}

#[test]
fn many_runs_are_replayed_with_a_dry_run_and_a_rate() {
    let (target, mended, folder) = warehouse();
    let service = Service::start(&folder);
    for n in 0..12 {
        assert_eq!(service.send(&call("shop", &format!("{{\"id\": {n}}}"))).status, 500);
    }
    let all = ["runs", "replay", "--flow", "shop", "--status", "failed"];
    let dry = service.command(&folder, &[&all[..], &["--dry-run"]].concat());
    assert!(dry.out.ends_with("12 runs would run again; nothing was changed.\n"), "{dry:?}");
    assert_eq!(target.count(), 24);
    let everything = service.command(&folder, &["runs", "replay"]);
    assert_eq!(everything.code, Some(2), "without a filter nothing is meant: {everything:?}");

    mended.store(true, Ordering::Relaxed);
    let some = service.ops_post("/api/runs/replay", r#"{"flow": "shop", "status": "failed", "limit": 2}"#);
    let page = some.value();
    assert_eq!((items(&page).len(), &page["retry_after"]), (2, &Value::Null));
    assert!(items(&page).iter().all(|item| item["replayed_as"].is_string()));
    let next = page["next"].as_str().unwrap();
    let rest = service.command(&folder, &[&all[..], &["--rate", "50/s", "--before", next]].concat());
    assert!(rest.code == Some(0) && rest.out.ends_with("10 runs replayed.\n"), "{rest:?}");
    service.until_metric("hookflow_runs_total{flow=\"shop\",outcome=\"succeeded\"}", 12);
    let bodies = target.heard(48);
    for n in 0..12 {
        let asked = bodies.iter().filter(|heard| heard.value() == json!({"id": n})).count();
        assert_eq!(asked, 4, "each twice and twice again: {n}");
    }
    service.stop_sound();
}

#[test]
fn a_replay_takes_a_place_in_the_queue_or_is_told_to_come_again() {
    let target = Target::hanging();
    let flow = format!(
        "webhook: {{auth: key}}\nqueue: {{capacity: 1, workers: 1}}\nsteps:\n  - {{when: webhook.body.hang, http: {{url: '{}'}}}}",
        target.url("/")
    );
    let folder = folder().config(CONFIG).flow("narrow", &flow);
    let service = Service::start(&folder);
    let quick = run_of(&service, "narrow", r#"{"hang": false}"#);
    ended(&service, &quick);
    let hanging = run_of(&service, "narrow", r#"{"hang": true}"#);
    target.heard(1);
    let unfinished = service.ops_post(&format!("/api/runs/{hanging}/replay"), "{}");
    assert_eq!((unfinished.status, unfinished.code().as_str()), (409, "run.unfinished"));
    run_of(&service, "narrow", r#"{"hang": false}"#);
    let full = service.ops_post(&format!("/api/runs/{quick}/replay"), "{}");
    assert_eq!((full.status, full.code().as_str()), (429, "queue.full"));
    assert!(full.retry_after().is_some_and(|seconds| seconds > 0));
    let bulk = service.ops_post("/api/runs/replay", r#"{"flow": "narrow"}"#).value();
    assert!(items(&bulk).is_empty() && bulk["retry_after"].is_u64() && bulk["next"].is_string(), "{bulk}");
    target.release();
    service.until_metric("hookflow_runs_total{flow=\"narrow\",outcome=\"succeeded\"}", 3);
    assert_eq!(service.ops_post(&format!("/api/runs/{quick}/replay"), "").status, 202);
    service.until_metric("hookflow_runs_total{flow=\"narrow\",outcome=\"succeeded\"}", 4);
    service.stop_sound();
}

#[test]
fn a_run_is_asked_to_end() {
    let target = Target::hanging();
    let flow = format!("webhook: {{auth: key}}\nsteps:\n  - http: {{url: '{}'}}", target.url("/"));
    let folder = folder().config(CONFIG).flow("long", &flow);
    let service = Service::start(&folder);
    let run = run_of(&service, "long", "{}");
    target.heard(1);
    let asked = service.command(&folder, &["runs", "cancel", &run]);
    assert_eq!((asked.code, asked.out), (Some(0), format!("The run {run} was asked to end.\n")));
    // The call is not waited for.
    let shown = ended(&service, &run);
    assert_eq!(
        (&shown["status"], &shown["error"]["kind"], &shown["error"]["code"]),
        (&json!("failed"), &json!("cancelled"), &json!("run.cancelled"))
    );
    let late = service.command(&folder, &["runs", "cancel", &run]);
    assert!(late.code == Some(1) && late.err.contains("run.has-ended"), "{late:?}");
    let unknown = service.ops_post("/api/runs/unknown/cancel", "");
    assert_eq!((unknown.status, unknown.code().as_str()), (404, "run.unknown"));
    service.stop_sound();
}

#[test]
fn ended_runs_are_erased_on_request() {
    let (_target, mended, folder) = warehouse();
    mended.store(true, Ordering::Relaxed);
    let service = Service::start(&folder);
    for n in 0..3 {
        assert_eq!(service.send(&call("shop", &format!("{{\"id\": \"A-{n}\"}}"))).status, 201);
    }
    let erased = service.command(&folder, &["runs", "erase", "--flow", "shop", "--key", "A-1"]);
    assert_eq!((erased.code, erased.out.as_str()), (Some(0), "1 run erased.\n"));
    assert_eq!(items(&service.ops("/api/runs?flow=shop&search=A-1").value()).len(), 0);
    // What was forgotten is not known again.
    assert_eq!(service.send(&call("shop", "{\"id\": \"A-1\"}")).header("idempotent-replayed"), None);
    assert_eq!(
        service.ops_post("/api/erase", r#"{"flow": "shop"}"#).value(),
        json!({"erased": 3, "more": false})
    );
    assert_eq!(items(&service.ops("/api/runs?flow=shop").value()).len(), 0);
    let wrong = service.ops_post("/api/erase", r#"{"key": "A-1"}"#);
    assert_eq!((wrong.status, wrong.code().as_str()), (400, "ops.query"));
    service.stop_sound();
}

#[test]
fn what_is_beyond_the_retention_is_forgotten() {
    let folder = folder().config("retention: {runs: 3}");
    let service = Service::start(&folder);
    for _ in 0..10 {
        assert_eq!(service.send(&call("created", "{}")).status, 201);
    }
    service.until_metric("hookflow_pruned_runs_total", 7);
    assert_eq!(items(&service.ops("/api/runs").value()).len(), 3);
    service.stop_sound();
}

#[test]
fn an_event_that_is_not_as_expected_says_so_on_its_run() {
    let flow = "webhook: {auth: key, expects: {query: {page: integer}, body: {id: string, n: 'number?'}}}\nsteps: [{respond: {}}]\n";
    let folder = folder().flow("shop", flow);
    let service = Service::start(&folder);
    let unlike = run_of(&service, "shop", r#"{"id": 7, "n": 1}"#);
    let shown = ended(&service, &unlike);
    let places: Vec<_> =
        shown["mismatches"].as_array().unwrap().iter().map(|one| one["at"].as_str().unwrap()).collect();
    assert_eq!(places, ["query.page", "body.id"], "{shown}");
    service.until_metric("hookflow_events_mismatched_total{flow=\"shop\"}", 1);
    let page = service.command(&folder, &["runs", "show", &unlike]).out;
    assert!(page.contains("  expects   query.page is not "), "{page}");
    service.stop_sound();
}
