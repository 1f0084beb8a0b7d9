//! The log of attempts: every try of a call, as the service tells it and as the file does.

use super::service::{Folder, Service, hookflow, until};
use super::target::{Play, Target};
use super::wire::{Request, Wire};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU32, Ordering};

const TOKEN: &str = "canary-token-51c2";
const SECRETS: &[(&str, &str)] = &[("WAREHOUSE_TOKEN", TOKEN)];

const WAREHOUSE: &str = "
integration: warehouse
root_url: URL/v3/
allow: [127.0.0.0/8]
headers: {Authorization: {value: {env: WAREHOUSE_TOKEN}, private: true}}
webhooks:
  reserve:
    method: POST
    url: reserve?id=${WebhookRequest.TransactionalId}
    headers: {Content-Type: application/json}
    body: '{\"sku\": \"${ sku }\"}'
    retry: {tries: 3, on: [5xx], backoff: 10ms..20ms}
";

const SHOP: &str = "
webhook: {auth: none}
steps:
  - {id: held, call: warehouse.reserve, with: {sku: '${ webhook.body.sku }'}}
  - id: page
    http: {integration: warehouse, url: page, response: json, headers: {Cookie: biscuit-51c2}}
    on_error: continue
  - respond: {json: {ok: '${ steps.page.ok }'}}
";

const PLAIN: &str = "
webhook: {auth: none}
steps:
  - http: {method: POST, url: 'URL/large', json: '${ webhook.body }'}
  - respond: {status: 204}
";

fn items(list: &Value) -> Vec<Value> {
    assert_eq!(list["next"], Value::Null, "{list}");
    list["items"].as_array().unwrap().clone()
}

/// The head and the whole body of a stream.
fn streamed(service: &Service, query: &str) -> (String, String) {
    let mut wire = Wire::connect(service.ops);
    wire.send(format!("GET /api/attempts?{query} HTTP/1.0\r\nHost: {}\r\n\r\n", service.ops));
    let whole = String::from_utf8(wire.rest()).unwrap();
    let (head, body) = whole.split_once("\r\n\r\n").unwrap();
    (format!("{head}\r\n"), body.to_owned())
}

fn lines(folder: &Folder, arguments: &[&str]) -> Vec<Value> {
    let ended = hookflow(folder.path(), arguments);
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""), "{ended:?}");
    ended.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A service after one run that called three times and one that sent something large: the URL of what they call, and the first run.
fn served() -> (Target, Folder, Service, String) {
    let tries = AtomicU32::new(0);
    let target = Target::start(move |heard| match heard.target.as_str() {
        "/v3/page" => Play::Answer(200, "<html>no JSON</html>"),
        "/large" => Play::Answer(200, "{}"),
        _ if tries.fetch_add(1, Ordering::Relaxed) == 0 => Play::Answer(503, "{\"later\": true}"),
        _ => Play::Answer(201, "{\"id\": \"R-7\"}"),
    });
    let url = target.url("");
    let folder = Folder::new()
        .config("outbound: {allow: [127.0.0.0/8]}")
        .with("config/integrations/warehouse.yaml", WAREHOUSE.replace("URL", &url))
        .flow("shop", SHOP)
        .flow("plain", &PLAIN.replace("URL", &url));
    let service = Service::start_with(&folder, SECRETS);
    let answer = service.send(&Request::json("/hook/shop", "{\"sku\": \"A-1\"}"));
    assert_eq!((answer.status, answer.value()), (200, json!({"ok": false})));
    let run = answer.header("x-run-id").unwrap().to_owned();
    let large = format!("{{\"note\": \"{}\"}}", "y".repeat(100_000));
    assert_eq!(service.send(&Request::json("/hook/plain", &large)).status, 204);
    (target, folder, service, run)
}

