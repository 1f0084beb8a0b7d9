//! Signed webhooks: GitHub's own example bodies, signed as GitHub signs them.

use super::service::{Folder, Service, repository};
use super::wire::Request;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use std::fs;

const SECRET: &str = "it-is-a-secret-to-everybody";
const OLD_SECRET: &str = "it-was-a-secret-to-everybody";
const CREDENTIALS: &str = "github: {type: hmac, preset: github, secrets: [{file: new}, {file: old}]}";
const TOLD: &str = "
webhook: {system: GitHub, auth: github}
steps:
  - respond:
      json:
        event: ${ webhook.headers['X-GitHub-Event'] }
        by: ${ webhook.credential }
        repository: ${ webhook.body.repository.full_name | default(none) }
        sender: ${ webhook.body.sender.login | default(none) }
";
const NOTED: &str = "
webhook: {system: GitHub, auth: github}
steps:
  - log: ${ webhook.headers['x-github-event'] }
";

fn github() -> (Folder, Service) {
    let folder = Folder::new().with("new", SECRET).with("old", format!("{OLD_SECRET}\n"));
    let folder = folder.credentials(CREDENTIALS).flow("told", TOLD).flow("noted", NOTED);
    let service = Service::start(&folder);
    (folder, service)
}

/// `sha256=` and the body's signature.
pub(super) fn signature(secret: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(body);
    let bytes = mac.finalize().into_bytes();
    bytes.iter().fold("sha256=".to_owned(), |hex, byte| format!("{hex}{byte:02x}"))
}

/// A request as GitHub sends it.
pub(super) fn delivery(path: &str, event: &str, secret: &str, body: &[u8]) -> Request {
    Request::json(path, body)
        .header("User-Agent", "GitHub-Hookshot/044aadd")
        .header("X-GitHub-Event", event)
        .header("X-GitHub-Delivery", "72d3162e-cc78-11e3-81ab-4c9367dc0958")
        .header("X-Hub-Signature-256", &signature(secret, body))
}

/// GitHub's example bodies by the event they belong to.
fn examples() -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(repository().join("tests/data/github")).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let json = paths.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
    let mut examples: Vec<_> = json
        .map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), fs::read(&path).unwrap()))
        .collect();
    examples.sort();
    assert!(examples.len() >= 6, "{}", examples.len());
    examples
}

#[test]
fn githubs_own_bodies_are_taken_as_they_were_signed() {
    let (_folder, service) = github();
    for (event, body) in examples() {
        let told = service.send(&delivery("/hook/told", &event, SECRET, &body));
        assert_eq!(told.status, 200, "{event}: {told:?}");
        let (told, sent): (_, serde_json::Value) = (told.value(), serde_json::from_slice(&body).unwrap());
        assert_eq!((&told["event"], &told["by"]), (&event.as_str().into(), &"github".into()));
        assert_eq!(told["repository"], sent["repository"]["full_name"], "{event}");
        assert_eq!(told["sender"], sent["sender"]["login"], "{event}");

        let noted = service.send(&delivery("/hook/noted", &event, SECRET, &body));
        assert_eq!(noted.status, 202, "{event}: {noted:?}");
        assert_eq!(noted.value()["run_id"].as_str(), noted.header("x-run-id"));
    }
    service
        .until_metric("hookflow_runs_total{flow=\"noted\",outcome=\"succeeded\"}", examples().len() as u64);
    service.stop_sound();
}

#[test]
fn whatever_is_not_as_it_was_signed_is_refused_alike() {
    let (_folder, service) = github();
    let mut refusals = Vec::new();
    for (event, body) in examples() {
        let right = delivery("/hook/told", &event, SECRET, &body).header("X-Request-Id", "same");
        let sign = |signature: &str| right.clone().set("X-Hub-Signature-256", signature);
        let signed = signature(SECRET, &body);
        let spaced = [&body[..], b" "].concat();
        let smaller = serde_json::from_slice::<serde_json::Value>(&body).unwrap().to_string();
        let mut flipped = body.clone();
        let middle = flipped.len() / 2;
        flipped[middle] ^= 1;
        for wrong in [
            right.clone().body(spaced),
            right.clone().body(smaller),
            right.clone().body(flipped),
            right.clone().body(""),
            sign(""),
            sign("sha256="),
            sign(&signed.replace("sha256=", "sha1=")),
            sign(&signed.replace("sha256=", "")),
            sign(signed.split_at(signed.len() - 1).0),
            sign(&format!("{signed}00")),
            sign(&format!("sha256={}", "0".repeat(64))),
            sign(&signature("another secret entirely", &body)),
            sign(&signed).header("X-Hub-Signature-256", &signed),
            Request { headers: vec![("X-Request-Id".into(), "same".into())], ..right.clone() },
        ] {
            let answer = service.send(&wrong);
            assert_eq!((answer.status, answer.code().as_str()), (401, "auth.unauthorized"), "{wrong:?}");
            refusals.push((answer.header("www-authenticate").map(str::to_owned), answer.body));
        }
    }
    refusals.dedup();
    assert_eq!(refusals.len(), 1, "one answer for every reason");
    assert_eq!(refusals[0].0, None);
    assert_eq!(service.metric("hookflow_events_accepted_total{flow=\"told\"}"), Some(0));
    service.stop_sound();
}

#[test]
fn a_secret_is_replaced_without_a_gap() {
    let (_folder, service) = github();
    let send = |secret| service.send(&delivery("/hook/told", "ping", secret, b"{\"zen\":\"x\"}")).status;
    assert_eq!((send(SECRET), send(OLD_SECRET), send("another secret entirely")), (200, 200, 401));
    service.stop_sound();
    // The old one is gone.
    let only_new = "github: {type: hmac, preset: github, secrets: [{file: new}]}";
    let folder = Folder::new().with("new", SECRET).credentials(only_new).flow("told", TOLD);
    let service = Service::start(&folder);
    let send = |secret| service.send(&delivery("/hook/told", "ping", secret, b"{\"zen\":\"x\"}")).status;
    assert_eq!((send(SECRET), send(OLD_SECRET)), (200, 401));
}
