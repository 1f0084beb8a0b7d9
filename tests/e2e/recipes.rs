//! The recipes in flows/examples as a fresh clone serves them, with senders that sign and services that answer.

use super::life::copy;
use super::service::{Folder, Service, hookflow, repository};
use super::signed::delivery;
use super::target::{Heard, Play, Target};
use super::wire::{Answer, Request};
use serde_json::{Value, json};
use std::fs;

const SERVICES: &[&str] = &["archive", "chat", "ledger", "warehouse"];

/// Every service of the recipes: what is asked for is there, and what is sent is taken.
fn services() -> Target {
    Target::start(|heard| match heard.target.split('?').next().unwrap() {
        "/warehouse/stock/cup" => Play::Answer(200, r#"{"data": {"available": 0}}"#),
        target if target.starts_with("/warehouse/stock/") => {
            Play::Answer(200, r#"{"data": {"available": 5}}"#)
        }
        _ => Play::Answer(201, r#"{"data": {"number": "R-7"}}"#),
    })
}

/// The repository's own folder, with the services where they are for this test.
fn clone(target: &Target) -> Folder {
    let folder = Folder::new();
    for part in ["config", "flows"] {
        copy(&repository().join(part), &folder.path().join(part));
    }
    for service in SERVICES {
        let name = format!("config/integrations/{service}.yaml");
        let text = fs::read_to_string(folder.path().join(&name)).unwrap();
        let root = text.lines().find(|line| line.starts_with("root_url: ")).unwrap();
        let here = format!("root_url: {}\nallow: [127.0.0.0/8]", target.url(&format!("/{service}/")));
        folder.put(&name, text.replace(root, &here));
    }
    // Slack's own address stands in what Slack sends.
    folder.config("outbound: {allow: [127.0.0.0/8]}\n")
}

/// Sends a body as the credential's sender would.
fn sign(folder: &Folder, service: &Service, credential: &str, flow: &str, body: &str) -> Answer {
    folder.put("body", body);
    let url = format!("http://{}/hook/{flow}", service.public);
    let kind = if body.starts_with('{') { "application/json" } else { "application/x-www-form-urlencoded" };
    let options =
        ["sign", credential, "--body", "body", "--format", "json", "--content-type", kind, "--url", &url];
    let signed = hookflow(folder.path(), &options);
    assert_eq!(signed.code, Some(0), "{}", signed.err);
    let signed: Value = serde_json::from_str(&signed.out).unwrap();
    let mut request = Request::new("POST", &format!("/hook/{flow}"));
    for header in signed["headers"].as_array().unwrap() {
        request = request.header(header[0].as_str().unwrap(), header[1].as_str().unwrap());
    }
    service.send(&request.body(body))
}

fn secret(folder: &Folder, name: &str) -> String {
    fs::read_to_string(folder.path().join("secrets").join(name)).unwrap().trim_end().to_owned()
}

/// What one of the services was told last.
fn told<'h>(heard: &'h [Heard], target: &str) -> &'h Heard {
    heard
        .iter()
        .rev()
        .find(|heard| heard.target.starts_with(target))
        .unwrap_or_else(|| panic!("{target}: {heard:?}"))
}

#[test]
fn each_hears_its_sender_and_tells_its_services() {
    let target = services();
    let folder = clone(&target);
    let service = Service::start(&folder);

    let push = fs::read(repository().join("tests/data/github/push.json")).unwrap();
    let push = String::from_utf8(push).unwrap().replace("refs/tags/simple-tag", "refs/heads/master");
    let answer =
        service.send(&delivery("/hook/github-to-chat", "push", &secret(&folder, "github"), push.as_bytes()));
    assert_eq!(answer.status, 202, "{answer:?}");
    let heard = target.heard(1);
    let message = told(&heard, "/chat/messages");
    assert_eq!(message.value()["room"], "deploys");
    assert_eq!(message.header("authorization"), Some(&*secret(&folder, "chat")));

    let charge = json!({
        "id": "evt_1", "type": "charge.succeeded", "created": 1_767_225_600,
        "data": {"object": {"id": "ch_1", "amount": 1250, "currency": "eur"}},
    });
    let answer = sign(&folder, &service, "stripe", "stripe-to-ledger", &charge.to_string());
    assert_eq!((answer.status, answer.text().as_str()), (200, r#"{"received":true}"#), "{answer:?}");
    let heard = target.heard(2);
    let booked = json!({"account": "sales", "amount": 1250, "currency": "EUR", "day": "2026-01-01"});
    assert_eq!(told(&heard, "/ledger/entries/evt_1").value(), booked);
    // The same event, sent again, is booked no second time.
    assert_eq!(sign(&folder, &service, "stripe", "stripe-to-ledger", &charge.to_string()).status, 200);

    let order = r##"{"id": 1, "name": "#1001", "line_items": [{"sku": "tea", "quantity": 2}]}"##;
    assert_eq!(sign(&folder, &service, "shopify", "shopify-to-warehouse/orders", order).status, 200);
    let reserved = json!({"order": "#1001", "lines": [{"sku": "tea", "quantity": 2, "short": 0}]});
    assert_eq!(told(&target.heard(4), "/warehouse/reservations").value(), reserved);
    let order = order.replace("tea", "cup");
    assert_eq!(sign(&folder, &service, "shopify", "shopify-to-warehouse/orders", &order).status, 200);
    let text = told(&target.heard(6), "/chat/messages").value();
    assert_eq!(text["text"], "Order #1001 cannot be sent, there are missing:\n2 of cup");

    let response_url = target.url("/slack/commands/1").replace(':', "%3A").replace('/', "%2F");
    let command = format!("command=%2Fstock&text=tea&response_url={response_url}");
    let answer = sign(&folder, &service, "slack", "slack-command", &command);
    assert_eq!(
        (answer.status, answer.value()["text"].as_str()),
        (200, Some("Looking for tea …")),
        "{answer:?}"
    );
    assert_eq!(told(&target.heard(8), "/slack/commands/1").value()["text"], "There are 5 of tea.");
    assert_eq!(target.count(), 8);
    service.stop_sound();
}

#[test]
fn a_large_order_waits_for_a_yes() {
    let target = services();
    let folder = clone(&target);
    let service = Service::start(&folder);
    let order = r#"{"id": "A-1", "total": 250000, "lines": [{"sku": "tea", "quantity": 500}]}"#;
    let request = Request::json("/hook/approval", order).header("X-Api-Key", &secret(&folder, "shop"));
    assert_eq!(service.send(&request).status, 202);
    let question = target.heard(1)[0].value();
    let text = question["text"].as_str().unwrap();
    let url = text.split_whitespace().last().unwrap();
    let path = format!("/resume/{}", url.split("/resume/").nth(1).unwrap());
    let answer = service.send(&Request::json(&path, r#"{"approved": true, "by": "grace"}"#));
    assert_eq!((answer.status, answer.text().as_str()), (200, r#"{"message":"thank you"}"#), "{answer:?}");
    let heard = target.heard(2);
    assert_eq!(told(&heard, "/warehouse/reservations").value()["order"], "A-1");
    service.until_metric("hookflow_runs_total{flow=\"approval\",outcome=\"succeeded\"}", 1);
    service.stop_sound();
}

#[test]
fn a_form_with_a_paper_gets_a_receipt() {
    let target = services();
    let folder = clone(&target);
    let service = Service::start(&folder);
    let form = "--cut\r\nContent-Disposition: form-data; name=\"applicant\"\r\n\r\nAda\r\n--cut\r\n\
                Content-Disposition: form-data; name=\"papers\"; filename=\"letter.pdf\"\r\n\
                Content-Type: application/pdf\r\n\r\n%PDF-1.7\r\n--cut--\r\n";
    let answer = service.send(
        &Request::new("POST", "/hook/file-intake")
            .header("Content-Type", "multipart/form-data; boundary=cut")
            .header("Authorization", &super::shipped::basic("website", &secret(&folder, "website")))
            .body(form),
    );
    let receipt = json!({"applicant": "Ada", "papers": [{"paper": "letter.pdf", "number": "R-7"}]});
    assert_eq!((answer.status, answer.value()), (201, receipt), "{answer:?}");
    let heard = target.heard(1);
    assert_eq!(heard[0].method, "PUT");
    assert_eq!(heard[0].value(), json!({"applicant": "Ada", "name": "letter.pdf", "size": 8}));
    service.stop_sound();
}
