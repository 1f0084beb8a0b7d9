//! Files that came with a webhook, sent on: byte by byte as they came, however large, also after a restart.

use super::large_bodies::{hex, noise, upload};
use super::service::{Folder, Service, hookflow, hookflow_with};
use super::target::{Heard, Play, Target};
use super::wire::{Answer, Request};
use serde_json::{Value, json};

const MIB: usize = 1 << 20;
const CONFIG: &str = "
public: {limits: {body: 1GiB, body_timeout: 10m}}
outbound: {allow: [127.0.0.0/8]}
";
/// Tells what it was sent.
const SINK: &str = "
webhook: {auth: none}
steps: [{respond: {json: {body: '${ webhook.body }', files: '${ webhook.files }'}}}]
";
const ARCHIVE: &str = "
integration: archive
root_url: URL/archive/
headers: {Content-Type: application/json}
webhooks:
  keep: {method: PUT, url: 'keep/${ name }', file: scan}
  form:
    method: POST
    url: form
    multipart:
      name: ${ name }
      all: {file: scans}
      meta: {json: {by: '${ name }'}}
";

fn folder(target: &Target, steps: &str) -> Folder {
    let flow = format!("webhook: {{auth: none, timeout: 60s}}\nsteps:\n{steps}");
    Folder::new()
        .config(CONFIG)
        .with("config/integrations/archive.yaml", ARCHIVE.replace("URL", &target.url("")))
        .flow("shop", &flow.replace("URL", &target.url("")))
        .flow("sink", SINK)
}

/// What our own door makes of a body that left.
fn read_back(service: &Service, heard: &Heard) -> Value {
    let request = Request::new("POST", "/hook/sink");
    let request = request.header("Content-Type", heard.header("content-type").unwrap());
    service.send(&request.body(&heard.body)).value()
}

/// The bytes of the parts with a file's name.
fn contents(heard: &Heard) -> Vec<Vec<u8>> {
    let boundary = heard.header("content-type").unwrap().split("boundary=").nth(1).unwrap();
    let delimiter = format!("--{boundary}").into_bytes();
    let mut starts = Vec::new();
    let mut at = 0;
    while let Some(found) = memchr::memmem::find(&heard.body[at..], &delimiter) {
        starts.push(at + found);
        at += found + delimiter.len();
    }
    let parts = starts.windows(2).map(|pair| &heard.body[pair[0] + delimiter.len()..pair[1]]);
    let files = parts.filter_map(|part| {
        let end = memchr::memmem::find(part, b"\r\n\r\n")?;
        memchr::memmem::find(&part[..end], b"filename=")?;
        part[end + 4..].strip_suffix(b"\r\n").map(<[u8]>::to_vec)
    });
    files.collect()
}

#[test]
fn files_leave_as_they_came_in_every_form() {
    let target = Target::start(|_| Play::Answer(200, "{}"));
    let steps = "
  - http: {url: 'URL/file', file: 'webhook.files[0]'}
  - http: {url: 'URL/named', method: PUT, headers: {Content-Type: image/x-own}, file: {of: '${ webhook.files[1] }'}}
  - http:
      url: URL/form
      multipart:
        title: ${ webhook.body.title }
        tags: [a, '${ webhook.body.title }']
        scan: {file: {of: 'webhook.files[0]', filename: '\"${ webhook.files[0].filename }\"'}}
        made: {file: {bytes: '${ \"made here\" | base64 }', filename: m.txt, type: text/csv}}
        none: {file: 'webhook.files[7] | default(none)'}
  - {call: archive.keep, with: {name: n, scan: '${ webhook.files[0] }'}}
  - {call: archive.form, with: {name: 'A \"b\"', scans: '${ webhook.files }'}}
  - respond: {status: 204}
";
    let folder = folder(&target, steps);
    let service = Service::start(&folder);
    for content in [noise(1_000), noise(3 * MIB)] {
        let before = target.count();
        let answer = service.send(&upload("/hook/shop", &content));
        assert_eq!(answer.status, 204, "{answer:?}");
        let heard = target.heard(before + 5).split_off(before);
        let [file, named, form, keep, all] = heard.as_slice() else { panic!() };
        assert_eq!(
            (file.method.as_str(), file.header("content-type")),
            ("POST", Some("application/octet-stream"))
        );
        assert!(file.body == content && keep.body == content);
        assert_eq!((&*named.body, named.header("content-type")), (b"hello".as_slice(), Some("image/x-own")));
        assert_eq!(keep.target, "/archive/keep/n");
        assert_eq!(
            keep.header("content-type"),
            Some("application/json"),
            "no type came, so the integration's holds"
        );
        assert_eq!(contents(form), [content.clone(), b"made here".to_vec()]);
        let read = read_back(&service, form);
        assert_eq!(read["body"], json!({"title": "large", "tags": ["a", "large"]}));
        let size = content.len();
        let scan = json!({"name": "scan", "filename": "%22a b.bin%22", "type": "application/octet-stream", "size": size, "sha256": hex(&content)});
        let made = json!({"name": "made", "filename": "m.txt", "type": "text/csv", "size": 9, "sha256": hex(b"made here")});
        assert_eq!(read["files"], json!([scan, made]));
        let read = read_back(&service, all);
        assert_eq!(read["body"], json!({"name": "A \"b\"", "meta": "{\"by\":\"A \\\"b\\\"\"}"}));
        assert_eq!(
            (&read["files"][0]["sha256"], &read["files"][1]["type"]),
            (&json!(hex(&content)), &json!("text/plain"))
        );
    }
    service.stop_sound();
}

