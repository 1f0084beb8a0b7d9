use super::*;
use hookflow_text::{Source, parse};
use http::HeaderValue;
use http::header::CONTENT_ENCODING;
use proptest::prelude::*;

fn decode(format: &str, media_type: &str, body: &[u8]) -> Result<String, DecodeRefusal> {
    let mut headers = HeaderMap::new();
    if !media_type.is_empty() {
        headers.insert(CONTENT_TYPE, HeaderValue::from_str(media_type).unwrap());
    }
    let (_, decoded) = BodySpec::of_format(format, 1 << 20).unwrap().decode(
        &headers,
        &body.to_vec().into(),
        &mut Means::memory(),
    )?;
    Ok(format!("{}{}", decoded.value, if decoded.files.is_empty() { "" } else { " file" }))
}

#[test]
fn the_media_type_decides() {
    const FORM: &str = "application/x-www-form-urlencoded";
    for (format, media_type, body, expected) in [
        ("auto", "application/json", "{\"a\":10.00}", "{\"a\":10.00}"),
        ("auto", "Application/JSON; charset=\"UTF-8\"", "[1]", "[1]"),
        ("auto", "application/vnd.api+json", "null", "null"),
        ("auto", FORM, "a=1", "{\"a\":\"1\"}"),
        ("auto", "text/plain", "{\"a\":1}", "\"{\\\"a\\\":1}\""),
        ("auto", "text/csv;charset=iso-8859-1", "x", "\"x\""),
        ("auto", "application/xml", "<a/>", "{\"a\":\"\"}"),
        ("auto", "text/xml; charset=utf-8", "<a>1</a>", "{\"a\":\"1\"}"),
        ("auto", "application/soap+xml", "<a>1</a>", "{\"a\":\"1\"}"),
        ("xml", "", "<a>1</a>", "{\"a\":\"1\"}"),
        ("text", "text/xml", "<a/>", "\"<a/>\""),
        ("auto", "multipart/mixed; boundary=b", "--b--", "null file"),
        ("multipart", "multipart/form-data; boundary=b", "--b--", "{}"),
        ("form", "application/x-www-form-urlencoded; charset=iso-8859-1", "a=%E9", "{\"a\":\"é\"}"),
        ("auto", "application/pdf", "%PDF", "null file"),
        ("auto", "", "", "null"),
        ("auto", "application/json", "", "null"),
        ("json", "", "{}", "{}"),
        ("json", "text/plain", "7", "7"),
        ("text", "application/json", "{}", "\"{}\""),
        ("bytes", "application/json", "{}", "null file"),
        ("bytes", "", "x", "null file"),
        ("form", FORM, "", "null"),
    ] {
        assert_eq!(
            decode(format, media_type, body.as_bytes()).as_deref(),
            Ok(expected),
            "{format} {media_type}"
        );
    }
    for (format, media_type) in [
        ("auto", ""),
        ("json", "application/xml"),
        ("json", FORM),
        ("form", "application/json"),
        ("form", ""),
        ("form", "application/x-www-form-urlencoded; charset=utf-16"),
        ("form", "application/x-www-form-urlencoded; charset=martian"),
        ("xml", "application/json"),
        ("xml", "application/xml; charset=martian"),
        ("multipart", "multipart/mixed; boundary=b"),
        ("text", ""),
        ("text", "image/png"),
        ("text", "text/plain; charset=utf-7"),
    ] {
        let refusal = decode(format, media_type, b"x").unwrap_err();
        assert_eq!(refusal.code().0, "body.media-type", "{format} {media_type}");
    }
}

#[test]
fn json_keeps_what_was_sent() {
    for (body, expected) in [
        ("\u{feff}{\"a\":1}", "{\"a\":1}"),
        ("123456789012345678901234567890", "123456789012345678901234567890"),
        ("[10.00,1E400,-0.0]", "[10.00,1e+400,-0.0]"),
        ("{\"b\":1,\"a\":2,\"b\":3}", "{\"b\":3,\"a\":2}"),
        ("\"Zoë ☕ \\u0000\"", "\"Zoë ☕ \\u0000\""),
        (" \r\n\"x\"\r\n", "\"x\""),
    ] {
        assert_eq!(decode("json", "", body.as_bytes()).as_deref(), Ok(expected), "{body}");
    }
    assert_eq!(decode("json", "application/json;charset=latin1", b"\"\xe9\"").as_deref(), Ok("\"é\""));
}

