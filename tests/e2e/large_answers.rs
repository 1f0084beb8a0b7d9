//! Answers and sent bodies above 64 KiB: outside of the store's file, there again after a kill, shown whole with their attempt,
//! and gone with their run.

use super::service::{Folder, Service, hookflow, until};
use super::target::{Play, Target};
use super::wire::Request;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

/// Ends the large answer, far behind its beginning.
const CANARY: &str = "canary-tail-3e07";

const FLOW: &str = "
webhook: {auth: none}
steps:
  - {id: first, http: {url: 'URL/large'}}
  - http: {url: 'URL/hang'}
  - http: {url: 'URL/told', json: {note: '${ steps.first.body.note }'}}
";

fn files(below: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(below).into_iter().flatten().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

fn with_canary(folder: &Folder) -> Vec<PathBuf> {
    let holds = |path: &PathBuf| {
        let bytes = fs::read(path).unwrap_or_default();
        memchr::memmem::find(&bytes, CANARY.as_bytes()).is_some()
    };
    files(&folder.path().join("data")).into_iter().filter(holds).collect()
}

/// The body of an attempt, sent or answered, as a list tells it.
fn listed(service: &Service, target: &str, body: &str) -> (String, Value) {
    let list = service.ops("/api/attempts").value();
    let of_target = |item: &&Value| item["request"]["url"].as_str().unwrap().ends_with(target);
    let item = list["items"].as_array().unwrap().iter().find(of_target).unwrap();
    (item["id"].as_str().unwrap().to_owned(), item.pointer(body).unwrap().clone())
}

#[test]
fn what_is_large_outlives_a_kill_is_shown_whole_and_goes_with_its_run() {
    let note = format!("{}{CANARY}", "y".repeat(100_000));
    let answer: &str = Box::leak(json!({"note": note}).to_string().into_boxed_str());
    let target = Target::start(move |heard| match heard.target.as_str() {
        "/large" => Play::Answer(200, answer),
        "/hang" => Play::Hang,
        _ => Play::Answer(200, "{}"),
    });
    let flow = FLOW.replace("URL", &target.url(""));
    let folder = Folder::new().config("outbound: {allow: [127.0.0.0/8]}").flow("tell", &flow);
    let service = Service::start(&folder);
    let accepted = service.send(&Request::json("/hook/tell", "{}"));
    let run = accepted.header("x-run-id").unwrap().to_owned();
    target.heard(2);
    let blobs = folder.path().join("data/hookflow.db.blobs");
    assert_eq!(files(&blobs).len(), 1);
    assert_eq!(with_canary(&folder), files(&blobs), "not in the file, nor in its log");
    service.signal("KILL");
    service.end();
    // What a crash leaves between a blob and the commit that names it.
    let orphan = blobs.join("00/00000000000000000000000000000000");
    fs::create_dir_all(orphan.parent().unwrap()).unwrap();
    fs::write(&orphan, CANARY).unwrap();

    target.release();
    let service = Service::start(&folder);
    assert!(!orphan.exists());
    service.until_metric("hookflow_runs_total{flow=\"tell\",outcome=\"succeeded\"}", 1);
    let told = target.heard(4).into_iter().find(|heard| heard.target == "/told").unwrap();
    assert_eq!(told.value(), json!({"note": note}), "read back");
    assert_eq!(files(&blobs).len(), 2, "the answer, and what was sent");
    let shown = service.ops(&format!("/api/runs/{run}")).value();
    assert_eq!(shown["steps"][0]["out"]["body"]["note"], note, "{}", shown["steps"][0]);
    for (call, body) in [("/large", "/answer/body"), ("/told", "/request/body")] {
        let (id, outline) = listed(&service, call, body);
        assert_eq!(outline["text"].as_str().map(str::len), Some(4_096), "{outline}");
        assert_eq!((&outline["bytes"], &outline["whole"]), (&json!(answer.len()), &Value::Null));
        let whole = service.ops(&format!("/api/attempts/{id}")).value();
        let whole = whole.pointer(body).unwrap();
        assert_eq!((&whole["text"], &whole["whole"]), (&json!(answer), &json!(true)));
        assert_eq!(whole["sha256"], outline["sha256"]);
        let by_command = hookflow(folder.path(), &["attempts", "show", &id, "--format", "json"]);
        let by_command: Value = serde_json::from_str(&by_command.out).unwrap();
        assert_eq!(by_command.pointer(body), Some(whole));
        let page = hookflow(folder.path(), &["attempts", "show", &id]);
        assert!(page.code == Some(0) && page.out.contains(CANARY), "{page:?}");
    }
    for unknown in ["x", &run, &format!("{run}_99"), "nobody_1"] {
        let answer = service.ops(&format!("/api/attempts/{unknown}"));
        assert_eq!((answer.status, answer.code().as_str()), (404, "attempt.unknown"), "{unknown}");
    }
    let unknown = hookflow(folder.path(), &["attempts", "show", "nobody_1"]);
    assert!(unknown.code == Some(1) && unknown.err.contains("attempt.unknown"), "{unknown:?}");

    let erased = service.command(&folder, &["runs", "erase", "--flow", "tell"]);
    assert_eq!(erased.code, Some(0), "{erased:?}");
    until("what was erased to be gone", || with_canary(&folder).is_empty().then_some(()));
    assert_eq!(files(&blobs), Vec::<PathBuf>::new());
    service.stop_sound();
}
