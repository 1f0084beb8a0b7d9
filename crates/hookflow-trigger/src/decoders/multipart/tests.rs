use super::*;
use crate::body::tests::Shelf;
use crate::{BodySpec, Means};
use bytes::Bytes;
use hookflow_text::Json;
use http::HeaderMap;
use http::header::{CONTENT_TYPE, HeaderValue};
use proptest::prelude::*;

/// The fields, and each file as `name|filename|type|content`; the same whether the body is held or spooled.
fn decode_with(boundary: &str, body: &[u8]) -> Result<(String, Vec<String>), DecodeRefusal> {
    let held = decode_body(boundary, &Body::from(body.to_vec()));
    for step in [1 << 20, 1_000, 13] {
        if body.len() / step < 2_000 {
            let spooled = decode_body(boundary, &Shelf::spooled(body, step));
            assert_eq!(spooled, held, "{step} {:?}", String::from_utf8_lossy(body));
        }
    }
    held
}

fn decode_body(boundary: &str, body: &Body) -> Result<(String, Vec<String>), DecodeRefusal> {
    let mut headers = HeaderMap::new();
    let value = format!("multipart/form-data; boundary={boundary}");
    headers.insert(CONTENT_TYPE, HeaderValue::from_str(&value).unwrap());
    let (_, decoded) = BodySpec::auto(1 << 24).decode(&headers, body, &mut Means::memory())?;
    let files = decoded.files.iter().map(|file| {
        let (filename, media_type) = (file.filename.as_deref(), file.media_type.as_deref());
        let content = file.content.whole().unwrap();
        assert_eq!(file.sha256.is_some(), body.held().is_none());
        assert!(file.sha256.as_ref().is_none_or(|sum| *sum == to_hex(&Sha256::digest(&content))));
        let content = String::from_utf8_lossy(&content);
        format!("{}|{}|{}|{content}", file.name, filename.unwrap_or("-"), media_type.unwrap_or("-"))
    });
    Ok((decoded.value.to_string(), files.collect()))
}

/// A body with the boundary `b`, of parts that are written as `headers¶content`, with `|` for a line's end.
fn body(parts: &[&str]) -> Vec<u8> {
    let mut out = String::new();
    for part in parts {
        let (head, content) = part.split_once('¶').unwrap();
        out.push_str(&format!("--b\r\n{}\r\n\r\n{content}\r\n", head.replace('|', "\r\n")));
    }
    (out + "--b--\r\n").into_bytes()
}

fn decode(parts: &[&str]) -> Result<(String, Vec<String>), DecodeRefusal> {
    decode_with("b", &body(parts))
}

#[test]
fn fields_nest_and_repeat_like_those_of_a_form() {
    let (value, files) = decode(&[
        "Content-Disposition: form-data; name=\"a[x]\"¶1",
        "content-disposition:FORM-DATA;name=\"a[y][]\"¶10.00",
        "Content-Disposition: form-data; name=c¶",
        "Content-Disposition: form-data; name=c|Content-Type: text/plain; charset=utf-8¶é\r\n\0",
        "Content-Disposition: form-data; name=\"j\"|Content-Type: application/json¶{}",
    ])
    .unwrap();
    assert_eq!(value, "{\"a\":{\"x\":\"1\",\"y\":[\"10.00\"]},\"c\":[\"\",\"é\\r\\n\\u0000\"],\"j\":\"{}\"}");
    assert!(files.is_empty());
    let latin = b"--b\r\nContent-Disposition: form-data; name=a\r\nContent-Type: text/plain; charset=latin1\r\n\r\n\xe9\r\n--b--";
    assert_eq!(decode_with("b", latin).unwrap().0, "{\"a\":\"é\"}");
    assert_eq!(decode_with("b", b"--b--").unwrap(), ("{}".into(), vec![]));
}

#[test]
fn files_keep_their_bytes_and_names() {
    let (value, files) = decode(&[
        "Content-Disposition: form-data; name=\"f\"; filename=\"a \\\"b\\\";c.txt\"|Content-Type: Text/Plain; charset=x¶one",
        "Content-Disposition: form-data; filename=\"C:\\x\\y.bin\"; name=f|X-Other: ü¶two\r\n",
        "Content-Disposition: form-data; name=\"g\"; filename=\"x\"; filename*=UTF-8''na%C3%AFve%20.txt¶",
        "Content-Disposition: form-data; name=h|Content-Type: image/png|Content-Transfer-Encoding: Binary¶\r\n--\r\n",
        "Content-Disposition: form-data; name=i; filename=\"\"¶",
    ])
    .unwrap();
    assert_eq!(value, "{}");
    assert_eq!(
        files,
        [
            "f|a \"b\";c.txt|text/plain|one",
            "f|C:\\x\\y.bin|-|two\r\n",
            "g|naïve .txt|-|",
            "h|-|image/png|\r\n--\r\n",
            "i||-|"
        ]
    );
}