#[test]
fn wrong_json_says_where() {
    for (body, line, column) in [
        (b"{\n  \"a\": x}".as_slice(), 2, 8),
        (b"{\"a\":1", 1, 6),
        (b"[1,]", 1, 4),
        (b"{} {}", 1, 4),
        (b"NaN", 1, 1),
        (b"[\"\\ud800\"]", 1, 9),
        (b"[\"a\",\n \"\xff\"]", 2, 3),
        (b"\0", 1, 1),
    ] {
        match decode("json", "", body) {
            Err(DecodeRefusal::Malformed { message, line: at_line, column: at_column }) => {
                assert_eq!((at_line, at_column), (Some(line), Some(column)), "{body:?} {message}");
                assert!(!message.contains(" at line "), "{message}");
            }
            other => panic!("{body:?} {other:?}"),
        }
    }
    // A name that the parser uses for itself is still only a caller's word.
    assert!(decode("json", "", b"{\"$serde_json::private::Number\":\"x\"}").is_err());
    assert!(decode("json", "", b"{\"a\":1,\"$serde_json::private::Number\":\"x\"}").is_ok());
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(decode("json", "", nested(128).as_bytes()).is_ok());
    let too_deep = decode("json", "", nested(129).as_bytes()).unwrap_err();
    assert_eq!(too_deep.to_string(), "the body nests deeper than 128 levels");
    let in_quotes = format!("[\"{}\\\"[\",{}]", "[".repeat(200), nested(127));
    assert_eq!(decode("json", "", in_quotes.as_bytes()).as_deref(), Ok(in_quotes.as_str()));
    let unclosed = format!("{}{}", "[".repeat(128), "]".repeat(127));
    assert_eq!(decode("json", "", unclosed.as_bytes()).unwrap_err().code().0, "body.malformed");
    let more = format!("{} x", nested(128));
    assert_eq!(decode("json", "", more.as_bytes()).unwrap_err().code().0, "body.malformed");
    assert_eq!(decode("json", "", "[".repeat(1 << 20).as_bytes()).unwrap_err(), too_deep);
}

