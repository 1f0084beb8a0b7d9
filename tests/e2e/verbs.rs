//! What steps can do beside values, decisions and calls: second tries, ways out, branches, pauses, other flows.

use super::service::{Folder, Service};
use super::target::{Play, Target};
use super::wire::Request;
use serde_json::json;
use std::sync::atomic::{AtomicUsize, Ordering};

const ALLOWED: &str = "outbound: {allow: [127.0.0.0/8]}";

/// `URL` stands for the target.
fn start(target: &Target, flows: &[(&str, &str)]) -> (Folder, Service) {
    let mut folder = Folder::new().config(ALLOWED);
    for (id, yaml) in flows {
        folder = folder.flow(id, &yaml.replace("URL", &target.url("")));
    }
    let service = Service::start(&folder);
    (folder, service)
}

#[test]
fn a_call_is_tried_again_and_then_answered() {
    let tries = AtomicUsize::new(0);
    let target = Target::start(move |_| match tries.fetch_add(1, Ordering::Relaxed) {
        0 | 1 => Play::Answer(503, "{}"),
        _ => Play::Answer(200, r#"{"id": 7}"#),
    });
    let flow = "
webhook: {auth: none}
steps:
  - id: order
    http: {url: 'URL/orders', json: {key: '${ uuid() }'}}
    retry: {tries: 3, backoff: 10ms}
  - respond: {json: {id: '${ steps.order.body.id }', attempts: '${ steps.order.attempts }'}}
";
    let (_folder, service) = start(&target, &[("patient", flow)]);
    let answer = service.send(&Request::json("/hook/patient", "{}"));
    assert_eq!(answer.value(), json!({"id": 7, "attempts": 3}), "{answer:?}");
    let heard = target.heard(3);
    assert!(heard.iter().all(|one| one.body == heard[0].body), "every try sends the same");
    service.stop_sound();
}

#[test]
fn what_was_begun_is_undone_whatever_happens() {
    let target = Target::start(|heard| match heard.target.as_str() {
        "/stock" => Play::Answer(409, r#"{"why": "none left"}"#),
        _ => Play::Answer(200, "{}"),
    });
    let flow = "
webhook: {auth: none}
steps:
  - http: {method: PUT, url: 'URL/lock'}
  - try:
      - id: stock
        http: {method: POST, url: 'URL/stock'}
    catch:
      - respond: {status: 409, json: {why: '${ steps.stock.body.why }', kind: '${ error.kind }'}}
    finally:
      - http: {method: DELETE, url: 'URL/lock'}
";
    let (_folder, service) = start(&target, &[("careful", flow)]);
    let answer = service.send(&Request::json("/hook/careful", "{}"));
    assert_eq!((answer.status, answer.value()), (409, json!({"why": "none left", "kind": "status"})));
    let heard: Vec<_> = target.heard(3).iter().map(|one| format!("{} {}", one.method, one.target)).collect();
    assert_eq!(heard, ["PUT /lock", "POST /stock", "DELETE /lock"]);
    service.stop_sound();
}

#[test]
fn branches_sleep_and_are_read_together() {
    let target = Target::start(|heard| match heard.target.as_str() {
        "/a" => Play::Answer(200, "1"),
        _ => Play::Answer(200, "2"),
    });
    let flow = "
webhook: {auth: none}
steps:
  - parallel:
      a:
        - sleep: 30ms
        - {id: a, http: {url: 'URL/a'}}
      b:
        - {id: b, http: {url: 'URL/b'}}
        - sleep: 10ms
  - id: late
    sleep: 1h
    timeout: 20ms
    on_error: continue
  - emit: numbers.seen
    data: {a: '${ steps.a.body }'}
  - respond: {json: ['${ steps.a.body }', '${ steps.b.body }']}
";
    let (_folder, service) = start(&target, &[("both", flow)]);
    let answer = service.send(&Request::json("/hook/both", "{}"));
    assert_eq!(answer.text(), "[1,2]", "{answer:?}");
    assert_eq!(service.metric("hookflow_emitted_total"), Some(1));
    service.stop_sound();
}

#[test]
fn a_flow_runs_others_and_itself_on_one_worker() {
    let target = Target::start(|_| Play::Answer(200, "{}"));
    let caller = "
webhook: {auth: none}
steps:
  - id: product
    run: product
    with: '${ webhook.body.n }'
    on_error: continue
  - respond: {json: '${ steps.product }'}
";
    let product = "
queue: {workers: 1}
steps:
  - if: webhook.body <= 1
    then:
      - return: 1
  - id: rest
    run: product
    with: '${ webhook.body - 1 }'
  - http: {url: 'URL/${ webhook.body }'}
  - return: '${ webhook.body * steps.rest }'
";
    let (_folder, service) = start(&target, &[("caller", caller), ("product", product)]);
    let product = |n: u32| service.send(&Request::json("/hook/caller", json!({"n": n}).to_string())).text();
    assert_eq!(product(6), "720");
    let heard: Vec<_> = target.heard(5).iter().map(|one| one.target.clone()).collect();
    assert_eq!(heard, ["/2", "/3", "/4", "/5", "/6"]);
    assert_eq!(product(100), "null", "it is too deep");
    assert_eq!(service.metric("hookflow_runs_total{flow=\"product\",outcome=\"succeeded\"}"), Some(6));
    assert_eq!(service.metric("hookflow_runs_total{flow=\"product\",outcome=\"failed\"}"), Some(16));
    service.stop_sound();
}

#[test]
fn a_detached_flow_goes_its_own_way() {
    let target = Target::start(|_| Play::Answer(200, "{}"));
    let caller = "
webhook: {auth: none}
steps:
  - {id: mail, run: mail, detach: true, with: {to: '${ webhook.body.to }'}}
  - respond: {json: '${ steps.mail.run_id | length }'}
";
    let mail = "
steps:
  - http: {url: 'URL/mail', json: '${ webhook.body }'}
";
    let (_folder, service) = start(&target, &[("caller", caller), ("mail", mail)]);
    let answer = service.send(&Request::json("/hook/caller", r#"{"to": "x"}"#));
    assert_eq!(answer.text(), "36", "{answer:?}");
    assert_eq!(target.heard(1)[0].body, br#"{"to":"x"}"#);
    service.until_metric("hookflow_runs_total{flow=\"mail\",outcome=\"succeeded\"}", 1);
    service.stop_sound();
}
