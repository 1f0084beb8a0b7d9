//! The table of answers: each situation that a caller can bring about with one request, and what is heard then.

use super::service::{Folder, Service};
use super::target::Target;
use super::wire::{Answer, Request};

pub(super) const KEY: &str = "the-key-of-the-caller";
pub(super) const CREDENTIALS: &str = "
key: {type: api_key, header: X-Api-Key, keys: [{file: key}]}
partner: {type: basic, username: partner, password: {file: key}}
signed: {type: hmac, header: X-Signature, algorithm: sha256, encoding: hex, secret: {file: key}}
";
const FLOWS: &[(&str, &str)] = &[
    ("queued", "webhook: {auth: key}\nsteps: []"),
    ("thanks", "webhook: {auth: key, ack: {status: 200, json: {thanks: true}}}\nsteps: []"),
    ("created", "webhook: {auth: key}\nsteps: [{respond: {status: 201, json: {a: 1}}}]"),
    ("silent", "webhook: {auth: key}\nsteps: [{when: false, respond: {}}]"),
    ("stopped", "webhook: {auth: key}\nsteps: [{when: true, stop: enough}, {respond: {}}]"),
    ("unreachable", "webhook: {auth: key}\nsteps: [{respond: {}, disabled: true}]"),
    ("missing", "webhook: {auth: key}\nsteps: [{respond: {json: '${ webhook.body.missing }'}}]"),
    ("teapot", "webhook: {auth: key}\nsteps: [{when: true, fail: no coffee, status: 418}, {respond: {}}]"),
    ("invalid", "webhook: {auth: key}\nsteps: [{when: true, fail: not so, kind: validation}, {respond: {}}]"),
    (
        "mended",
        "webhook: {auth: key}\nsteps: [{when: true, fail: broken}, {respond: {}}]\non_error: [{respond: {status: 502, json: {kind: '${ error.kind }'}}}]",
    ),
    ("twice", "webhook: {auth: key}\nsteps: [{respond: {status: 201}}, {respond: {status: 202}}]"),
    ("late", "webhook: {auth: key}\nsteps: [{respond: {text: said}}, {fail: too late to matter}]"),
    ("off", "enabled: false\nwebhook: {auth: key}\nsteps: [{respond: {}}]"),
    ("held", "enabled: paused\nwebhook: {auth: key}\nsteps: []"),
    ("paused", "enabled: paused\nwebhook: {auth: key}\nsteps: [{respond: {}}]"),
    ("inner", "steps: [{respond: {}}]"),
    ("item", "webhook: {auth: key, path: '/of/{id}'}\nsteps: [{respond: {text: '${ webhook.params.id }'}}]"),
    ("methods", "webhook: {auth: key, methods: [PUT, DELETE]}\nsteps: [{respond: {}}]"),
    ("typed", "webhook: {auth: key, body: json}\nsteps: [{respond: {status: 201}}]"),
    ("partner", "webhook: {auth: partner}\nsteps: [{respond: {}}]"),
    ("signed", "webhook: {auth: signed}\nsteps: [{respond: {}}]"),
    ("small", "webhook: {auth: key, body_limit: 1KiB}\nsteps: [{respond: {}}]"),
    ("url", "webhook: {auth: none, methods: [GET]}\nsteps: [{respond: {text: '${ webhook.url }'}}]"),
    ("open", "webhook: {auth: none}\nsteps: [{respond: {json: '${ webhook.body }'}}]"),
];