#[test]
fn two_types_and_encodings_are_refused() {
    let body = Body::Held(Bytes::from_static(b"{}"));
    let mut headers = HeaderMap::new();
    headers.append(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    for (value, refused) in [("identity", false), ("", false), ("zstd", true), ("identity, compress", true)] {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(value));
        let result = BodySpec::auto(10).decode(&headers, &body, &mut Means::memory());
        assert_eq!(
            result.err().map(|refusal| refusal.code().0),
            refused.then_some("body.content-encoding"),
            "{value}"
        );
    }
    headers.remove(CONTENT_ENCODING);
    headers.append(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    let refusal = BodySpec::auto(10).decode(&headers, &body, &mut Means::memory()).unwrap_err();
    assert_eq!(refusal.code().0, "body.media-type");
}

#[test]
fn a_webhook_names_its_format_and_limit() {
    let load_spec = |text: &str| {
        let mut diagnostics = Diagnostics::default();
        let node = parse(&Source::new("a.yaml", text), &mut diagnostics).unwrap();
        let map = node.as_map(&mut diagnostics).unwrap().to_vec();
        let value = |name: &str| map.iter().find(|(key, _)| key.text() == name).map(|(_, value)| value);
        let spec =
            BodySpec::load(value("body"), value("xml"), value("body_limit"), 1 << 20, &mut diagnostics);
        (spec, diagnostics)
    };
    let load = |text: &str| {
        let (spec, diagnostics) = load_spec(text);
        (spec.map(|spec| (spec.format(), spec.limit())), diagnostics)
    };
    assert_eq!(load("{}").0, Some(("auto", 1 << 20)));
    assert_eq!(load("{body: json, body_limit: 64KiB}").0, Some(("json", 65_536)));
    let (spec, diagnostics) = load("{body_limit: 64MiB}");
    assert_eq!(spec, Some(("auto", 1 << 20)));
    assert_eq!(diagnostics.codes(), ["webhook.body-limit"]);
    let (spec, diagnostics) = load("{body: jsn}");
    assert_eq!(spec, None);
    assert_eq!(diagnostics.codes(), ["webhook.body-format"]);
    assert!(diagnostics.render(false).contains("did you mean `json`?"));
    let (spec, diagnostics) = load_spec("{xml: {attributes: '', lists: [order.items.item]}}");
    let shape =
        XmlShape { attributes: String::new(), lists: vec!["order.items.item".into()], ..XmlShape::default() };
    assert_eq!((spec.unwrap().xml(), diagnostics.codes()), (&shape, vec![]));
    for text in ["{xml: 1}", "{xml: {attribute: x}}", "{xml: {lists: a}}", "{xml: {lists: [[a]]}}"] {
        assert!(!load_spec(text).1.is_empty(), "{text}");
    }
}

/// UTF-16 with a byte order mark, little-endian.
fn utf16(text: &str) -> Vec<u8> {
    let units = std::iter::once(0xfeff).chain(text.encode_utf16());
    units.flat_map(u16::to_le_bytes).collect()
}

#[test]
fn xml_is_read_in_the_encoding_it_says() {
    let declared = b"<?xml version='1.0' encoding='ISO-8859-1'?><a>\xe9</a>";
    let big_endian: Vec<u8> = "<a>é</a>".encode_utf16().flat_map(u16::to_be_bytes).collect();
    for (media_type, body) in [
        ("application/xml", declared.as_slice()),
        ("text/xml; charset=windows-1252", b"<a>\xe9</a>"),
        // The transport outranks the document, and a mark outranks both.
        ("text/xml; charset=utf-8", "<?xml version='1.0' encoding='ISO-8859-1'?><a>é</a>".as_bytes()),
        ("text/xml; charset=latin1", "\u{feff}<a>é</a>".as_bytes()),
        ("text/xml", &utf16("<?xml version='1.0' encoding='utf-16'?><a>é</a>")),
        ("text/xml", "<?xml version='1.0' encoding='utf-16'?><a>é</a>".as_bytes()),
        ("text/xml", &big_endian),
    ] {
        assert_eq!(decode("xml", media_type, body).as_deref(), Ok("{\"a\":\"é\"}"), "{body:?}");
    }
    for (body, code) in [
        (b"<a>\xe9</a>".as_slice(), "body.malformed"),
        (b"<?xml version='1.0' encoding='martian'?><a/>", "body.media-type"),
        (b"\xff\xfe<\0a", "body.malformed"),
        (b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", "body.malformed"),
        ("<a>".repeat(65).as_bytes(), "body.too-deep"),
        (b" ", "body.malformed"),
    ] {
        assert_eq!(decode("xml", "", body).unwrap_err().code().0, code, "{body:?}");
    }
    let Err(DecodeRefusal::Malformed { line, column, .. }) = decode("xml", "", b"<a>\r\n </b></a>") else {
        panic!("not malformed")
    };
    assert_eq!((line, column), (Some(2), Some(2)));
}

proptest! {
    #[test]
    fn hostile_bodies_never_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..100),
        format in proptest::sample::select(vec!["auto", "json", "form", "text", "bytes", "xml", "multipart"]),
        media_type in proptest::option::of(proptest::collection::vec(0x20_u8..=0x7e, 0..40)),
    ) {
        let mut headers = HeaderMap::new();
        if let Some(media_type) = media_type {
            headers.insert(CONTENT_TYPE, HeaderValue::from_bytes(&media_type).unwrap());
        }
        if let Ok((_, decoded)) = BodySpec::of_format(format, 100).unwrap().decode(&headers, &bytes.clone().into(), &mut Means::memory()) {
            prop_assert!(!bytes.is_empty() || decoded.value.is_null());
        }
    }

    #[test]
    fn json_text_comes_back(text in "\\PC{0,40}") {
        let body = serde_json::to_vec(&text).unwrap();
        prop_assert_eq!(decode("json", "", &body), Ok(Json::String(text).to_string()));
    }
}
