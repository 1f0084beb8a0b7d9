//! Large bodies of events that outlive the process: there as long as a run needs them, and no longer.

use super::large_bodies::{as_bytes, hex, noise, upload};
use super::service::{Folder, Service, until};
use super::target::{Play, Target};
use super::wire::{Request, Wire};
use serde_json::{Value, json};
use std::fs;

/// A flow whose only worker calls twice: first nobody may answer, then it tells what it sees of the event.
fn telling(target: &Target) -> Folder {
    let flow = format!(
        "webhook: {{auth: none}}
queue: {{workers: 1}}
steps:
  - http: {{url: '{}'}}
  - http: {{url: '{}', json: {{files: '${{ webhook.files }}', title: '${{ webhook.body.title }}'}}}}
",
        target.url("/first"),
        target.url("/told"),
    );
    let once = "
webhook: {auth: none, dedupe: {key: '${ webhook.headers[''x-id''] }', window: 1h}}
steps: [{log: '${ webhook.files[0].sha256 }'}]
";
    Folder::new().config("outbound: {allow: [127.0.0.0/8]}").flow("tell", &flow).flow("once", once)
}

fn blobs(folder: &Folder) -> usize {
    let below = |folder: std::path::PathBuf| {
        fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path())
    };
    below(folder.path().join("data/hookflow.db.blobs")).flat_map(below).count()
}

fn until_blobs(folder: &Folder, count: usize) {
    until(&format!("{count} blobs"), || (blobs(folder) == count).then_some(()));
}

fn accepted(service: &Service, request: &Request) -> String {
    let answer = service.send(request);
    assert_eq!(answer.status, 202, "{answer:?}");
    answer.header("x-run-id").unwrap().to_owned()
}

fn succeeded(service: &Service, count: u64) {
    service.until_metric("hookflow_runs_total{flow=\"tell\",outcome=\"succeeded\"}", count);
}

/// What the flow has told of the file of its event.
fn told(target: &Target, count: usize) -> Vec<Value> {
    let heard = target.heard(count).into_iter().filter(|heard| heard.target == "/told");
    heard
        .map(|heard| json!([heard.value()["files"][0]["size"], heard.value()["files"][0]["sha256"]]))
        .collect()
}

#[test]
fn a_large_body_outlives_a_kill_and_goes_with_its_last_run() {
    let target = Target::start(|heard| match heard.target.as_str() {
        "/first" => Play::Hang,
        _ => Play::Answer(200, "{}"),
    });
    let folder = telling(&target);
    let service = Service::start(&folder);
    let (one, other) = (noise(5 << 20), noise(100_000));
    accepted(&service, &upload("/hook/tell", &one));
    target.heard(1);
    let waiting = accepted(&service, &upload("/hook/tell", &other));
    let text = format!("{{\"title\": \"{}\"}}", "x".repeat(100_000));
    accepted(&service, &Request::json("/hook/tell", &text));
    let mut open = Wire::connect(service.public);
    open.send(as_bytes("/hook/tell", b"").set("Content-Length", "2000000").head());
    open.send(&other);
    until_blobs(&folder, 4);
    service.signal("KILL");
    service.end();
    assert_eq!(blobs(&folder), 4, "also what nobody will ever finish");

    target.release();
    let service = Service::start(&folder);
    assert_eq!(blobs(&folder), 3, "what no event names is gone");
    succeeded(&service, 3);
    let of = |content: &[u8]| json!([content.len(), hex(content)]);
    let mut expected = vec![of(&one), of(&other), json!([null, null])];
    assert_eq!(told(&target, 7), expected);
    let json_event = target.heard(7).into_iter().rfind(|heard| heard.target == "/told").unwrap();
    assert_eq!(json_event.value()["title"].as_str().map(str::len), Some(100_000));
    let shown = service.ops(&format!("/api/runs/{waiting}")).value();
    assert_eq!(shown["request"]["files"][0]["sha256"], hex(&other), "{}", shown["request"]);

    // A replay names the same file, and keeps it when the first run is forgotten.
    let replayed = service.ops_post(&format!("/api/runs/{waiting}/replay"), "{}");
    assert_eq!(replayed.status, 202, "{replayed:?}");
    succeeded(&service, 4);
    expected.push(of(&other));
    assert_eq!(told(&target, 9), expected);
    assert_eq!(blobs(&folder), 4, "the bodies that came, and the large one that was sent");
    let erased = service.command(&folder, &["runs", "erase", "--flow", "tell"]);
    assert_eq!(erased.code, Some(0), "{erased:?}");
    until_blobs(&folder, 0);
    service.stop_sound();
}

#[test]
fn a_duplicate_leaves_no_file() {
    let target = Target::start(|_| Play::Answer(200, "{}"));
    let folder = telling(&target);
    let service = Service::start(&folder);
    let content = noise(1 << 20);
    let request = as_bytes("/hook/once", &content).header("X-Id", "a");
    let run = accepted(&service, &request);
    until_blobs(&folder, 1);
    for _ in 0..3 {
        assert_eq!(accepted(&service, &request), run, "it is known");
        until_blobs(&folder, 1);
    }
    accepted(&service, &as_bytes("/hook/once", &content).header("X-Id", "b"));
    until_blobs(&folder, 2);
    service.stop_sound();
    assert_eq!(blobs(&folder), 2, "they outlive the process");
}

#[test]
fn a_body_that_is_gone_ends_its_run_and_holds_nobody() {
    let target = Target::hanging();
    let flow = format!(
        "webhook: {{auth: none}}\nqueue: {{workers: 1}}\nsteps: [{{http: {{url: '{}'}}}}]",
        target.url("/")
    );
    let folder = Folder::new().config("outbound: {allow: [127.0.0.0/8]}").flow("tell", &flow);
    let service = Service::start(&folder);
    let large = format!("{{\"text\": \"{}\"}}", "x".repeat(100_000));
    accepted(&service, &Request::json("/hook/tell", "{}"));
    let lost = accepted(&service, &Request::json("/hook/tell", &large));
    accepted(&service, &Request::json("/hook/tell", "{}"));
    target.heard(1);
    service.signal("KILL");
    service.end();
    assert_eq!(blobs(&folder), 1);
    let shards = folder.path().join("data/hookflow.db.blobs");
    for shard in fs::read_dir(shards).unwrap().map(|entry| entry.unwrap().path()) {
        for file in fs::read_dir(shard).unwrap() {
            fs::remove_file(file.unwrap().path()).unwrap();
        }
    }

    let service = Service::start(&folder);
    target.release();
    succeeded(&service, 2);
    service.until_metric("hookflow_runs_total{flow=\"tell\",outcome=\"failed\"}", 1);
    let shown = service.ops(&format!("/api/runs/{lost}"));
    assert_eq!((shown.status, shown.value()["code"].as_str()), (500, Some("run.unreadable")));
    let failed = service.ops("/api/runs?status=failed").value();
    assert_eq!(failed["items"][0]["run"], json!(lost), "{failed}");
    service.stop_sound();
}
