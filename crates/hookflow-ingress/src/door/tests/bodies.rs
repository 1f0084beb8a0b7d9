//! Bodies of every format, as callers send them.

use super::bench::{Bench, Heard, Request, hear, limits, memory, open_with};
use crate::DoorLimits;
use hookflow_runtime::Clock;
use hookflow_trigger::Head;
use jiff::Timestamp;
use serde_json::json;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

const ECHO: &str = "flow: bodies
webhook: {auth: none, body_limit: 256KiB, xml: {lists: [order.item]}}
steps:
  - respond:
      json:
        body: '${ webhook.body }'
        files: '${ webhook.files }'
        length: '${ webhook.raw | length }'";
const SIGNED: &str = "flow: packed
webhook: {auth: inovector, body: json}
steps: [{respond: {json: '${ webhook.body }'}}]";

/// `{"a":10.00}`, compressed by `gzip -n`.
const PACKED: &[u8] = &[
    31, 139, 8, 0, 0, 0, 0, 0, 0, 3, 171, 86, 74, 84, 178, 50, 52, 208, 51, 48, 168, 5, 0, 7, 215, 7, 250,
    11, 0, 0, 0,
];
/// Ten mebibytes of zeros in `br`.
const BOMB: &[u8] = &[
    203, 255, 255, 63, 248, 39, 0, 226, 177, 64, 32, 247, 254, 47, 255, 255, 63, 240, 79, 0, 196, 97, 17,
    128, 238, 253, 7,
];

async fn open() -> Bench {
    open_with(&[ECHO, SIGNED], limits(), memory()).await
}