#[test]
fn only_a_whole_line_is_a_boundary() {
    let part = "Content-Disposition: form-data; name=a\r\n\r\n";
    for (boundary, text, expected) in [
        ("b", format!("before\r\n--b \t\r\n{part}1\r\n--b--\r\nafter"), "1"),
        ("b", format!("--b\r\n{part}1\n--b\n\r\n--b--"), "1\n--b\n"),
        ("b", format!("--b\r\n{part}1\r\n--bc\r\n2\r\n--b--c\r\n--b--"), "1\r\n--bc\r\n2\r\n--b--c"),
        ("b", format!("x--b--\r\n--b\r\n{part}1\r\n--b--"), "1"),
        ("b", format!("--b\r\n{part}--bc\r\n--b--"), "--bc"),
        ("b", format!("--b{}\r\n{part}1\r\n--b--{}", " ".repeat(200), "\t".repeat(254)), "1"),
        (
            "b",
            format!("--b\r\n{part}1\r\n--b{}\r\n--b--", " ".repeat(300)),
            &format!("1\r\n--b{}", " ".repeat(300)),
        ),
        ("b", format!("--b\r\n{part}{}\r\n--b--", "\r\n--".repeat(30_000)), &"\r\n--".repeat(30_000)),
        ("b", format!("--bc\r\n--b\r\n{part}\r\n--b--"), ""),
        ("\"a b:c\"", format!("--a b:c\r\n{part}1\r\n--a b:c--"), "1"),
        ("----WebKit", format!("------WebKit\r\n{part}--\r\n------WebKit--"), "--"),
    ] {
        let (value, _) =
            decode_with(boundary, text.as_bytes()).unwrap_or_else(|why| panic!("{text:?}: {why}"));
        assert_eq!(value, serde_json::json!({"a": expected}).to_string(), "{text:?}");
    }
}

#[test]
fn what_is_not_whole_is_refused() {
    let good =
        body(&["Content-Disposition: form-data; name=a¶1", "Content-Disposition: form-data; name=b¶2"]);
    for cut in 1..good.len() - 2 {
        let refusal = decode_with("b", &good[..cut]).unwrap_err();
        assert_eq!(refusal.code().0, "body.malformed", "{cut}");
    }
    for head in [
        "Content-Type: text/plain",
        "Content-Disposition: form-data",
        "Content-Disposition: attachment; name=a",
        "Content-Disposition: form-data; name=\"a",
        "Content-Disposition: form-data; name=a; name=b",
        "Content-Disposition: form-data; name=a|Content-Disposition: form-data; name=b",
        "Content-Disposition: form-data; name=a|no colon",
        "Content-Disposition: form-data; name=a; filename*=x",
        "Content-Disposition: form-data; name=a; filename*=UTF-8''%FF",
        "Content-Disposition: form-data; name=a|Content-Transfer-Encoding: base64",
    ] {
        let refusal = decode(&[&format!("{head}¶x")]).unwrap_err();
        assert_eq!(refusal.code().0, "body.malformed", "{head}");
    }
    assert!(decode_with("b", b"--b\r\nContent-Disposition: form-data; name=a\r\n\r\n\xff\r\n--b--").is_err());
    assert!(decode_with("b", b"--b\r\nContent-Disposition: form-data; name=\xff\r\n\r\n\r\n--b--").is_err());
    assert!(decode_with("b", b"--b\r\n\r\nx\r\n--b--").is_err());
    for boundary in ["", "\"\"", &"x".repeat(MAX_BOUNDARY + 1)] {
        assert_eq!(decode_with(boundary, b"----").unwrap_err().code().0, "body.malformed", "{boundary}");
    }
}

#[test]
fn parts_have_bounds() {
    let part = "Content-Disposition: form-data; name=a¶1";
    assert!(decode(&vec![part; MAX_PARTS]).is_ok());
    assert!(decode(&vec![part; MAX_PARTS + 1]).is_err());
    let named = |length: usize| format!("Content-Disposition: form-data; name={}¶1", "x".repeat(length));
    assert!(decode(&[&named(MAX_NAME)]).is_ok());
    assert!(decode(&[&named(MAX_NAME + 1)]).is_err());
    let padded =
        |length: usize| format!("X: {}|Content-Disposition: form-data; name=a¶1", "x".repeat(length));
    assert!(decode(&[&padded(MAX_PART_HEAD - 100)]).is_ok());
    assert!(decode(&[&padded(MAX_PART_HEAD)]).is_err());
    assert!(decode(&[&padded(5 << 20)]).is_err());
}

proptest! {
    #[test]
    fn hostile_bodies_never_panic(
        pieces in proptest::collection::vec(proptest::sample::select(vec![
            "--b", "--b--", "\r\n", "\r\n--b\r\n", "\n", " ", "Content-Disposition: form-data; name=\"a[b]\"",
            "; filename*=utf-8''%41", "Content-Type: text/plain; charset=utf-16", "\r\n\r\n", "\"", ":", "é",
        ]), 0..20),
    ) {
        if let Ok((value, _)) = decode_with("b", pieces.concat().as_bytes()) {
            let object = value.starts_with('{');
            prop_assert!(object || value == "null", "{}", value);
        }
    }

    #[test]
    fn contents_come_back(
        contents in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..5),
    ) {
        let mut text = Vec::new();
        for content in &contents {
            text.extend_from_slice(b"--b0undary\r\nContent-Disposition: form-data; name=f; filename=x\r\n\r\n");
            text.extend_from_slice(content);
            text.extend_from_slice(b"\r\n");
        }
        text.extend_from_slice(b"--b0undary--\r\n");
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("multipart/form-data; boundary=b0undary"));
        let (_, decoded) = BodySpec::auto(1 << 20).decode(&headers, &Bytes::from(text).into(), &mut Means::memory()).unwrap();
        let files: Vec<_> = decoded.files.iter().map(|file| file.content.whole().unwrap().to_vec()).collect();
        prop_assert_eq!(files, contents);
        prop_assert_eq!(decoded.value, Json::Object(serde_json::Map::new()));
    }
}
