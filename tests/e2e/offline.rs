//! What is kept is read beside a running service and without one, and needs no secret.

use super::answers::{KEY, call, folder};
use super::service::{Ended, Folder, Service, hookflow, until};
use super::wire::{Request, Wire};
use serde_json::{Value, json};

const FLOW: &str = "webhook: {auth: key, dedupe: {key: '${ webhook.body.id }'}}
steps:
  - {id: sum, set: {twice: '${ webhook.body.n * 2 }'}}
  - {when: webhook.body.n == 7, fail: seven}
  - {respond: {json: '${ steps.sum }'}}
";

fn json_of(ended: &Ended) -> Value {
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""), "{ended:?}");
    serde_json::from_str(&ended.out).unwrap()
}

fn shop() -> Folder {
    folder().flow("shop", FLOW)
}

#[test]
fn runs_are_read_without_a_service_as_the_service_tells_them() {
    let folder = shop();
    let service = Service::start(&folder);
    for n in 1..=7 {
        service.send(&call("shop", &format!("{{\"id\": \"A-{n}\", \"n\": {n}}}")));
    }
    let told = service.ops("/api/runs?flow=shop&status=failed").value();
    let run = told["items"][0]["run"].as_str().unwrap().to_owned();
    let shown = service.ops(&format!("/api/runs/{run}")).value();
    let list = ["runs", "--flow", "shop", "--status", "failed", "--format", "json"];
    let show = ["runs", "show", &run, "--format", "json"];
    // Nobody says where the service is.
    assert_eq!(json_of(&hookflow(folder.path(), &list)), told, "beside it");
    assert_eq!(json_of(&hookflow(folder.path(), &show)), shown, "beside it");
    assert_eq!(json_of(&service.command(&folder, &[&show[..], &["--server"]].concat())), shown, "by it");
    service.stop_sound();
    assert_eq!(json_of(&hookflow(folder.path(), &list)), told, "without it");
    assert_eq!(json_of(&hookflow(folder.path(), &show)), shown, "without it");
    assert_eq!(shown["steps"][0]["out"], json!({"twice": 14}), "what was not kept is computed again");
    let found = hookflow(folder.path(), &["runs", "--search", "A-3", "--since", "1h"]);
    assert_eq!((found.code, found.out.lines().count()), (Some(0), 2), "{found:?}");

    // The secrets may be elsewhere; what is changed needs the service.
    folder.put("config/hookflow.yaml", "ops: {listen: '127.0.0.1:9', token: {env: GONE}}");
    assert_eq!(json_of(&hookflow(folder.path(), &show)), shown, "without a secret");
    let change = hookflow(folder.path(), &["runs", "replay", &run]);
    assert!(change.code != Some(0) && change.err.contains("GONE"), "{change:?}");
}

#[test]
fn what_cannot_be_read_is_said() {
    let folder = shop();
    let early = hookflow(folder.path(), &["runs"]);
    assert!(early.code == Some(2) && early.err.contains("nothing has been served yet"), "{early:?}");
    assert!(!folder.path().join("data").exists(), "looking makes nothing");
    let service = Service::start(&folder);
    let unknown = hookflow(folder.path(), &["runs", "show", "no such/run"]);
    assert!(unknown.code == Some(1) && unknown.err.contains("run.unknown"), "{unknown:?}");
    let wrong = hookflow(folder.path(), &["runs", "--status", "lost"]);
    assert!(wrong.code == Some(1) && wrong.err.contains("ops.query"), "{wrong:?}");
    service.stop_sound();
    folder.put("config/hookflow.yaml", "store: {memory: {}}");
    for command in ["runs", "rejected"] {
        let memory = hookflow(folder.path(), &[command]);
        assert!(memory.code == Some(2) && memory.err.contains("nobody but the running server"), "{memory:?}");
    }
}