/// Sends bytes that are no text.
async fn send(bench: &Bench, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Heard {
    let mut request = format!("POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n");
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    let mut bytes = format!("{request}Content-Length: {}\r\n\r\n", body.len()).into_bytes();
    bytes.extend_from_slice(body);
    bench.say(&bytes).await
}

#[tokio::test]
async fn xml_and_forms_with_files_become_values() {
    let bench = open().await;
    let xml = b"<?xml version='1.0' encoding='latin1'?><order id='7'><item>caf\xe9</item></order>";
    let heard = send(&bench, "/hook/bodies", &[("Content-Type", "text/xml")], xml).await;
    assert_eq!(heard.json()["body"], json!({"order": {"@id": "7", "item": ["café"]}}), "{heard:?}");
    let form = b"--b\r\nContent-Disposition: form-data; name=a[b]\r\n\r\n1\r\n\
        --b\r\nContent-Disposition: form-data; name=f; filename=x.bin\r\n\r\n\0\xff\r\n--b--\r\n";
    let heard =
        send(&bench, "/hook/bodies", &[("Content-Type", "multipart/form-data; boundary=b")], form).await;
    let heard = heard.json();
    assert_eq!(heard["body"], json!({"a": {"b": "1"}}));
    assert_eq!((&heard["files"][0]["filename"], &heard["files"][0]["size"]), (&json!("x.bin"), &json!(2)));
}

#[tokio::test]
async fn what_cannot_be_decoded_says_where() {
    let bench = open().await;
    for (media_type, body, line, column) in [
        ("application/xml", "<a>\n<b></a>", json!(2), json!(4)),
        ("application/xml", "<!DOCTYPE a><a/>", json!(1), json!(1)),
        ("application/json", "{\n\"a\":}", json!(2), json!(5)),
        ("multipart/form-data; boundary=b", "--b\r\n", json!(null), json!(null)),
    ] {
        let heard = send(&bench, "/hook/bodies", &[("Content-Type", media_type)], body.as_bytes()).await;
        assert_eq!((heard.status, heard.code().as_str()), (400, "body.malformed"), "{body}");
        assert_eq!((&heard.json()["line"], &heard.json()["column"]), (&line, &column), "{heard:?}");
    }
    let kept = bench.rejections.latest(None, 10);
    assert!(
        kept[1]["reason"].as_str().unwrap().starts_with("line 2, column 5: the body is not JSON"),
        "{kept:?}"
    );
    let charset = [("Content-Type", "text/plain; charset=martian")];
    let heard = send(&bench, "/hook/bodies", &charset, b"x").await;
    assert_eq!((heard.status, heard.code().as_str()), (415, "body.media-type"));
    for (headers, found) in [
        (&[][..], "the webhook takes bodies of any media type; this request has no Content-Type"),
        (
            &[("Content-Type", "text/plain"), ("Content-Type", "text/plain")],
            "the webhook takes bodies of any media type; this request has more than one Content-Type",
        ),
    ] {
        let heard = send(&bench, "/hook/bodies", headers, b"x").await;
        assert_eq!((heard.status, &heard.json()["detail"]), (415, &json!(found)));
    }
}

/// A request whose body ends 10 bytes later.
async fn begin(bench: &Bench, body: &[u8]) -> TcpStream {
    let mut stream = bench.connect().await;
    let head = format!(
        "POST /hook/bodies HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n",
        body.len() + 10
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body).await.unwrap();
    stream
}

#[tokio::test]
async fn all_bodies_that_are_being_read_share_one_room() {
    let bench = open_with(&[ECHO], DoorLimits { memory: 100 << 10, ..limits() }, memory()).await;
    let long = vec![b'x'; 60 << 10];
    let held = &bench.memory;
    let mut first = begin(&bench, &long).await;
    until(|| held.taken() >= 60 << 10).await;
    let refused = hear(&mut begin(&bench, &long).await).await;
    assert_eq!((refused.status, refused.code().as_str()), (503, "service.memory"));
    assert_eq!((refused.header("retry-after"), refused.header("connection")), (Some("1"), Some("close")));
    assert_eq!(send(&bench, "/hook/bodies", &[("Content-Type", "text/plain")], b"small").await.status, 200);
    until(|| held.taken() <= 64 << 10).await;
    let before = held.taken();
    let gone = begin(&bench, &[b'y'; 20]).await;
    until(|| held.taken() > before).await;
    drop(gone);
    first.write_all(&[b'x'; 10]).await.unwrap();
    assert_eq!(hear(&mut first).await.status, 200);
    until(|| held.taken() == 0).await;
    // Of what is spooled no more is held while it comes; to be a value it is there whole, when it is alone or fits.
    let mut alone = begin(&bench, &vec![b'x'; 250 << 10]).await;
    until(|| held.taken() <= 64 << 10 && bench.blobs.taken() >= 180 << 10).await;
    alone.write_all(&[b'x'; 10]).await.unwrap();
    assert_eq!(hear(&mut alone).await.status, 200);
    until(|| held.taken() == 0).await;
    let series = "hookflow_requests_refused_total{code=\"service.memory\",flow=\"bodies\"}";
    assert_eq!(bench.counted(series).as_deref(), Some("1"));
}

#[tokio::test]
async fn what_does_not_fit_among_the_blobs_is_refused_and_nothing_stays_of_the_refused() {
    let flow = "flow: parts
webhook: {auth: inovector, expects: {strict: true, body: {name: string}}}
queue: {capacity: 1}
steps: [{set: {a: 1}}]";
    let bench = open_with(&[ECHO, flow], limits(), memory()).await;
    let bytes = vec![b'x'; 1 << 20];
    let typed = [("Content-Type", "application/pdf")];
    let heard = send(&bench, "/hook/bodies", &typed, &bytes[..180 << 10]).await;
    assert_eq!((heard.status, &heard.json()["files"][0]["size"]), (200, &json!(180 << 10)), "{heard:?}");
    assert_eq!(heard.json()["length"], json!(180 << 10));
    for (path, body, status, code) in [
        ("/hook/parts", &bytes[..], 503, "store.blobs"),
        ("/hook/parts", &bytes[..500 << 10], 401, "auth.unauthorized"),
        ("/hook/bodies", &bytes[..], 413, "body.too-large"),
    ] {
        let signed = [("Content-Type", "application/pdf"), ("X-Signature", "aabb")];
        let heard = send(&bench, path, &signed, body).await;
        assert_eq!((heard.status, heard.code().as_str()), (status, code), "{path}");
        until(|| bench.blobs.taken() == 180 << 10).await;
    }
    let kept = bench.rejections.latest(Some("parts"), 10);
    assert!(
        kept.iter().any(|it| it["reason"] == "all blobs together take at most 1114112 bytes"),
        "{kept:?}"
    );
    // The blob goes with the run that names it.
    for _ in 0..hookflow_store::backends::FINISHED_KEPT {
        assert_eq!(send(&bench, "/hook/bodies", &typed, b"small").await.status, 200);
    }
    until(|| bench.blobs.taken() == 0).await;
    assert_eq!(bench.tasks.panics(), 0);
}

async fn until(holds: impl Fn() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    Clock::system().timeout(Duration::from_secs(10), waiting).await.unwrap();
}

#[tokio::test]
async fn a_signature_is_over_the_bytes_on_the_wire() {
    let bench = open().await;
    let mut signed = Head {
        method: http::Method::POST,
        path: "/hook/packed".into(),
        query: None,
        headers: http::HeaderMap::new(),
        ip: [127, 0, 0, 1].into(),
        received_at: Timestamp::UNIX_EPOCH,
        base_url: "https://hooks.example".into(),
    };
    bench.credentials.get("inovector").unwrap().sign(&mut signed, PACKED, Timestamp::UNIX_EPOCH).unwrap();
    let signature = signed.headers.values().next().unwrap().to_str().unwrap();
    let headers =
        [("Content-Type", "application/json"), ("Content-Encoding", "gzip"), ("X-Signature", signature)];
    let heard = send(&bench, "/hook/packed", &headers, PACKED).await;
    assert_eq!((heard.status, heard.body.as_str()), (200, "{\"a\":10.00}"));
    let heard = send(&bench, "/hook/packed", &headers, b"{\"a\":10.00}").await;
    assert_eq!(heard.status, 401, "what was not signed is not even unpacked");
}

#[tokio::test]
async fn a_bomb_is_too_large_and_an_unknown_coding_not_taken() {
    let bench = open().await;
    let packed = |coding| [("Content-Type", "text/plain"), ("Content-Encoding", coding)];
    let heard = send(&bench, "/hook/bodies", &packed("br"), BOMB).await;
    assert_eq!((heard.status, heard.code().as_str()), (413, "body.too-large"), "{heard:?}");
    let heard = send(&bench, "/hook/bodies", &packed("zstd"), b"x").await;
    assert_eq!((heard.status, heard.code().as_str()), (415, "body.content-encoding"));
    let heard = send(&bench, "/hook/bodies", &packed("gzip"), &PACKED[..20]).await;
    assert_eq!((heard.status, heard.code().as_str()), (400, "body.malformed"));
}

#[tokio::test]
async fn a_large_body_goes_the_same_way() {
    let bench = open().await;
    let long = "x".repeat(180 << 10);
    let heard = bench.send(&Request::post("/hook/bodies", &json!([long]).to_string())).await;
    assert_eq!((heard.status, &heard.json()["length"]), (200, &json!((180 << 10) + 4)));
    let heard = bench.send(&Request::post("/hook/bodies", &format!("[\"{long}\"")).signed(&bench)).await;
    assert_eq!((heard.status, heard.code().as_str()), (400, "body.malformed"));
    assert_eq!(bench.tasks.panics(), 0);
}
