//! Bodies that are too large for memory: spooled while they come, read piece by piece, gone with their run.

use super::service::{Folder, Service, until};
use super::signed::{delivery, signature};
use super::wire::{Answer, Request, Wire};
use sha2::{Digest as _, Sha256};
use std::fs;
use std::path::PathBuf;

const MIB: usize = 1 << 20;
const CONFIG: &str = "
public: {limits: {body: 1GiB, body_timeout: 10m}}
store: {memory: {}, blob_bytes: 1GiB}
log: {level: debug}
";
const FILES: &str = "
webhook: {auth: none}
steps:
  - respond: {json: {files: '${ webhook.files }', body: '${ webhook.body }'}}
";
const QUEUED: &str = "
webhook: {auth: none}
steps: [{log: '${ webhook.files[0].sha256 }'}]
";
const RAW: &str = "
webhook: {auth: none}
steps: [{respond: {text: '${ webhook.raw }'}}]
";
const SIGNED: &str = "
webhook: {auth: github, body: bytes}
steps: [{respond: {json: '${ webhook.files[0] }'}}]
";
const STRICT: &str = "
webhook: {auth: none, expects: {strict: true, body: {name: string}}}
steps: [{respond: {status: 200}}]
";
const SECRET: &str = "it-is-a-secret-to-everybody";

/// A service whose temporary files are in a folder of the test.
struct Bench {
    folder: Folder,
    service: Service,
}

impl Bench {
    fn start(config: &str) -> Self {
        let folder = Folder::new().config(config).with("tmp/mark", "").with("key", SECRET);
        let folder = folder.credentials("github: {type: hmac, preset: github, secret: {file: key}}");
        let flows =
            [("files", FILES), ("queued", QUEUED), ("raw", RAW), ("signed", SIGNED), ("strict", STRICT)];
        let folder = flows.into_iter().fold(folder, |folder, (id, flow)| folder.flow(id, flow));
        let service = Self::serve(&folder);
        Self { folder, service }
    }

    fn serve(folder: &Folder) -> Service {
        Service::start_with(folder, &[("TMPDIR", folder.path().join("tmp").to_str().unwrap())])
    }

    /// The files of all blobs.
    fn blobs(&self) -> Vec<PathBuf> {
        let below = |folder: PathBuf| fs::read_dir(folder).into_iter().flatten().map(|it| it.unwrap().path());
        let of_processes = below(self.folder.path().join("tmp"));
        of_processes.flat_map(below).flat_map(below).collect()
    }

    fn until_blobs(&self, count: usize) {
        until(&format!("{count} blobs"), || (self.blobs().len() == count).then_some(()));
    }
}

/// Bytes that repeat late.
pub(super) fn noise(length: usize) -> Vec<u8> {
    let mut state = 7_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()
    };
    let mut bytes: Vec<u8> = std::iter::repeat_with(&mut next).take(length / 8 + 1).flatten().collect();
    bytes.truncate(length);
    bytes
}

pub(super) fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
}

/// A form with a field, a file and another.
fn form(content: &[u8]) -> Vec<u8> {
    let part = |more: &str| format!("--edge\r\nContent-Disposition: form-data; name={more}\r\n\r\n");
    [
        part("title").as_bytes(),
        b"large\r\n",
        part("scan; filename=\"a b.bin\"").as_bytes(),
        content,
        b"\r\n",
        part("note; filename=n.txt\r\nContent-Type: text/plain").as_bytes(),
        b"hello\r\n--edge--\r\n",
    ]
    .concat()
}

pub(super) fn upload(path: &str, content: &[u8]) -> Request {
    let request = Request::new("POST", path).header("Content-Type", "multipart/form-data; boundary=edge");
    request.body(form(content))
}

pub(super) fn as_bytes(path: &str, content: &[u8]) -> Request {
    Request::new("POST", path).header("Content-Type", "application/octet-stream").body(content)
}

fn assert_file(answer: &Answer, at: usize, content: &[u8]) {
    assert_eq!(answer.status, 200, "{answer:?}");
    let file = &answer.value()["files"][at];
    assert_eq!(
        (file["size"].as_u64(), file["sha256"].as_str()),
        (Some(content.len() as u64), Some(&*hex(content)))
    );
}

#[test]
fn a_large_form_reaches_its_flow_and_takes_no_memory() {
    let bench = Bench::start(CONFIG);
    let content = noise(50 * MIB);
    // What the first request needs once is not the body's.
    let first = &content[..8 * MIB];
    assert_file(&bench.service.send(&upload("/hook/files", first)), 0, first);
    let before = bench.service.peak_memory();
    let answer = bench.service.send(&upload("/hook/files", &content));
    assert_file(&answer, 0, &content);
    let grown = bench.service.peak_memory() - before;
    assert!(grown < 20 * MIB as u64, "{grown} bytes for a body of {}", content.len());
    let value = answer.value();
    assert_eq!(value["body"], serde_json::json!({"title": "large"}));
    assert_eq!(
        (&value["files"][0]["name"], &value["files"][0]["filename"]),
        (&"scan".into(), &"a b.bin".into())
    );
    assert_eq!((&value["files"][1]["type"], &value["files"][1]["size"]), (&"text/plain".into(), &5.into()));
    assert_eq!(bench.blobs().len(), 2, "the runs keep what they name");
    bench.service.stop_sound();
    assert_eq!(fs::read_dir(bench.folder.path().join("tmp")).unwrap().count(), 1, "and take it along");
}