/// What is expected of an answer besides its status.
enum Then {
    /// These bytes.
    Text(&'static str),
    /// The state of a run, with its ID in body and header.
    State(&'static str),
    /// A no with this code; whether it is of a run.
    Code(&'static str, Run),
}

#[derive(PartialEq, Eq)]
enum Run {
    None,
    Named,
}

use Run::{Named, None as NoRun};
use Then::{Code, State, Text};

/// The flow, the status, and the rest.
const OF_FLOWS: &[(&str, u16, Then)] = &[
    ("queued", 202, State("queued")),
    ("thanks", 200, Text(r#"{"thanks":true}"#)),
    ("created", 201, Text(r#"{"a":1}"#)),
    ("silent", 200, State("completed")),
    ("stopped", 200, State("completed")),
    ("unreachable", 202, State("queued")),
    ("missing", 500, Code("flow-failed", Named)),
    ("teapot", 418, Code("flow-failed", Named)),
    ("invalid", 422, Code("flow-failed", Named)),
    ("mended", 502, Text(r#"{"kind":"custom"}"#)),
    ("twice", 201, Text("")),
    ("late", 200, Text("said")),
    ("off", 404, Code("route.unknown", NoRun)),
    ("inner", 404, Code("route.unknown", NoRun)),
    ("nobody", 404, Code("route.unknown", NoRun)),
    ("held", 202, State("queued")),
    ("paused", 503, Code("flow.paused", NoRun)),
    ("item/of/x%20y", 200, Text("x y")),
    ("item", 404, Code("route.unknown", NoRun)),
    ("item/of/x/y", 404, Code("route.unknown", NoRun)),
    ("methods", 405, Code("route.method", NoRun)),
    ("partner", 401, Code("auth.unauthorized", NoRun)),
    ("signed", 401, Code("auth.unauthorized", NoRun)),
];

pub(super) fn folder() -> Folder {
    let folder = Folder::new().with("key", KEY).credentials(CREDENTIALS);
    FLOWS.iter().fold(folder, |folder, (id, yaml)| folder.flow(id, yaml))
}

pub(super) fn call(flow: &str, body: &str) -> Request {
    Request::json(&format!("/hook/{flow}"), body).header("X-Api-Key", KEY)
}

fn assert_answer(answer: &Answer, status: u16, then: &Then, what: &str) {
    assert_eq!(answer.status, status, "{what}: {answer:?}");
    assert_eq!(answer.header("x-request-id"), Some("row-1"), "{what}: {answer:?}");
    let run = answer.header("x-run-id");
    match then {
        Text(text) => {
            assert_eq!(answer.text(), *text, "{what}");
            assert!(run.is_some(), "{what}: {answer:?}");
        }
        State(state) => {
            let run = run.expect(what);
            assert_eq!(answer.text(), format!(r#"{{"run_id":"{run}","status":"{state}"}}"#), "{what}");
        }
        Code(code, of) => {
            assert_eq!(answer.code(), *code, "{what}");
            assert_eq!(run.is_some(), *of == Named, "{what}: {answer:?}");
            assert_eq!(answer.value()["run_id"].as_str(), run, "{what}");
        }
    }
}

#[test]
fn each_end_of_a_flow_has_its_answer() {
    let folder = folder();
    let service = Service::start(&folder);
    for (path, status, then) in OF_FLOWS {
        let answer = service.send(&call(path, "{}").header("X-Request-Id", "row-1"));
        assert_answer(&answer, *status, then, path);
    }
    let allowed = service.send(&call("methods", "{}"));
    assert_eq!(allowed.header("allow"), Some("PUT, DELETE, HEAD"));
    assert!(service.send(&call("paused", "{}")).retry_after().is_some_and(|seconds| seconds >= 1));
    assert!(service.send(&call("partner", "{}")).header("www-authenticate").is_some());
    // What `respond` said first is what counts, and a failure behind it is one all the same.
    service.until_metric("hookflow_runs_total{flow=\"late\",outcome=\"failed\"}", 1);
    service.until_metric("hookflow_runs_total{flow=\"twice\",outcome=\"succeeded\"}", 1);
    assert_eq!(service.metric("hookflow_queue_items{flow=\"held\"}"), Some(1));
    service.stop_sound();
}

#[test]
fn bodies_and_their_types() {
    let folder = folder();
    let service = Service::start(&folder);
    let typed = |media_type: &str, body: &str| call("created", body).set("Content-Type", media_type);
    let untyped = Request { headers: vec![("X-Api-Key".into(), KEY.into())], ..call("created", "{}") };
    for (request, status, code) in [
        (typed("application/json", "{}"), 201, ""),
        (typed("application/json; charset=utf-8", "{}"), 201, ""),
        (typed("application/vnd.api+json", "{}"), 201, ""),
        (typed("text/plain", "anything"), 201, ""),
        (untyped.clone().body(""), 201, ""),
        (untyped, 415, "body.media-type"),
        (typed("image/png", "x"), 201, ""),
        (Request { target: "/hook/typed".into(), ..typed("image/png", "{}") }, 415, "body.media-type"),
        (Request { target: "/hook/typed".into(), ..typed("application/json", "{}") }, 201, ""),
        (typed("application/json", "{}").header("Content-Encoding", "zstd"), 415, "body.content-encoding"),
        (typed("application/json", "{}").header("Content-Encoding", "gzip"), 400, "body.malformed"),
        (typed("text/xml", "<a b='1'/>"), 201, ""),
        (typed("multipart/form-data; boundary=b", "--b--"), 201, ""),
        (typed("application/json", "{}").header("Content-Encoding", "identity"), 201, ""),
        (typed("application/json", "{\n  \"a\": [1,\n   ]}"), 400, "body.malformed"),
        (typed("application/json", "{} {}"), 400, "body.malformed"),
        (typed("application/json", &"[".repeat(1_000)), 400, "body.too-deep"),
        (typed("application/json", "\"\u{fffd}\"").body(b"\"\xff\""), 400, "body.malformed"),
    ] {
        let answer = service.send(&request);
        assert_eq!(answer.status, status, "{request:?}: {answer:?}");
        assert!(code.is_empty() || answer.code() == code, "{request:?}: {answer:?}");
    }
    let place = service.send(&typed("application/json", "{\n  \"a\": [1,\n   ]}")).value();
    assert_eq!((place["line"].as_u64(), place["column"].as_u64()), (Some(3), Some(4)), "{place}");
    assert!(place["detail"].is_string(), "{place}");
    service.stop_sound();
}

#[test]
fn json_comes_through_as_it_came() {
    let folder = folder();
    let service = Service::start(&folder);
    // Numbers that no machine type holds, and keys in their order.
    for exact in [
        r#"{"z":123456789012345678901234567890,"a":0.1000000000000000055511151231257827,"m":1.50,"n":-0.0}"#,
        r#"["é\"\\",null,true,{"":{}}]"#,
    ] {
        let answer = service.send(&call("open", exact));
        assert_eq!((answer.status, answer.text().as_str()), (200, exact), "{answer:?}");
    }
    service.stop_sound();
}

#[test]
fn json_nests_128_deep_and_no_deeper() {
    let folder = folder();
    let service = Service::start(&folder);
    let deepest = "[".repeat(128) + &"]".repeat(128);
    let deeper = service.send(&call("open", &format!("[{deepest}]")));
    assert_eq!((deeper.status, deeper.code().as_str()), (400, "body.too-deep"));
    let taken = service.send(&call("open", &deepest));
    assert_eq!((taken.status, taken.text()), (200, deepest));
    service.stop_sound();
}

#[test]
fn what_is_not_shown_looks_like_what_is_not_there() {
    let folder = folder();
    let service = Service::start(&folder);
    let mut answers = Vec::new();
    for target in [
        "/hook/nobody",
        "/hook/off",
        "/hook/inner",
        "/hook/item",
        "/hook/item/of/",
        "/hook/item/of/%ff",
        "/hook/Created",
        "/hook/%63reated",
        "/hook/",
        "/hook",
        "/",
        "/resume/018f",
        "/healthz",
        "/metrics",
        "//hook/created",
        "/hook/../hook/created",
        "/api/events",
    ] {
        for with_key in [true, false] {
            let mut request = Request { target: target.into(), ..call("nobody", "{}") };
            request.headers.retain(|(name, _)| with_key || name != "X-Api-Key");
            let mut answer = service.send(&request.header("X-Request-Id", "row-1"));
            assert_eq!((answer.status, answer.code().as_str()), (404, "route.unknown"), "{target}");
            answer.headers.retain(|(name, _)| name != "date");
            answers.push(answer);
        }
        let head = Request::new("HEAD", target);
        assert_eq!(service.send(&head).status, 404, "{target}");
    }
    answers.dedup();
    assert_eq!(answers.len(), 1);
    service.stop_sound();
}

#[test]
fn head_and_other_methods_run_nothing() {
    let folder = folder();
    let service = Service::start(&folder);
    for flow in ["queued", "created", "partner", "signed", "held", "paused", "item/of/x"] {
        let answer = service.send(&Request::new("HEAD", &format!("/hook/{flow}")));
        assert_eq!((answer.status, answer.header("x-run-id")), (200, None), "{flow}: {answer:?}");
        assert!(answer.header("x-request-id").is_some());
    }
    for method in ["GET", "PUT", "OPTIONS", "TRACE", "PROPFIND"] {
        let answer = service.send(&Request { method: method.into(), ..call("created", "") });
        assert_eq!((answer.status, answer.code().as_str()), (405, "route.method"), "{method}");
        assert_eq!(answer.header("allow"), Some("POST, HEAD"), "{method}");
    }
    assert_eq!(service.metric("hookflow_events_accepted_total{flow=\"created\"}"), Some(0));
    service.stop_sound();
}

#[test]
fn a_url_of_ours_is_never_what_the_caller_calls_us() {
    let folder = folder();
    let service = Service::start(&folder);
    let ours = format!("http://{}/hook/url?a=b", service.public);
    let ask = |request: &Request| {
        let answer = service.send(request);
        (answer.status, answer.text())
    };
    let path = Request::get("/hook/url?a=b");
    assert_eq!(ask(&path), (200, ours.clone()));
    let foreign = path.header("Host", "evil.example").header("X-Forwarded-Host", "evil.example");
    assert_eq!(ask(&foreign), (200, ours.clone()));
    let absolute = Request { target: "http://evil.example/hook/url?a=b".into(), ..foreign };
    assert_eq!(ask(&absolute), (200, ours));
    service.stop_sound();
}

#[test]
fn a_request_is_named_by_its_caller_when_the_name_is_sane() {
    let folder = folder();
    let service = Service::start(&folder);
    let named = |id: &str| {
        let answer = service.send(&call("nobody", "{}").header("X-Request-Id", id));
        assert_eq!(answer.code(), "route.unknown");
        answer.header("x-request-id").unwrap().to_owned()
    };
    let longest = "x".repeat(128);
    for sane in ["1", "4bf92f35-77b34da6_a3ce.929d", &longest] {
        assert_eq!(named(sane), sane);
    }
    let too_long = "x".repeat(129);
    for odd in ["", "a b", "a\"b", "a\\u0022", "<b>", "caf\u{e9}", &too_long] {
        let ours = named(odd);
        assert!(ours != odd && ours.len() == 36, "{ours}");
    }
    assert_ne!(named(""), named(""), "each request has a name of its own");
    service.stop_sound();
}

#[test]
fn a_caller_waits_for_so_long_and_the_run_goes_on() {
    let target = Target::hanging();
    let url = target.url("/");
    let waits = |how: &str| {
        format!(
            "webhook: {{auth: key, timeout: 300ms{how}}}\nsteps: [{{http: {{url: '{url}'}}}}, {{respond: {{}}}}]"
        )
    };
    let folder = folder().config("outbound: {allow: [127.0.0.0/8]}");
    let folder = folder.flow("slow", &waits("")).flow("patient", &waits(", on_timeout: 202"));
    let service = Service::start(&folder);
    let late = service.send(&call("slow", "{}").header("X-Request-Id", "row-1"));
    assert_answer(&late, 504, &Code("flow-timeout", Named), "504");
    let running = service.send(&call("patient", "{}").header("X-Request-Id", "row-1"));
    assert_answer(&running, 202, &State("running"), "202");
    assert_eq!(target.heard(2).len(), 2);
    target.release();
    for flow in ["slow", "patient"] {
        service.until_metric(&format!("hookflow_runs_total{{flow=\"{flow}\",outcome=\"succeeded\"}}"), 1);
    }
    service.stop_sound();
}
