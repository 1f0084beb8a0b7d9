//! Bodies of every format, as callers send them.

use super::bench::{Bench, Heard, Request, limits, memory, open_with};
use hookflow_trigger::Head;
use jiff::Timestamp;
use serde_json::json;

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
    let charset = [("Content-Type", "text/plain; charset=martian")];
    let heard = send(&bench, "/hook/bodies", &charset, b"x").await;
    assert_eq!((heard.status, heard.code().as_str()), (415, "body.media-type"));
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
    let long = "x".repeat(200 << 10);
    let heard = bench.send(&Request::post("/hook/bodies", &json!([long]).to_string())).await;
    assert_eq!((heard.status, &heard.json()["length"]), (200, &json!((200 << 10) + 4)));
    let heard = bench.send(&Request::post("/hook/bodies", &format!("[\"{long}\"")).signed(&bench)).await;
    assert_eq!((heard.status, heard.code().as_str()), (400, "body.malformed"));
    assert_eq!(bench.tasks.panics(), 0);
}
