//! The ops listener: what it tells, whom it tells it, and that it is another door than the public one.

use super::answers::{KEY, call, folder};
use super::service::Service;
use super::target::Target;
use super::wire::{Request, Wire};

#[test]
fn operators_see_what_happened() {
    let target = Target::hanging();
    let url = target.url("/");
    let slow = format!("webhook: {{auth: key}}\nqueue: {{workers: 1}}\nsteps: [{{http: {{url: '{url}'}}}}]");
    let folder = folder().config("outbound: {allow: [127.0.0.0/8]}").flow("slow", &slow);
    let service = Service::start(&folder);
    for (path, text) in [("/healthz", "ok"), ("/readyz", "ready"), ("/readyz?verbose", "+ flows")] {
        let answer = service.ops(path);
        assert_eq!(answer.status, 200, "{path}");
        assert!(answer.text().contains(text), "{path}: {answer:?}");
    }
    let version = service.ops("/version").value();
    assert_eq!(
        (&version["name"], &version["version"]),
        (&"hookflow".into(), &env!("CARGO_PKG_VERSION").into())
    );

    for _ in 0..3 {
        assert_eq!(service.send(&call("created", "{}")).status, 201);
        assert_eq!(service.send(&call("slow", "{}")).status, 202);
    }
    assert_eq!(service.send(&call("missing", "{}")).status, 500);
    assert_eq!(service.send(&call("created", "{}").set("X-Api-Key", "another key")).status, 401);
    assert_eq!(target.heard(1).len(), 1);
    let waiting =
        call("slow", "{}").headers.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
    for (series, value) in [
        ("hookflow_events_accepted_total{flow=\"created\"}", 3),
        ("hookflow_events_accepted_total{flow=\"slow\"}", 3),
        ("hookflow_runs_total{flow=\"created\",outcome=\"succeeded\"}", 3),
        ("hookflow_runs_total{flow=\"created\",outcome=\"failed\"}", 0),
        ("hookflow_runs_total{flow=\"missing\",outcome=\"failed\"}", 1),
        ("hookflow_run_seconds_count{flow=\"created\"}", 3),
        ("hookflow_requests_refused_total{code=\"auth.unauthorized\",flow=\"created\"}", 1),
        ("hookflow_queue_items{flow=\"created\"}", 0),
        ("hookflow_queue_items{flow=\"slow\"}", 2),
        ("hookflow_runs_in_flight", 1),
    ] {
        service.until_metric(series, value);
    }
    let bytes = service.metric("hookflow_queue_bytes{flow=\"slow\"}");
    assert!(bytes.is_some_and(|bytes| bytes >= 2 * waiting as u64), "{bytes:?}");
    let metrics = service.ops("/metrics");
    assert!(
        metrics.header("content-type").is_some_and(|kind| kind.starts_with("application/openmetrics-text"))
    );
    assert!(metrics.text().ends_with("# EOF\n"));
    target.release();
    service.until_metric("hookflow_queue_bytes{flow=\"slow\"}", 0);
    service.until_metric("hookflow_runs_total{flow=\"slow\",outcome=\"succeeded\"}", 3);
    service.stop_sound();
}

#[test]
fn each_listener_has_its_own_paths() {
    let folder = folder();
    let service = Service::start(&folder);
    for path in ["/healthz", "/readyz", "/metrics", "/version", "/api/events", "/hook/../metrics"] {
        let answer = service.send(&Request::get(path).header("X-Api-Key", KEY));
        assert_eq!((answer.status, answer.code().as_str()), (404, "route.unknown"), "{path}");
    }
    for path in ["/hook/created", "/resume/x", "/", "/metrics/x"] {
        let answer = Wire::connect(service.ops).ask(&Request { target: path.into(), ..call("", "{}") });
        assert_eq!(answer.status, 404, "{path}");
        assert_eq!(answer.value()["code"], "ops.unknown", "{path}");
    }
    let answer = Wire::connect(service.ops).ask(&Request::json("/healthz", "{}"));
    assert_eq!((answer.status, answer.value()["code"].as_str()), (405, Some("ops.method")));
    assert_eq!(service.metric("hookflow_events_accepted_total{flow=\"created\"}"), None);
    service.stop_sound();
}

#[test]
fn only_who_knows_its_name_is_answered() {
    let folder = folder();
    let service = Service::start(&folder);
    let ask = |host: &str| Wire::connect(service.ops).ask(&Request::get("/metrics").set("Host", host));
    let port = service.ops.port();
    for ours in ["localhost", "127.0.0.1", "LOCALHOST:1", &format!("127.0.0.1:{port}")] {
        assert_eq!(ask(ours).status, 200, "{ours}");
    }
    for foreign in
        ["evil.example", &format!("evil.example:{port}"), "localhost.evil.example", "127.0.0.2", ""]
    {
        let answer = ask(foreign);
        assert_eq!((answer.status, answer.value()["code"].as_str()), (421, Some("ops.host")), "{foreign}");
    }
    let foreign = Request::json("/healthz", "{}").header("Origin", "http://evil.example");
    assert_eq!(Wire::connect(service.ops).ask(&foreign).status, 403);
    service.stop_sound();
}

#[test]
fn the_log_can_be_read_by_machines() {
    let folder = folder().config("log: {format: json, level: debug}");
    let service = Service::start(&folder);
    assert_eq!(service.send(&call("missing", "{}")).status, 500);
    let refused = service.send(&call("created", "{").header("X-Request-Id", "to-find-again"));
    assert_eq!(refused.status, 400);
    let ended = service.stop_sound();
    let lines = ended.err.lines().skip_while(|line| !line.starts_with('{'));
    let lines: Vec<serde_json::Value> = lines.map(|line| serde_json::from_str(line).unwrap()).collect();
    let found = lines.iter().find(|line| line["request"] == "to-find-again").unwrap();
    assert_eq!((&found["status"], &found["code"]), (&400.into(), &"body.malformed".into()));
    assert_eq!(found["flow"], "created");
    assert!(lines.iter().any(|line| line["level"] == "WARN" && line["flow"] == "missing"), "{lines:?}");
}

#[test]
fn a_token_is_asked_for_where_there_is_one() {
    const TOKEN: &str = "the-token-of-the-operators";
    let folder = folder().with("token", TOKEN).config("ops: {token: {file: token}, hosts: [ops.example]}");
    let service = Service::start(&folder);
    let ask = |authorization: &str| {
        let request =
            Request::get("/metrics").set("Host", "ops.example").header("Authorization", authorization);
        Wire::connect(service.ops).ask(&request)
    };
    assert_eq!(ask(&format!("Bearer {TOKEN}")).status, 200);
    let basic = format!("Basic {TOKEN}");
    let longer = format!("Bearer {TOKEN}x");
    for wrong in ["", "Bearer", "Bearer ", TOKEN, &basic, &longer] {
        let answer = ask(wrong);
        assert_eq!((answer.status, answer.header("www-authenticate")), (401, Some("Bearer")), "{wrong}");
        assert!(!answer.text().contains("hookflow_"), "{answer:?}");
    }
    for path in ["/healthz", "/readyz", "/version", "/nothing"] {
        assert_eq!(service.ops(path).status, 401, "{path}");
    }
    assert_eq!(service.stop().code, Some(0));
}
