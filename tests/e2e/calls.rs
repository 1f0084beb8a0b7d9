//! Outgoing calls: what leaves, what comes back, and what is never called.

use super::service::{Folder, Service};
use super::target::{Play, Target};
use super::wire::{Answer, Request};
use serde_json::{Value, json};
use std::net::TcpListener;

/// `URL` stands for the target.
const RELAY: &str = "
webhook: {auth: none}
steps:
  - id: stock
    http:
      method: PUT
      url: URL/items/${ webhook.body.sku }/reservations?fixed=1
      query: {note: '${ webhook.body.note }'}
      headers: {X-Token: a b, X-Order: '${ webhook.body.id }'}
      json: {qty: '${ webhook.body.qty }', id: '${ webhook.body.id }'}
      ok: [2xx, 409]
      capture: {reservation: 'data[0].id'}
  - respond:
      status: ${ steps.stock.status }
      json: {reservation: '${ steps.stock.reservation }', by: '${ steps.stock.headers[\"content-type\"] }', ok: '${ steps.stock.ok }'}
";
const BODIES: &str = "
webhook: {auth: none}
steps:
  - http: {url: 'URL/get'}
  - http:
      url: URL/text
      headers: {Content-Type: application/xml}
      text: <a>${ webhook.body.text }</a>
  - http: {url: 'URL/form', form: {text: '${ webhook.body.text }', b: c}}
  - http:
      url: URL/json
      text: |
        {\"text\": \"${ webhook.body.text }\", \"all\": ${ webhook.body }}
  - respond: {}
";
/// Calls whatever its caller says and tells what became of it.
const CAREFUL: &str = "
webhook: {auth: none}
steps:
  - id: call
    http: {url: '${ webhook.body.url }', capture: {never: a.b}}
    timeout: 500ms
    on_error: continue
  - respond:
      json:
        ok: ${ steps.call.ok }
        status: ${ steps.call.status }
        kind: ${ steps.call.error.kind | default(none) }
        body: ${ steps.call.body }
        never: ${ steps.call.never }
";

fn start(config: &str, target: &Target) -> (Folder, Service) {
    let mut folder = Folder::new().config(config);
    for (id, yaml) in [("relay", RELAY), ("bodies", BODIES), ("careful", CAREFUL)] {
        folder = folder.flow(id, &yaml.replace("URL", &target.url("")));
    }
    folder = folder.flow("strict", &CAREFUL.replace("    on_error: continue\n", ""));
    let service = Service::start(&folder);
    (folder, service)
}

const ALLOWED: &str = "outbound: {allow: [127.0.0.0/8]}";

fn careful(service: &Service, url: &str) -> Value {
    let answer = service.send(&Request::json("/hook/careful", json!({"url": url}).to_string()));
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.value()
}

#[test]
fn a_call_is_sent_as_it_is_written() {
    let target = Target::start(|heard| match heard.value()["qty"].as_u64() {
        Some(0) => Play::Answer(409, r#"{"data": []}"#),
        _ => Play::Answer(201, r#"{"data": [{"id": "R-7"}]}"#),
    });
    let (_folder, service) = start(ALLOWED, &target);
    let order = |qty: u64| -> Answer {
        let body = json!({"sku": "a b/../c?d", "note": "x&y=z#", "id": "A-1", "qty": qty});
        service.send(&Request::json("/hook/relay", body.to_string()))
    };
    let answer = order(2);
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!(answer.text(), r#"{"reservation":"R-7","by":"application/json","ok":true}"#);
    let heard = &target.heard(1)[0];
    assert_eq!(heard.method, "PUT");
    assert_eq!(heard.target, "/items/a%20b%2F..%2Fc%3Fd/reservations?fixed=1&note=x%26y%3Dz%23");
    assert_eq!((heard.header("x-token"), heard.header("x-order")), (Some("a b"), Some("A-1")));
    assert_eq!(heard.header("content-type"), Some("application/json"));
    assert_eq!(heard.header("host").map(|host| format!("http://{host}")), Some(target.url("")));
    assert_eq!(heard.body, br#"{"qty":2,"id":"A-1"}"#);

    let answer = order(0);
    assert_eq!(
        (answer.status, answer.value()["reservation"].clone()),
        (409, Value::Null),
        "409 is good here"
    );
    service.stop_sound();
}

#[test]
fn bodies_follow_their_types() {
    let target = Target::start(|_| Play::Answer(204, ""));
    let (_folder, service) = start(ALLOWED, &target);
    let answer = service.send(&Request::json("/hook/bodies", r#"{"text": "<\"&\n\\é"}"#));
    assert_eq!(answer.status, 200, "{answer:?}");
    let heard = target.heard(4);
    let of = |at: usize| (heard[at].method.as_str(), heard[at].header("content-type").unwrap_or_default());
    assert_eq!((of(0), heard[0].body.as_slice()), (("GET", ""), &b""[..]));
    assert_eq!(of(1), ("POST", "application/xml"));
    assert_eq!(heard[1].body, "<a>&lt;&quot;&amp;\n\\é</a>".as_bytes());
    assert_eq!(of(2), ("POST", "application/x-www-form-urlencoded"));
    assert_eq!(heard[2].body, b"text=%3C%22%26%0A%5C%C3%A9&b=c");
    assert_eq!(of(3), ("POST", "application/json"));
    assert_eq!(heard[3].value(), json!({"text": "<\"&\n\\é", "all": {"text": "<\"&\n\\é"}}));
    service.stop_sound();
}

#[test]
fn what_fails_is_a_value_where_the_flow_goes_on_and_a_failure_where_it_does_not() {
    let target = Target::start(|heard| match heard.target.as_str() {
        "/down" => Play::Answer(503, r#"{"why": "maintenance"}"#),
        "/hang" => Play::Hang,
        _ => Play::Answer(200, "{\"a\": "),
    });
    let (_folder, service) = start(ALLOWED, &target);
    let down = careful(&service, &target.url("/down"));
    assert_eq!(
        down,
        json!({"ok": false, "status": 503, "kind": "status", "body": {"why": "maintenance"}, "never": null})
    );
    let hung = careful(&service, &target.url("/hang"));
    assert_eq!(hung, json!({"ok": false, "status": null, "kind": "timeout", "body": null, "never": null}));
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let gone = careful(&service, &format!("http://{closed}/"));
    assert_eq!((&gone["ok"], &gone["kind"]), (&json!(false), &json!("connect")));

    for path in ["/down", "/hang"] {
        let body = json!({"url": target.url(path)}).to_string();
        let answer = service.send(&Request::json("/hook/strict", body));
        assert_eq!((answer.status, answer.code().as_str()), (500, "flow-failed"), "{path}");
        assert!(!answer.text().contains("maintenance"), "{answer:?}");
    }
    service.until_metric("hookflow_runs_total{flow=\"strict\",outcome=\"failed\"}", 2);
    service.stop_sound();
}

#[test]
fn private_addresses_are_not_called_unless_they_are_allowed() {
    let target = Target::start(|_| Play::Answer(200, "{}"));
    let (_folder, service) = start("", &target);
    let port = target.url("").rsplit_once(':').unwrap().1.to_owned();
    for host in ["127.0.0.1", "localhost", "127.1", "0x7f000001", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0"] {
        let refused = careful(&service, &format!("http://{host}:{port}/"));
        assert_eq!((&refused["ok"], &refused["kind"]), (&json!(false), &json!("refused")), "{host}");
    }
    for url in ["http://169.254.169.254/latest/meta-data", "http://10.0.0.1/", "http://192.168.1.1/"] {
        let refused = careful(&service, url);
        assert_eq!((&refused["ok"], &refused["kind"]), (&json!(false), &json!("refused")), "{url}");
    }
    assert_eq!(target.count(), 0);
    service.stop_sound();
}

#[test]
fn the_service_does_not_call_its_own_ops_listener() {
    let target = Target::start(|_| Play::Answer(200, "{}"));
    let (_folder, service) = start(ALLOWED, &target);
    for url in [
        format!("http://{}/metrics", service.ops),
        format!("http://localhost:{}/healthz", service.ops.port()),
        format!("http://{}/", service.public),
    ] {
        let refused = careful(&service, &url);
        assert_eq!((&refused["ok"], &refused["kind"]), (&json!(false), &json!("refused")), "{url}");
    }
    // Another flow may be called as anybody calls it; it has no body to read here.
    let flow = careful(&service, &format!("http://{}/hook/careful", service.public));
    assert_eq!(flow["status"], 405, "{flow}");
    service.stop_sound();
}

/// Sends on what came in: as it was, and as the value that it became.
const ONWARD: &str = "
webhook: {auth: none}
steps:
  - http: {url: 'URL/raw', headers: {Content-Type: text/plain}, text: '${ webhook.raw }'}
  - http: {url: 'URL/value', json: '${ webhook.body }'}
  - respond: {}
";

#[test]
fn what_came_in_goes_on_unchanged() {
    const FORM: &str = "application/x-www-form-urlencoded";
    const JSON: &str = "application/json";
    let written = r#"{"z":1,"a":10.10,"m":{"y":[1,2.0,-0,1e+2,123456789012345678901234567890],"b":null,"":[]},"A":" "}"#;
    let target = Target::start(|_| Play::Answer(200, "{}"));
    let folder = Folder::new().config(ALLOWED).flow("onward", &ONWARD.replace("URL", &target.url("")));
    let service = Service::start(&folder);
    let cases = [
        (JSON, written, written),
        // Blanks, escapes and an exponent's missing sign are not part of the value, the rest is.
        (
            JSON,
            " {\r\n \"z\" : 10.00,\"n\":1e2,\t\"a\":\"\\u00e9\\/\"}\n",
            "{\"z\":10.00,\"n\":1e+2,\"a\":\"é/\"}",
        ),
        (FORM, "tag=b&tag=a&tag=&x=%C3%A9+y&t=+", r#"{"tag":["b","a",""],"x":"é y","t":" "}"#),
        ("text/plain", " line\r\n\r\n", r#"" line\r\n\r\n""#),
    ];
    for (kind, sent, _) in cases {
        let request = Request::new("POST", "/hook/onward").header("Content-Type", kind).body(sent);
        let answer = service.send(&request);
        assert_eq!(answer.status, 200, "{sent}: {}", answer.text());
    }
    let heard = target.heard(cases.len() * 2);
    for ((_, sent, value), pair) in cases.iter().zip(heard.chunks(2)) {
        let bodies: Vec<_> = pair.iter().map(|it| String::from_utf8(it.body.clone()).unwrap()).collect();
        assert_eq!(bodies, [*sent, *value]);
    }
    service.stop_sound();
}
