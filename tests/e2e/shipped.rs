//! The repository's own configuration and flows, as a fresh clone serves them.

use super::life::copy;
use super::service::{Folder, Service, repository};
use super::signed::{delivery, signature};
use super::wire::Request;
use std::fs;

#[test]
fn every_shipped_flow_answers() {
    let folder = Folder::new();
    for part in ["config", "flows"] {
        copy(&repository().join(part), &folder.path().join(part));
    }
    let service = Service::start(&folder);
    let secret = |name: &str| {
        fs::read_to_string(folder.path().join("secrets").join(name)).unwrap().trim_end().to_owned()
    };
    let shipped = fs::read_dir(folder.path().join("flows")).unwrap();
    let shipped = shipped.filter(|entry| entry.as_ref().unwrap().path().is_file());
    assert_eq!(shipped.count(), 4, "each is called here, and those in flows/examples in `recipes`");

    let github = |event: &str, file: &str| {
        let body = fs::read(repository().join("tests/data/github").join(file)).unwrap();
        service.send(&delivery("/hook/github-push", event, &secret("github"), &body))
    };
    assert_eq!(github("ping", "ping.json").text(), r#"{"pong":true}"#);
    let noted = github("push", "push.json");
    assert!(noted.status == 200 && noted.text().contains("Codertocat pushed 0 commits"), "{noted:?}");
    assert_eq!(github("star", "star.json").status, 204);

    let order = r#"{"id": "A-7", "items": [{"sku": "tea", "qty": 3, "price": 450}]}"#;
    let orders = |body: &str| Request::json("/hook/orders", body).header("X-Api-Key", &secret("shop"));
    let answer = service.send(&orders(order));
    assert_eq!((answer.status, answer.text().as_str()), (201, r#"{"id":"A-7","total":1350}"#));
    assert_eq!(service.send(&orders(&order.replace("450", "45000"))).status, 202);
    assert_eq!(service.send(&orders("{}")).status, 422);

    let form = Request::new("POST", "/hook/contact")
        .header("Content-Type", "application/x-www-form-urlencoded")
        .header("Authorization", &basic("website", &secret("website")));
    let answer = service.send(&form.clone().body("name=Ada&email=a%40b&text=%3Chello%3E"));
    assert!(answer.status == 200 && answer.text().contains("“&lt;hello&gt;”"), "{answer:?}");
    assert_eq!(service.send(&form.body("name=Ada")).status, 422);

    let failed = br#"{"type": "charge.failed", "id": "ch_1", "amount": 1250}"#;
    let signature = signature(&secret("payments"), failed).replace("sha256=", "");
    let answer = service.send(&Request::json("/hook/payments", failed).header("X-Signature", &signature));
    assert_eq!((answer.status, answer.text().as_str()), (202, r#"{"received":true}"#));
    service.until_metric("hookflow_runs_total{flow=\"payments\",outcome=\"succeeded\"}", 1);

    for flow in ["github-push", "orders", "contact", "payments"] {
        let answer = service.send(&Request::json(&format!("/hook/{flow}"), "{}"));
        assert_eq!(answer.status, 401, "{flow}");
    }
    let ended = service.stop_sound();
    assert!(ended.err.contains("payment ch_1 of 1250 failed"), "{}", ended.err);
}

/// The value of the `Authorization` header.
pub(super) fn basic(name: &str, password: &str) -> String {
    format!("Basic {}", base64(&format!("{name}:{password}")))
}

/// RFC 4648, for a password in a header.
fn base64(text: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut encoded = String::new();
    for chunk in text.as_bytes().chunks(3) {
        let bits =
            chunk.iter().fold(0, |bits, byte| (bits << 8) | usize::from(*byte)) << (8 * (3 - chunk.len()));
        for digit in 0..4 {
            let shift = 18 - 6 * digit;
            encoded.push(if digit <= chunk.len() { char::from(DIGITS[(bits >> shift) & 63]) } else { '=' });
        }
    }
    encoded
}
