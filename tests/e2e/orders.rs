//! An order intake: an API key, a caller who waits, and a status that depends on the data.

use super::service::{Folder, Service};
use super::wire::{Answer, Request};

const KEY: &str = "the-key-of-the-shop";
const OLD_KEY: &str = "the-former-key-of-the-shop";
const CREDENTIALS: &str = "
shop: {type: api_key, header: X-Api-Key, keys: [{file: key}, {file: old_key}]}
link: {type: api_key, query: api_key, keys: [{file: key}]}
";
const ORDERS: &str = "
title: Takes orders
webhook: {auth: [shop, link], methods: [POST, PUT]}
steps:
  - when: not (webhook.body.items | default([]))
    fail: the order has no items
    kind: validation
  - when: webhook.body.draft | default(false)
    respond: {status: 204}
  - id: lines
    for: item
    in: webhook.body.items
    do:
      - id: line
        set: {total: '${ item.qty * item.price }'}
    collect: steps.line.total
  - id: order
    set: {total: '${ steps.lines | sum }'}
  - respond:
      status: 201
      override_status: ${ webhook.body.status | default(none) }
      headers: {X-Order: '${ webhook.body.id }', Location: '/orders/${ webhook.body.id }'}
      json: {id: '${ webhook.body.id }', total: '${ steps.order.total }', note: '${ webhook.body.note | default(none) }'}
";

struct Shop {
    _folder: Folder,
    service: Service,
}

impl Shop {
    fn open() -> Self {
        let folder = Folder::new().with("key", KEY).with("old_key", OLD_KEY);
        let folder = folder.credentials(CREDENTIALS).flow("orders", ORDERS);
        Self { service: Service::start(&folder), _folder: folder }
    }

    fn order(&self, body: &str) -> Answer {
        self.service.send(&Request::json("/hook/orders", body).header("X-Api-Key", KEY))
    }
}

#[test]
fn an_order_is_computed_and_confirmed() {
    let shop = Shop::open();
    let items = r#"[{"qty": 2, "price": 450}, {"qty": 1, "price": 900}]"#;
    let answer = shop.order(&format!(r#"{{"id": "A-1", "items": {items}}}"#));
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!(answer.text(), r#"{"id":"A-1","total":1800,"note":null}"#);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("x-order"), Some("A-1"));
    assert_eq!(answer.header("location"), Some("/orders/A-1"));
    assert!(answer.header("x-run-id").is_some_and(|run| !run.is_empty()));

    let hard = format!(
        r#"{{"id": "A-2", "note": "\"}},\"total\":0,\"x\":{{\"é\u0000", "items": {}}}"#,
        r#"[{"qty": 1, "price": 12345678901234567890}]"#
    );
    let answer = shop.order(&hard);
    assert_eq!(answer.status, 201, "{answer:?}");
    assert!(answer.text().contains("\"total\":12345678901234567890"), "{answer:?}");
    assert_eq!(answer.value()["note"], "\"},\"total\":0,\"x\":{\"é\0");
    shop.service.stop_sound();
}

#[test]
fn the_status_follows_the_data() {
    let shop = Shop::open();
    let order = |status: &str| {
        shop.order(&format!(r#"{{"id": "A", "items": [{{"qty": 1, "price": 1}}], "status": {status}}}"#))
    };
    for (override_status, status) in [("null", 201), ("200", 200), ("202", 202), ("409", 409), ("503", 503)] {
        assert_eq!(order(override_status).status, status);
    }
    for wrong in ["199", "600", "\"202\"", "true", "202.5", "{}"] {
        let answer = order(wrong);
        assert_eq!((answer.status, answer.code().as_str()), (500, "flow-failed"), "{wrong}");
    }
    let answer = order("204");
    assert_eq!((answer.status, answer.body.as_slice()), (204, &b""[..]));
    let answer = shop.order(r#"{"id": "A", "items": [{"qty": 1, "price": 1}], "draft": true}"#);
    assert_eq!((answer.status, answer.body.as_slice()), (204, &b""[..]));
    assert_eq!(answer.header("content-type"), None);
    shop.service.stop_sound();
}

#[test]
fn what_is_wrong_with_an_order_is_told_without_showing_the_flow() {
    let shop = Shop::open();
    for body in ["{}", r#"{"items": []}"#, r#"{"items": null}"#, "{\"id\": \"A\"}"] {
        let answer = shop.order(body);
        assert_eq!((answer.status, answer.code().as_str()), (422, "flow-failed"), "{body}: {answer:?}");
        assert_eq!(answer.value()["run_id"].as_str(), answer.header("x-run-id"));
    }
    // No ID; no price; the wrong type; a header that would be two.
    for body in [
        r#"{"items": [{"qty": 1, "price": 1}]}"#,
        r#"{"id": "A", "items": [{"qty": 1}]}"#,
        r#"{"id": "A", "items": [{"qty": {}, "price": 1}]}"#,
        r#"{"id": "A\r\nX-Evil: 1", "items": [{"qty": 1, "price": 1}]}"#,
    ] {
        let answer = shop.order(body);
        assert_eq!((answer.status, answer.code().as_str()), (500, "flow-failed"), "{body}: {answer:?}");
        assert_eq!(answer.header("x-evil"), None);
        for shown in ["webhook.body", "orders.yaml", "item.price", "steps."] {
            assert!(!answer.text().contains(shown), "{answer:?}");
        }
    }
    shop.service.until_metric("hookflow_runs_total{flow=\"orders\",outcome=\"failed\"}", 8);
    let ended = shop.service.stop_sound();
    assert!(ended.err.contains("price"), "the operator reads what was missing: {}", ended.err);
}

#[test]
fn each_key_opens_and_nothing_else_does() {
    let shop = Shop::open();
    let body = r#"{"id": "A", "items": [{"qty": 1, "price": 1}]}"#;
    let at = |path: &str| Request::json(path, body);
    let right = [
        at("/hook/orders").header("X-Api-Key", KEY),
        at("/hook/orders").header("x-api-key", OLD_KEY),
        at(&format!("/hook/orders/any/suffix?a=b&api_key={KEY}")),
        Request { method: "PUT".into(), ..at("/hook/orders").header("X-Api-Key", KEY) },
    ];
    for request in right {
        assert_eq!(shop.service.send(&request).status, 201, "{request:?}");
    }
    let upper = KEY.to_uppercase();
    let wrong = [
        at("/hook/orders"),
        at("/hook/orders").header("X-Api-Key", ""),
        at("/hook/orders").header("X-Api-Key", &upper),
        at("/hook/orders").header("X-Api-Key", KEY.strip_prefix('t').unwrap()),
        at("/hook/orders").header("X-Api-Key", &format!("{KEY}x")),
        at("/hook/orders").header("Authorization", KEY),
        at(&format!("/hook/orders?X-Api-Key={KEY}")),
        at(&format!("/hook/orders?api_key={OLD_KEY}")),
        at("/hook/orders?api_key="),
    ];
    for request in wrong {
        let answer = shop.service.send(&request);
        assert_eq!((answer.status, answer.code().as_str()), (401, "auth.unauthorized"), "{request:?}");
    }
    shop.service.stop_sound();
}