#[test]
fn a_whole_body_is_a_file_too_and_keeps_its_type() {
    let target = Target::start(|_| Play::Answer(200, "{}"));
    let folder =
        folder(&target, "  - http: {url: 'URL/', file: 'webhook.files[0]'}\n  - respond: {status: 204}\n");
    let service = Service::start(&folder);
    let content = [b"\r\n--\0\xff".as_slice(), &noise(200_000)].concat();
    let request = Request::new("POST", "/hook/shop").header("Content-Type", "image/png").body(&content);
    assert_eq!(service.send(&request).status, 204);
    let heard = target.heard(1);
    assert!(heard[0].body == content);
    assert_eq!(
        (heard[0].header("content-type"), heard[0].header("content-length")),
        (Some("image/png"), Some("200006"))
    );
    service.stop_sound();
}

#[test]
fn a_large_file_that_is_sent_on_takes_no_memory() {
    let target = Target::start(|_| Play::Answer(200, "{}"));
    let steps = "  - {id: it, http: {url: 'URL/', multipart: {scan: {file: 'webhook.files[0]'}}}}\n  - respond: {status: 204}\n";
    let folder = folder(&target, steps);
    let service = Service::start(&folder);
    let content = noise(50 * MIB);
    assert_eq!(service.send(&upload("/hook/shop", &content[..8 * MIB])).status, 204);
    let before = service.peak_memory();
    assert_eq!(service.send(&upload("/hook/shop", &content)).status, 204);
    let grown = service.peak_memory() - before;
    assert!(grown < 20 * MIB as u64, "{grown} bytes for a file of {}", content.len());
    assert!(contents(&target.heard(2)[1]) == [content]);
    service.stop_sound();
}

#[test]
fn after_a_kill_the_same_body_leaves_again() {
    let target = Target::hanging();
    let steps = "  - http: {url: 'URL/', headers: {X-Id: '${WebhookRequest.TransactionalId}'}, multipart: {a: '1', scan: {file: 'webhook.files[0]'}}}\n";
    let folder = folder(&target, steps);
    let service = Service::start(&folder);
    let content = noise(2 * MIB);
    assert_eq!(service.send(&upload("/hook/shop", &content)).status, 202);
    target.heard(1);
    service.signal("KILL");
    service.end();
    target.release();
    let service = Service::start(&folder);
    service.until_metric("hookflow_runs_total{flow=\"shop\",outcome=\"succeeded\"}", 1);
    let heard = target.heard(2);
    assert!(heard[0].body == heard[1].body, "the boundary too");
    assert_eq!(heard[0].header("x-id"), heard[1].header("x-id"));
    assert_eq!(contents(&heard[1]), [content]);
    service.stop_sound();
}

#[test]
fn what_did_not_come_is_not_sent() {
    let target = Target::start(|_| Play::Answer(200, "{}"));
    let steps = "
  - {id: it, on_error: continue, http: {url: 'URL/', file: 'webhook.body.file'}}
  - respond: {json: {code: '${ steps.it.error.code | default(none) }', message: '${ steps.it.error.message }'}}
";
    let folder = folder(&target, steps);
    let service = Service::start(&folder);
    for body in [
        json!({"file": null}),
        json!({"file": "/etc/passwd"}),
        json!({"file": {"sha256": "00", "size": 3}}),
        json!({"file": [{"sha256": "00"}]}),
    ] {
        let answer: Answer = service.send(&Request::json("/hook/shop", body.to_string()));
        let message = answer.value()["message"].as_str().unwrap_or_default().to_owned();
        assert!(message.contains("file"), "{body} {answer:?}");
    }
    assert_eq!(target.count(), 0);
    service.stop_sound();
}