#[test]
fn every_try_of_a_call_is_in_the_log() {
    let (target, _folder, service, run) = served();
    let url = target.url("");
    let log = items(&service.ops("/api/attempts").value());
    let [plain, page, second, first] = log.as_slice() else { panic!("{log:#?}") };
    assert_eq!(
        (&first["run"], &first["flow"], &first["step"]),
        (&json!(run), &json!("shop"), &json!("held"))
    );
    assert_eq!((&first["integration"], &first["webhook"]), (&json!("warehouse"), &json!("reserve")));
    assert_eq!((&first["attempt"], &first["status"], &first["ok"]), (&json!(1), &json!(503), &json!(false)));
    assert_eq!(
        (&second["attempt"], &second["status"], &second["ok"]),
        (&json!(2), &json!(201), &json!(true))
    );
    assert_eq!(second["answer"]["body"], json!({"id": "R-7"}));
    assert_eq!(first["transactional_id"], second["transactional_id"]);
    let id = first["transactional_id"].as_str().unwrap();
    assert_eq!(first["request"]["url"], format!("{url}/v3/reserve?id={id}"));
    assert_eq!(first["request"]["body"], "{\"sku\": \"A-1\"}");
    assert_eq!(first["request"]["headers"]["authorization"], "***");
    assert!(first["took_ms"].is_u64() && first["version"].as_str().unwrap().len() > 10, "{first}");
    assert_eq!((&page["kind"], &page["status"]), (&json!("parse"), &json!(200)), "{page}");
    assert_eq!(page["answer"]["body"], "<html>no JSON</html>", "what no fact holds is kept all the same");
    assert_eq!(page["request"]["headers"]["cookie"], "***");
    assert_eq!((&plain["integration"], &plain["flow"]), (&Value::Null, &json!("plain")));
    let body = &plain["request"]["body"];
    assert!(body["bytes"].as_u64() > Some(100_000) && body["sha256"].as_str().unwrap().len() == 64);
    assert_eq!(body["text"].as_str().unwrap().len(), 4_096, "a large body has its beginning here");
    service.stop_sound();
}

#[test]
fn the_log_is_narrowed_and_paged() {
    let (_target, _folder, service, run) = served();
    let log = items(&service.ops("/api/attempts").value());
    for (query, expected) in [
        ("failed=true", 2),
        ("flow=plain", 1),
        ("integration=warehouse&failed=true", 2),
        ("integration=crm", 0),
        ("since=1h", 4),
        ("until=1h", 0),
    ] {
        assert_eq!(items(&service.ops(&format!("/api/attempts?{query}")).value()).len(), expected, "{query}");
    }
    assert_eq!(items(&service.ops(&format!("/api/attempts?run={run}")).value()).len(), 3);
    for wrong in ["fialed=true", "failed=yes", "before=x", "format=xml"] {
        assert_eq!(service.ops(&format!("/api/attempts?{wrong}")).status, 400, "{wrong}");
    }
    let page = service.ops("/api/attempts?limit=3").value();
    let next = page["next"].as_str().unwrap();
    assert_eq!(items(&service.ops(&format!("/api/attempts?before={next}")).value()), log[3..]);
    service.stop_sound();
}

#[test]
fn the_log_is_taken_elsewhere_and_holds_no_secret() {
    let (_target, folder, service, run) = served();
    let log = items(&service.ops("/api/attempts").value());
    // The same from the service as a stream, and from the file.
    let (head, streamed) = streamed(&service, "format=ndjson");
    assert!(head.contains("content-type: application/x-ndjson\r\n"), "{head}");
    let streamed: Vec<Value> = streamed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(streamed, log);
    assert_eq!(lines(&folder, &["attempts", "export"]), log, "beside it, without a secret");
    let (_, csv) = self::streamed(&service, "format=csv&failed=true");
    let exported = hookflow(folder.path(), &["attempts", "export", "--format", "csv", "--failed"]);
    assert_eq!(exported.out, csv);
    assert!(csv.starts_with("at,run,flow,") && csv.lines().count() == 3, "{csv}");
    let shown = service.ops(&format!("/api/runs/{run}")).text();
    let ended = service.stop_sound();
    assert_eq!(lines(&folder, &["attempts", "export", "--run", &run]), log[1..]);
    let table = hookflow(folder.path(), &["attempts", "--failed"]);
    assert_eq!((table.code, table.out.lines().count()), (Some(0), 3), "{table:?}");
    assert!(table.out.contains("warehouse.reserve") && table.out.contains("parse: "), "{table:?}");
    let nothing = hookflow(folder.path(), &["attempts", "--flow", "plain", "--failed"]);
    assert_eq!(nothing.out, "No attempt is kept that fits.\n");
    let mut written = vec![json!(log).to_string(), csv, shown, ended.out, ended.err];
    for entry in std::fs::read_dir(folder.path().join("data")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            written.push(String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned());
        }
    }
    assert!(written.iter().all(|text| !text.contains("canary")), "a secret is written down");
    // A flow's own text is kept with the flow, and shown nowhere else.
    assert!(written.iter().take(3).all(|text| !text.contains("biscuit")), "{written:?}");
}