#[test]
fn around_the_bound_nothing_changes_but_the_place() {
    let bench = Bench::start(CONFIG);
    let content = noise(200 << 10);
    for (length, blobs) in [((64 << 10) - 1, 0), (64 << 10, 0), ((64 << 10) + 1, 1), (200 << 10, 3)] {
        let content = &content[..length];
        let answer = bench.service.send(&as_bytes("/hook/files", content));
        assert_file(&answer, 0, content);
        assert_eq!(bench.blobs().len(), blobs, "{length}");
        // The same in small pieces.
        let mut wire = Wire::connect(bench.service.public);
        wire.send(as_bytes("/hook/queued", b"").set("Transfer-Encoding", "chunked").head());
        for piece in content.chunks(5_000) {
            wire.send([format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat());
        }
        wire.send("0\r\n\r\n");
        assert_eq!(wire.answer().status, 202);
    }
    let text = "é".repeat(60_000);
    let raw = Request::new("POST", "/hook/raw").header("Content-Type", "text/plain").body(&text);
    assert_eq!(bench.service.send(&raw).text(), text);
    let json = format!("[\"{}\",10.00]", "x".repeat(100_000));
    assert_eq!(bench.service.send(&Request::json("/hook/files", &json)).value()["body"].to_string(), json);
    bench.service.stop_sound();
}

#[test]
fn a_signature_over_a_spooled_body_holds_and_breaks() {
    let bench = Bench::start(CONFIG);
    let content = noise(3 * MIB);
    let answer = bench.service.send(&delivery("/hook/signed", "push", SECRET, &content));
    assert_eq!((answer.status, answer.value()["sha256"].as_str()), (200, Some(&*hex(&content))));
    let mut altered = content.clone();
    altered[2 * MIB] ^= 1;
    let request = delivery("/hook/signed", "push", SECRET, &altered);
    let answer = bench.service.send(&request.set("X-Hub-Signature-256", &signature(SECRET, &content)));
    assert_eq!((answer.status, answer.code().as_str()), (401, "auth.unauthorized"));
    bench.until_blobs(1);
    bench.service.stop_sound();
}

#[test]
fn who_is_refused_leaves_nothing_behind() {
    let bench = Bench::start(CONFIG);
    let content = noise(MIB);
    let cut = Request { body: form(&content)[..MIB].to_vec(), ..upload("/hook/files", b"") };
    let packed = as_bytes("/hook/files", &content).header("Content-Encoding", "gzip");
    for (request, status, code) in [
        (delivery("/hook/signed", "push", "another secret", &content), 401, "auth.unauthorized"),
        (cut, 400, "body.malformed"),
        (Request::json("/hook/files", &content), 400, "body.malformed"),
        (as_bytes("/hook/files", &content).set("Content-Type", ""), 415, "body.media-type"),
        (packed, 400, "body.malformed"),
        (upload("/hook/strict", &content), 422, "expects.mismatch"),
    ] {
        let answer = bench.service.send(&request);
        assert_eq!((answer.status, answer.code().as_str()), (status, code));
        bench.until_blobs(0);
    }
    // One that hangs up leaves nothing either.
    let mut gone = Wire::connect(bench.service.public);
    gone.send(as_bytes("/hook/files", b"").set("Content-Length", "2000000").head());
    gone.send(&content);
    bench.until_blobs(1);
    drop(gone);
    bench.until_blobs(0);
    bench.service.stop_sound();
}

#[test]
fn without_room_for_it_a_body_is_refused_and_the_next_is_taken() {
    let bench = Bench::start("store: {memory: {}, blob_bytes: 1MiB}");
    let content = noise(2 * MIB);
    let answer = bench.service.send(&as_bytes("/hook/files", &content));
    assert_eq!((answer.status, answer.code().as_str()), (503, "store.blobs"));
    assert_eq!(answer.retry_after(), Some(1));
    bench.until_blobs(0);
    // What has ended makes room for what comes.
    for _ in 0..8 {
        assert_file(
            &bench.service.send(&as_bytes("/hook/files", &content[..MIB / 2])),
            0,
            &content[..MIB / 2],
        );
        bench.until_blobs(0);
        assert_file(
            &bench.service.send(&as_bytes("/hook/files", &content[..100_000])),
            0,
            &content[..100_000],
        );
    }
    assert_eq!(bench.service.send(&as_bytes("/hook/files", b"small")).status, 200);
    bench.service.stop_sound();
}

#[test]
fn a_compressed_body_is_unpacked_from_disk_to_disk() {
    let bench = Bench::start(CONFIG);
    let content = [noise(MIB), vec![0; 4 * MIB]].concat();
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut encoder, &content).unwrap();
    let request = as_bytes("/hook/files", &encoder.finish().unwrap()).header("Content-Encoding", "gzip");
    assert_file(&bench.service.send(&request), 0, &content);
    assert_eq!(bench.blobs().len(), 2, "as it came and as it is read");
    bench.service.stop_sound();
}

#[test]
fn what_a_killed_process_left_is_removed_by_the_next() {
    let bench = Bench::start(CONFIG);
    let content = noise(MIB);
    assert_eq!(bench.service.send(&as_bytes("/hook/queued", &content)).status, 202);
    let mut open = Wire::connect(bench.service.public);
    open.send(as_bytes("/hook/files", b"").set("Content-Length", "2000000").head());
    open.send(&content);
    bench.until_blobs(2);
    let Bench { folder, service } = bench;
    service.signal("KILL");
    service.end();
    let left = || fs::read_dir(folder.path().join("tmp")).unwrap().count();
    assert_eq!(left(), 2, "its folder, and the mark");
    let service = Bench::serve(&folder);
    assert_eq!(left(), 1);
    assert_file(&service.send(&as_bytes("/hook/files", &content)), 0, &content);
    service.stop_sound();
}
