//! Files in answers: byte by byte as they came, to be saved, and the same for who asks again.

use super::large_bodies::{noise, upload};
use super::service::{Folder, Service, hookflow};
use super::wire::{Answer, Request};

const CONFIG: &str = "public: {limits: {body: 64MiB}}";
const BACK: &str = "
webhook: {auth: none, dedupe: {key: '${ webhook.headers[\"x-id\"] }', window: 1h}}
steps:
  - respond: {status: 201, file: 'webhook.files[0]'}
";
const NAMED: &str = "
webhook: {auth: none}
steps:
  - try:
      - respond:
          headers: {Content-Disposition: inline}
          file: {of: 'webhook.files[0]', type: image/png}
    catch:
      - respond: {status: 413, json: {kind: '${ error.kind }', code: '${ error.code }'}}
";
const WRONG: &str = "
webhook: {auth: none}
steps: [{respond: {file: webhook.body}}]
";
const MADE: &str = "
flow: made
webhook: {auth: none, sample: {body: {text: 'hällo'}}}
steps:
  - respond: {file: {bytes: '${ webhook.body.text | base64 }', filename: m.csv, type: text/csv}}
tests:
  - name: a file is answered
    request: {sample: true}
    expect: {status: 200, text: hällo, headers: {content-type: text/csv, content-disposition: \"attachment; filename=\\\"m.csv\\\"; filename*=UTF-8''m.csv\"}}
";

fn folder() -> Folder {
    let folder = Folder::new().config(CONFIG).flow("back", BACK).flow("named", NAMED);
    folder.flow("wrong", WRONG).flow("made", MADE)
}

fn header<'a>(answer: &'a Answer, name: &str) -> &'a str {
    answer.header(name).unwrap_or_else(|| panic!("no {name}: {:?}", answer.headers))
}

#[test]
fn a_file_comes_back_as_it_came_and_again() {
    let folder = folder();
    let service = Service::start(&folder);
    let contents = [noise(1_000), noise(200_000), noise(10 << 20)];
    let ask = |service: &Service, id: usize, content: &[u8]| {
        service.send(&upload("/hook/back", content).header("X-Id", &format!("{id}")))
    };
    let check = |answer: &Answer, content: &[u8]| {
        assert_eq!(answer.status, 201);
        assert!(answer.body == content, "{} of {} bytes", answer.body.len(), content.len());
        assert_eq!(header(answer, "content-type"), "application/octet-stream");
        assert_eq!(
            header(answer, "content-disposition"),
            "attachment; filename=\"a b.bin\"; filename*=UTF-8''a%20b.bin"
        );
        assert_eq!(header(answer, "x-content-type-options"), "nosniff");
    };
    for (id, content) in contents.iter().enumerate() {
        check(&ask(&service, id, content), content);
        check(&ask(&service, id, b"another file, which nobody looks at"), content);
    }
    service.stop_sound();
    let service = Service::start(&folder);
    check(&ask(&service, 1, b"after a restart"), &contents[1]);
    service.stop_sound();
}

#[test]
fn the_flow_has_the_last_word_and_a_large_file_is_a_fault() {
    let folder = folder();
    let service = Service::start(&folder);
    let answer = service.send(&upload("/hook/named", b"<script>"));
    assert_eq!((answer.status, answer.body.as_slice()), (200, b"<script>".as_slice()));
    assert_eq!(header(&answer, "content-type"), "image/png");
    assert_eq!(header(&answer, "content-disposition"), "inline");
    assert_eq!(header(&answer, "x-content-type-options"), "nosniff");
    let answer = service.send(&upload("/hook/named", &noise((10 << 20) + 1)));
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (413, r#"{"kind":"limit","code":"respond.file-too-large"}"#)
    );
    let answer = service.send(&upload("/hook/wrong", b"x"));
    assert_eq!((answer.status, answer.code().as_str()), (500, "flow-failed"));
    service.stop_sound();
}

#[test]
fn a_hostile_name_stays_in_its_header() {
    let folder = folder();
    let service = Service::start(&folder);
    let body = "--e\r\nContent-Disposition: form-data; name=a; filename=\"../é%0d%0aX-Evil: 1%22; x=\u{202e}y\"\r\nContent-Type: text/html\u{e9}\r\n\r\nhi\r\n--e--\r\n";
    let request = Request::new("POST", "/hook/back").header("X-Id", "hostile");
    let answer = service.send(&request.header("Content-Type", "multipart/form-data; boundary=e").body(body));
    assert_eq!((answer.status, answer.text().as_str()), (201, "hi"), "{answer:?}");
    assert_eq!(answer.header("x-evil"), None);
    let disposition = header(&answer, "content-disposition");
    assert!(disposition.starts_with("attachment; filename=\".._"), "{disposition}");
    assert!(disposition.contains("filename*=UTF-8''.._%C3%A9"), "{disposition}");
    assert_eq!(header(&answer, "content-type"), "application/octet-stream");
    service.stop_sound();
}

#[test]
fn a_file_is_tried_and_expected() {
    let folder = folder();
    let tried = hookflow(folder.path(), &["try", "made"]);
    assert!(tried.out.contains("hällo") && tried.out.contains("m.csv"), "{}\n{}", tried.out, tried.err);
    let tested = hookflow(folder.path(), &["test"]);
    assert_eq!(tested.code, Some(0), "{}\n{}", tested.out, tested.err);
    assert!(tested.out.contains("1 test"), "{}", tested.out);
}