#[test]
fn a_try_that_was_lost_in_a_crash_is_in_the_log() {
    let target = Target::hanging();
    let folder = Folder::new()
        .config("outbound: {allow: [127.0.0.0/8]}")
        .flow("plain", &PLAIN.replace("URL", &target.url("")));
    let service = Service::start(&folder);
    let mut door = Wire::connect(service.public);
    door.send(Request::json("/hook/plain", "{}").bytes());
    target.heard(1);
    service.signal("KILL");
    drop(door);
    drop(service.end());
    let service = Service::start(&folder);
    let lost = until("the lost try", || items(&service.ops("/api/attempts").value()).pop());
    assert_eq!(
        (&lost["kind"], &lost["attempt"], &lost["ok"]),
        (&json!("interrupted"), &json!(1), &json!(false))
    );
    assert_eq!(lost["request"]["url"], target.url("/large"));
    assert_eq!((&lost["status"], &lost["took_ms"]), (&Value::Null, &Value::Null), "nobody knows");
    service.stop_sound();
}

#[test]
fn a_try_that_was_away_when_its_run_was_cancelled_is_in_the_log() {
    let target = Target::hanging();
    let flow = "webhook: {auth: none}\nsteps: [{http: {url: 'URL/slow'}}]".replace("URL", &target.url(""));
    let folder = Folder::new().config("outbound: {allow: [127.0.0.0/8]}").flow("slow", &flow);
    let service = Service::start(&folder);
    let answer = service.send(&Request::json("/hook/slow", "{}"));
    let run = answer.header("x-run-id").unwrap().to_owned();
    target.heard(1);
    assert_eq!(service.ops_post(&format!("/api/runs/{run}/cancel"), "{}").status / 100, 2);
    let cancelled = until("the cancelled try", || items(&service.ops("/api/attempts").value()).pop());
    assert_eq!((&cancelled["kind"], &cancelled["run"]), (&json!("cancelled"), &json!(run)));
    assert!(cancelled["took_ms"].is_u64() && cancelled["answer"].is_null(), "{cancelled}");
    service.stop_sound();
}

#[test]
fn a_call_is_previewed_without_being_sent_and_sent_as_a_test() {
    let target = Target::start(|_| Play::Answer(201, "{\"id\": \"R-7\"}"));
    let url = target.url("");
    let warehouse = format!("{}    capture: {{order: id}}\n", WAREHOUSE.replace("URL", &url));
    let folder = Folder::new().with("config/integrations/warehouse.yaml", warehouse);
    let preview = ["preview", "warehouse.reserve", "--with", "sku=a \"b\" ${ x }"];
    let shown = hookflow(folder.path(), &preview);
    assert_eq!((shown.code, shown.err.as_str()), (Some(0), ""), "without a secret: {shown:?}");
    assert!(shown.out.starts_with(&format!("POST {url}/v3/reserve?id=")), "{shown:?}");
    assert!(shown.out.contains("\nauthorization: ***\n"), "{shown:?}");
    assert!(
        shown.out.ends_with("\n\n{\"sku\": \"a \\\"b\\\" ${ x }\"}\n"),
        "what is given is not evaluated: {shown:?}"
    );
    let told = hookflow(folder.path(), &[&preview[..], &["--format", "json"]].concat());
    let told: Value = serde_json::from_str(&told.out).unwrap();
    assert_eq!((&told["method"], &told["headers"]["authorization"]), (&json!("POST"), &json!("***")));
    for (arguments, code, word) in [
        (&["preview", "warehouse.reserve"][..], 1, "`sku`"),
        (&["preview", "warehouse.resrve"], 1, "did you mean `warehouse.reserve`?"),
        (&["preview", "warehuose.reserve"], 1, "did you mean `warehouse`?"),
        (&["preview", "warehouse.reserve", "--with", "skuu=1"], 2, "did you mean `sku`?"),
        (&["preview", "warehouse.reserve", "--with", "sku"], 2, "is not `name=value`"),
        (&["call", "warehouse.reserve", "--with", "sku=1"], 1, "WAREHOUSE_TOKEN"),
    ] {
        let ended = hookflow(folder.path(), arguments);
        assert!(ended.code == Some(code) && ended.err.contains(word), "{arguments:?}: {ended:?}");
    }

    let call = ["call", "warehouse.reserve", "--with", "sku=7"];
    let called = super::service::hookflow_with(folder.path(), &call, SECRETS);
    assert_eq!((called.code, called.err.as_str()), (Some(0), ""), "{called:?}");
    assert!(
        called.out.contains("\n201 after ") && called.out.contains("captured order: \"R-7\""),
        "{called:?}"
    );
    assert!(called.out.contains("x-hookflow-test: true") && !called.out.contains("canary"), "{called:?}");
    // Nothing came before.
    let heard = target.heard(1);
    assert_eq!(
        (heard[0].header("x-hookflow-test"), heard[0].header("authorization")),
        (Some("true"), Some(TOKEN))
    );
    assert_eq!(heard[0].value(), json!({"sku": "7"}));
    assert!(!folder.path().join("data").exists(), "nothing is kept");
    let refused = Target::start(|_| Play::Answer(404, "{}"));
    folder.put("config/integrations/warehouse.yaml", WAREHOUSE.replace("URL", &refused.url("")));
    let called =
        super::service::hookflow_with(folder.path(), &[&call[..], &["--format", "json"]].concat(), SECRETS);
    let told: Value = serde_json::from_str(&called.out).unwrap();
    assert_eq!(
        (called.code, &told["ok"], &told["status"]),
        (Some(1), &json!(false), &json!(404)),
        "{called:?}"
    );
}

