//! Bodies in other formats than JSON, to other services and to callers, and values that jq reshapes.

use super::service::{Folder, Service};
use super::target::{Play, Target};
use super::wire::{Answer, Request};

const WAREHOUSE: &str = "
integration: warehouse
root_url: URL
allow: [127.0.0.0/8]
";

fn service(target: &Target, flow: &str) -> (Folder, Service) {
    let warehouse = WAREHOUSE.replace("URL", &target.url("/"));
    let flow = format!("webhook: {{auth: none, timeout: 60s}}\nsteps:\n{flow}");
    let folder = Folder::new().with("config/integrations/warehouse.yaml", warehouse).flow("shop", &flow);
    let service = Service::start(&folder);
    (folder, service)
}

fn send(service: &Service, body: &str) -> Answer {
    service.send(&Request::json("/hook/shop", body))
}

#[test]
fn calls_send_xml_nested_forms_and_bytes() {
    let target = Target::start(|_| Play::Answer(200, "{}"));
    let (_folder, service) = service(
        &target,
        "  - http: {integration: warehouse, url: xml, xml: {order: {'@id': '${ webhook.body.id }', line: [1, 2]}}}
  - http: {integration: warehouse, url: form, form: {data: {a: '${ webhook.body }', b: [x, y]}}}
  - http: {integration: warehouse, url: bytes, method: PUT, bytes: '${ webhook.body.id | base64 }'}
  - respond: {status: 204}
",
    );
    assert_eq!(send(&service, r#"{"id": "<1>"}"#).status, 204);
    let heard = target.heard(3);
    let sent = |at: usize| {
        let heard = &heard[at];
        (heard.header("content-type").unwrap_or_default(), String::from_utf8(heard.body.clone()).unwrap())
    };
    let xml = r#"<order id="&lt;1&gt;"><line>1</line><line>2</line></order>"#;
    assert_eq!(sent(0), ("application/xml; charset=utf-8", xml.to_owned()));
    let form = "data%5Ba%5D%5Bid%5D=%3C1%3E&data%5Bb%5D%5B%5D=x&data%5Bb%5D%5B%5D=y";
    assert_eq!(sent(1), ("application/x-www-form-urlencoded", form.to_owned()));
    assert_eq!(sent(2), ("application/octet-stream", "<1>".to_owned()));
}

#[test]
fn callers_get_xml_or_are_sent_elsewhere() {
    let target = Target::start(|_| Play::Answer(200, "{}"));
    let (_folder, service) = service(
        &target,
        "  - when: webhook.body.id == 1
    respond: {xml: {ok: {id: '${ webhook.body.id }'}}}
  - respond: {status: 303, redirect: 'https://shop.example/orders/${ webhook.body.id }'}
",
    );
    let xml = send(&service, r#"{"id": 1}"#);
    assert_eq!((xml.status, xml.body.as_slice()), (200, &b"<ok><id>1</id></ok>"[..]));
    assert_eq!(xml.header("content-type"), Some("application/xml; charset=utf-8"));
    let elsewhere = send(&service, r#"{"id": "a/b"}"#);
    assert_eq!((elsewhere.status, elsewhere.body.len()), (303, 0));
    assert_eq!(elsewhere.header("location"), Some("https://shop.example/orders/a%2Fb"));
}

/// A filter that never ends takes neither the program nor the worker with it.
#[test]
fn a_filter_that_never_ends_fails_its_run_alone() {
    let target = Target::start(|_| Play::Answer(200, "{}"));
    let (_folder, service) = service(
        &target,
        "  - id: made
    jq: 'if .hostile then (def f: 1 + f; f) else {big: .n, lines: [.l[] | {sku}]} end'
    of: webhook.body
  - respond: {json: '${ steps.made }'}
",
    );
    assert_eq!(send(&service, r#"{"hostile": true}"#).status, 500);
    let answer = send(&service, r#"{"n": 123456789012345678901234567890.10, "l": [{"sku": "a", "x": 1}]}"#);
    assert_eq!(answer.status, 200, "{answer:?}");
    let text = String::from_utf8(answer.body).unwrap();
    assert_eq!(text, r#"{"big":123456789012345678901234567890.10,"lines":[{"sku":"a"}]}"#);
}