#[test]
fn a_test_sees_the_parts() {
    let flow = "
flow: shop
webhook: {auth: none}
steps:
  - id: it
    http: {url: 'https://x.example/', multipart: {title: a, scan: {file: {of: 'webhook.files[0]', filename: s.bin}}}}
tests:
  - name: parts
    request:
      headers: {Content-Type: image/png}
      body_file: scan.bin
    mocks: {it: {status: 200}}
    expect:
      calls:
        it:
          - parts:
              - {name: title, text: a}
              - {name: scan, filename: s.bin, type: image/png, size: 5, sha256: HASH}
";
    let content = b"\0\x01\x02\xff\n";
    let folder =
        Folder::new().with("scan.bin", content).with("flows/shop.yaml", flow.replace("HASH", &hex(content)));
    let ended = hookflow(folder.path(), &["test"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    folder.put("flows/shop.yaml", flow.replace("HASH", &hex(b"other")));
    let ended = hookflow(folder.path(), &["test"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(format!("{}{}", ended.out, ended.err).contains("calls.it[0].parts"), "{ended:?}");
}

/// What the target heard, sent to a flow of ours that takes the credential.
fn verified(service: &Service, flow: &str, heard: &Heard) -> u16 {
    let headers = heard.headers.iter().filter(|(name, _)| !matches!(&**name, "host" | "content-length"));
    let query = heard.target.split_once('?').map(|(_, query)| format!("?{query}")).unwrap_or_default();
    let request = Request::new("POST", &format!("/hook/{flow}{query}")).body(&heard.body);
    service.send(&headers.fold(request, |request, (name, value)| request.set(name, value))).status
}

#[test]
fn what_leaves_is_signed_as_its_sender_would() {
    let target = Target::start(|_| Play::Answer(200, "{}"));
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let credentials = "
standard: {type: hmac, preset: standard_webhooks, secret: {env: STANDARD}}
github: {type: hmac, preset: github, secret: {env: PLAIN}}
key: {type: api_key, query: api_key, keys: [{env: PLAIN}]}
basic: {type: basic, username: shop, password: {env: PLAIN}}
";
    let names = ["standard", "github", "key", "basic"];
    let mut steps = String::new();
    for name in names {
        steps.push_str(&format!(
            "  - http: {{url: 'URL/?a=1', sign: {name}, multipart: {{scan: {{file: 'webhook.files[0]'}}}}}}\n"
        ));
    }
    steps.push_str("  - {call: signed.it}\n  - respond: {status: 204}\n");
    let signed = "
integration: signed
root_url: URL
headers: {X-Shared: yes-it-is}
webhooks: {it: {method: POST, url: /, sign: github, json: {a: 1}}}
";
    let mut folder = folder(&target, &steps)
        .credentials(credentials)
        .with("config/integrations/signed.yaml", signed.replace("URL", &target.url("")));
    for name in names {
        let flow = format!("webhook: {{auth: {name}, body: bytes}}\nsteps: [{{respond: {{status: 201}}}}]");
        folder = folder.flow(name, &flow);
    }
    let secrets = [("STANDARD", secret), ("PLAIN", "0123456789abcdef-canary")];
    let service = Service::start_with(&folder, &secrets);
    let answer = service.send(&upload("/hook/shop", &noise(200_000)));
    assert_eq!(answer.status, 204, "{answer:?}");
    let heard = target.heard(5);
    for (name, heard) in names.iter().zip(&heard) {
        assert_eq!(verified(&service, name, heard), 201, "{name} {:?}", heard.headers);
        let mut changed = heard.clone();
        changed.headers.retain(|(name, _)| !name.contains("signature") && name != "authorization");
        changed.target = "/".to_owned();
        assert_eq!(verified(&service, name, &changed), 401, "{name}");
    }
    assert!(heard[2].target.contains("a=1&api_key="), "{}", heard[2].target);
    assert_eq!(verified(&service, "github", &heard[4]), 201, "{:?}", heard[4].headers);
    assert_eq!(heard[4].header("x-shared"), Some("yes-it-is"));
    let shown = service.ops(&format!("/api/runs/{}", answer.header("x-run-id").unwrap())).text();
    assert!(!shown.contains("canary") && !shown.contains("sha256="), "{shown}");
    let log = service.ops("/api/attempts").value();
    let shown = log.to_string();
    assert_eq!(log["items"].as_array().map(Vec::len), Some(5));
    assert!(shown.contains(&format!("[a file of 200000 bytes, sha256 {}]", hex(&noise(200_000)))), "{shown}");
    assert!(shown.len() < 20_000, "what a file holds is not in the log");
    for secret in ["canary", "sha256=", "api_key", "webhook-signature", "authorization"] {
        assert!(!shown.contains(secret), "{secret}: {shown}");
    }

    // One by itself leaves signed too.
    let called = hookflow_with(folder.path(), &["call", "signed.it"], &secrets);
    assert_eq!(called.code, Some(0), "{called:?}");
    assert!(!called.out.contains("sha256="), "{called:?}");
    assert_eq!(verified(&service, "github", &target.heard(6)[5]), 201);

    service.stop_sound();
}