#[test]
fn webhooks_and_flows_are_copied_with_their_comments() {
    let warehouse =
        WAREHOUSE.replace("URL", "http://127.0.0.1:9").replace("  reserve:", "  # Holds goods.\n  reserve:");
    let folder = Folder::new()
        .with("config/integrations/warehouse.yaml", &warehouse)
        .with(
            "flows/sub/first.yaml",
            "# Says hello.\nflow: hello # its name\nsteps:\n  - set: {a: 1} # one\n",
        )
        .flow("named", "steps: [{set: {a: 1}}]\n");
    let copy = |from: &str, to: &str| hookflow(folder.path(), &["copy", from, to]);
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    let copied = copy("warehouse.reserve", "warehouse.reserve_fast");
    assert_eq!(copied.code, Some(0), "{copied:?}");
    let webhook = warehouse.split_once("webhooks:\n").unwrap().1;
    let twice = format!("{warehouse}{}", webhook.replace("  reserve:", "  reserve_fast:"));
    assert_eq!(read("config/integrations/warehouse.yaml"), twice);
    assert_eq!(copy("hello", "bye").code, Some(0));
    assert_eq!(
        read("flows/sub/bye.yaml"),
        "# Says hello.\nflow: bye # its name\nsteps:\n  - set: {a: 1} # one\n"
    );
    assert_eq!(copy("named", "other").code, Some(0));
    assert_eq!(read("flows/other.yaml"), "steps: [{set: {a: 1}}]\n");
    let checked = hookflow(folder.path(), &["check", "--without-secrets"]);
    assert_eq!(checked.code, Some(0), "{checked:?}");
    for (from, to, code, word) in [
        ("warehouse.reserve", "warehouse.reserve_fast", 1, "already"),
        ("warehouse.nothing", "warehouse.x", 1, "no webhook `nothing`"),
        ("warehouse.reserve", "warehouse.not a name", 1, "there can be no webhook"),
        ("warehouse.reserve", "crm.reserve", 2, "within its integration"),
        ("hello", "bye", 1, "already"),
        ("hello", "Not An ID", 1, "there can be no flow"),
        ("hello", "sub/bye", 1, "there can be no flow"),
        ("helo", "x", 1, "did you mean `hello`?"),
        ("hello", "a.b", 2, "a flow is copied to a flow"),
    ] {
        let ended = copy(from, to);
        assert!(ended.code == Some(code) && ended.err.contains(word), "{from} {to}: {ended:?}");
    }
    assert_eq!(read("config/integrations/warehouse.yaml"), twice, "what is refused changes nothing");
}
