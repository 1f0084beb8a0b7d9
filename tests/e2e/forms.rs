//! A form intake: a user name, a password, and fields instead of JSON.

use super::service::{Folder, Service};
use super::wire::Request;

const CREDENTIALS: &str = "website: {type: basic, username: website, password: {file: password}}";
const CONTACT: &str = "
webhook: {auth: website, body: form, methods: [POST, GET]}
steps:
  - respond:
      headers: {Content-Type: text/html; charset=utf-8}
      text: <p>${ webhook.body.name } wrote “${ webhook.body.text | default('nothing') }”</p>
";
const FIELDS: &str = "
webhook: {auth: website}
steps:
  - respond: {json: '${ webhook.body }'}
";

// `website:a password: with colons`
const RIGHT: &str = "Basic d2Vic2l0ZTphIHBhc3N3b3JkOiB3aXRoIGNvbG9ucw==";

fn website() -> (Folder, Service) {
    let folder = Folder::new().with("password", "a password: with colons").credentials(CREDENTIALS);
    let folder = folder.flow("contact", CONTACT).flow("fields", FIELDS);
    let service = Service::start(&folder);
    (folder, service)
}

fn form(path: &str, body: &str) -> Request {
    Request::new("POST", path)
        .header("Content-Type", "application/x-www-form-urlencoded")
        .header("Authorization", RIGHT)
        .body(body)
}

#[test]
fn a_form_is_read_and_what_it_holds_is_escaped() {
    let (_folder, service) = website();
    let answer = service.send(&form("/hook/contact", "name=Ada+%C3%84.&text=%3Cscript%3E%26"));
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(answer.text(), "<p>Ada Ä. wrote “&lt;script&gt;&amp;”</p>");
    let get = Request::get("/hook/contact?name=Bob").header("Authorization", RIGHT);
    assert_eq!(service.send(&get).text(), "<p>Bob wrote “nothing”</p>", "without a body the query is it");
    let answer = service.send(&form("/hook/fields", "a[b][c]=1&tags[]=x&tags[]=y&n=1&n=2&empty="));
    assert_eq!(
        answer.text(),
        r#"{"a":{"b":{"c":"1"}},"tags":["x","y"],"n":["1","2"],"empty":""}"#,
        "{answer:?}"
    );
    service.stop_sound();
}

#[test]
fn who_does_not_say_the_password_is_asked_for_it() {
    let (_folder, service) = website();
    let right = form("/hook/contact", "name=Ada").header("X-Request-Id", "same");
    let mut bodies = Vec::new();
    for authorization in [
        None,
        Some(""),
        Some("Basic"),
        Some("Basic !"),
        Some("Basic d2Vic2l0ZTo="),
        Some("Basic d2Vic2l0ZTphIHBhc3N3b3Jk"),
        Some("Bearer d2Vic2l0ZTphIHBhc3N3b3JkOiB3aXRoIGNvbG9ucw=="),
    ] {
        let wrong = match authorization {
            Some(value) => right.clone().set("Authorization", value),
            None => Request { headers: right.headers[..1].to_vec(), ..right.clone() }
                .header("X-Request-Id", "same"),
        };
        let answer = service.send(&wrong);
        assert_eq!((answer.status, answer.code().as_str()), (401, "auth.unauthorized"), "{wrong:?}");
        let challenge = answer.header("www-authenticate").unwrap();
        assert!(challenge.starts_with("Basic "), "{challenge}");
        bodies.push(answer.body);
    }
    bodies.dedup();
    assert_eq!(bodies.len(), 1);
    assert_eq!(service.send(&right).status, 200);
    service.stop_sound();
}

#[test]
fn another_body_than_a_form_is_not_taken() {
    let (_folder, service) = website();
    for media_type in ["application/json", "text/plain", "multipart/form-data; boundary=x", "nonsense", ""] {
        let wrong = form("/hook/contact", "{}").set("Content-Type", media_type);
        let answer = service.send(&wrong);
        assert_eq!((answer.status, answer.code().as_str()), (415, "body.media-type"), "{media_type}");
    }
    service.stop_sound();
}