#[test]
fn what_was_refused_is_listed_after_a_restart_and_without_a_service() {
    let folder = shop();
    let service = Service::start(&folder);
    let rejected = || json_of(&hookflow(folder.path(), &["rejected", "--format", "json"]));
    assert_eq!(hookflow(folder.path(), &["rejected"]).out, "Nothing that was refused is kept.\n");
    let refused =
        Request::json("/hook/shop?secret=hidden", "{\"a\": \"hidden\"}").header("X-Api-Key", "hidden");
    assert_eq!(service.send(&refused).status, 401);
    let first = until("the list", || Some(rejected()).filter(|list| list["items"][0].is_object()));
    let line = &first["items"][0];
    assert_eq!((&line["flow"], &line["status"]), (&json!("shop"), &json!(401)));
    assert!(line["reason"].is_string() && line["path"] == "/hook/shop", "{line}");
    assert!(!first.to_string().contains("hidden") && !first.to_string().contains(KEY), "{first}");
    assert_eq!(service.ops("/api/rejected").value(), first, "the service tells the same");
    // The last ones are written at the end.
    assert_eq!(service.send(&Request::get("/hook/nowhere")).status, 404);
    service.stop_sound();
    let both = rejected();
    assert_eq!((&both["items"][0]["code"], &both["items"][1]), (&json!("route.unknown"), line));
    let next = json_of(&hookflow(folder.path(), &["rejected", "--limit", "1", "--format", "json"]));
    let next = hookflow(folder.path(), &["rejected", "--before", next["next"].as_str().unwrap()]);
    assert!(next.out.contains("401  auth.unauthorized  POST /hook/shop"), "{next:?}");
    assert_eq!(next.out.lines().count(), 2, "with its reason: {next:?}");

    let service = Service::start(&folder);
    assert_eq!(service.ops("/api/rejected").value(), both, "after a restart");
    assert_eq!(service.ops_post("/api/erase", r#"{"flow": "shop"}"#).status, 200);
    let left = service.ops("/api/rejected").value();
    assert_eq!(left["items"].as_array().unwrap().len(), 1, "a flow is erased with what was refused: {left}");
    service.stop_sound();
}

#[test]
fn a_flood_of_refusals_is_bounded_and_takes_nobodys_place() {
    let folder = shop();
    let service = Service::start(&folder);
    let mut wire = Wire::connect(service.public);
    for n in 0..1_500 {
        assert_eq!(wire.ask(&Request::get(&format!("/hook/nowhere-{n}"))).status, 404);
    }
    assert_eq!(service.send(&call("shop", "{\"id\": 1, \"n\": 1}")).status, 200, "who may come in does");
    let dropped = until("what was left out", || service.metric("hookflow_requests_refused_unlisted_total"));
    let stopped_with = |list: Value| list["items"].as_array().unwrap().len();
    service.stop_sound();
    let listed = hookflow(folder.path(), &["rejected", "--limit", "1000", "--format", "json"]);
    let listed = stopped_with(json_of(&listed));
    assert!(dropped > 0 && listed <= 1_000, "{dropped} left out, {listed} listed");
    assert_eq!(u64::try_from(listed).unwrap() + dropped, 1_500, "each is listed or counted");
}

#[test]
fn a_version_is_kept_with_the_files_that_its_steps_name() {
    let flow = "webhook: {auth: key}
steps:
  - {id: order, validate: '${ webhook.body }', schema: {file: schemas/order.json}}
  - {id: sum, set: {n: '${ webhook.body.n }'}}
  - {respond: {json: '${ steps.sum }'}}
";
    let schema = r#"{"type": "object", "required": ["n"]}"#;
    let folder = folder().flow("checked", flow).with("schemas/order.json", schema);
    let service = Service::start(&folder);
    let run = service.send(&call("checked", r#"{"n": 7}"#)).header("x-run-id").unwrap().to_owned();
    service.stop_sound();
    folder.remove("schemas/order.json");
    folder.put("flows/checked.yaml", "webhook: {auth: key}\nsteps: [{respond: {}}]\n");
    let shown = json_of(&hookflow(folder.path(), &["runs", "show", &run, "--format", "json"]));
    assert_eq!(
        (&shown["not_computed"], &shown["steps"][1]["out"]),
        (&Value::Null, &json!({"n": 7})),
        "{shown}"
    );
    let service = Service::start(&folder);
    let again = service.command(&folder, &["runs", "replay", &run, "--version", "same", "--format", "json"]);
    let again = json_of(&again)["run_id"].as_str().unwrap().to_owned();
    let ended = until("the end", || {
        let shown = service.ops(&format!("/api/runs/{again}")).value();
        Some(shown).filter(|shown| shown["ended_at"].is_string())
    });
    assert_eq!((&ended["version"], &ended["answer"]["body"]), (&shown["version"], &json!("{\"n\":7}")));
    service.stop_sound();
}
