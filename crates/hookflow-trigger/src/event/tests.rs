use super::*;
use crate::body::tests::{Shelf, gather};
use crate::{Auth, Blobs, Credentials, Received};
use hookflow_expr::{Found, Lookup};
use hookflow_text::{Diagnostics, SecretRef, SecretSource, Source, parse};
use http::{HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;
use proptest::prelude::*;

struct Fixed;

impl SecretSource for Fixed {
    fn resolve(&self, _: &SecretRef) -> Result<Vec<u8>, String> {
        Ok(b"the key of the caller".to_vec())
    }
}

fn received(method: Method, query: Option<&str>, headers: &[(&str, &[u8])], body: &[u8]) -> Received {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_bytes(value).unwrap());
    }
    let head = Head {
        method,
        path: "/hook/shop/orders/A%2F1".into(),
        query: query.map(str::to_owned),
        headers: map,
        ip: "192.0.2.1".parse().unwrap(),
        received_at: "2026-01-02T03:04:05.678Z".parse().unwrap(),
        base_url: "https://hooks.example/".into(),
    };
    Received { head, body: Bytes::copy_from_slice(body).into() }
}

fn route() -> Route {
    Route {
        flow: "shop".into(),
        suffix: "/orders/A%2F1".into(),
        params: vec![("id".into(), "A/1".into())],
        system: Some("Shop".into()),
    }
}

fn auth(credential: &str) -> Auth {
    let mut diagnostics = Diagnostics::default();
    let file = "key: {type: api_key, query: api_key, key: {env: X}}";
    let root = parse(&Source::new("credentials.yaml", file), &mut diagnostics).unwrap();
    let credentials = Credentials::load(&root, &Fixed, &mut diagnostics);
    let node = parse(&Source::new("flow.yaml", credential), &mut diagnostics).unwrap();
    Auth::load(&node, &credentials, &mut diagnostics).unwrap()
}

fn event(received: Received) -> Result<Event, DecodeRefusal> {
    let authenticated = auth("none").verify(received, Timestamp::UNIX_EPOCH).unwrap();
    decode(authenticated, &BodySpec::auto(1 << 20), route(), "e1", &mut Means::memory())
}

/// What a name stands for, as JSON text; parts are written out.
fn read(lookup: &dyn Lookup, name: &str) -> Option<String> {
    Some(match lookup.get(name)? {
        Found::Value(value) => value.to_string(),
        Found::Part(part) => {
            let mut names = part.names();
            names.sort();
            let pairs = names.iter().map(|name| format!("{name}: {}", read(&*part, name).unwrap()));
            format!("{{{}}}", pairs.collect::<Vec<_>>().join(", "))
        }
        Found::DidNotRun => "did not run".into(),
        Found::Unreadable(why) => format!("! {why}"),
    })
}

fn whole(event: &Event) -> Vec<Option<String>> {
    event.names().iter().map(|name| read(event, name)).collect()
}

#[test]
fn an_expression_sees_the_whole_request_but_the_secret() {
    let headers = [
        ("Content-Type", b"application/json".as_slice()),
        ("X-A", b"1"),
        ("x-a", b"2"),
        ("Set-Cookie", b"a=1"),
        ("set-cookie", b"b=2"),
        ("x-latin", b"\xe9"),
    ];
    let query = "page=2&api_key=the+key+of+the+caller&a%5B%5D=x";
    let received = received(Method::POST, Some(query), &headers, b"{\"amount\":10.00}");
    let authenticated = auth("key").verify(received, Timestamp::UNIX_EPOCH).unwrap();
    let event = decode(authenticated, &BodySpec::auto(100), route(), "e1", &mut Means::memory()).unwrap();
    for (name, expected) in [
        ("id", "\"e1\""),
        ("body", "{\"amount\":10.00}"),
        ("raw", "\"{\\\"amount\\\":10.00}\""),
        ("files", "[]"),
        (
            "headers",
            "{content-type: \"application/json\", set-cookie: [\"a=1\",\"b=2\"], x-a: \"1, 2\", x-latin: \"é\"}",
        ),
        ("query", "{\"page\":\"2\",\"a\":[\"x\"]}"),
        ("params", "{\"id\":\"A/1\"}"),
        ("method", "\"POST\""),
        ("path", "\"/hook/shop/orders/A%2F1\""),
        ("suffix", "\"/orders/A%2F1\""),
        ("url", "\"https://hooks.example/hook/shop/orders/A%2F1?page=2&a%5B%5D=x\""),
        ("ip", "\"192.0.2.1\""),
        ("system", "\"Shop\""),
        ("credential", "\"key\""),
        ("received_at", "\"2026-01-02T03:04:05.678Z\""),
    ] {
        assert_eq!(read(&event, name).as_deref(), Some(expected), "{name}");
    }
    assert_eq!(event.names().len(), 15);
    assert_eq!(read(&event, "nobody"), None);
    let Some(Found::Part(headers)) = event.get("headers") else { panic!("a part") };
    assert_eq!(read(&*headers, "X-A").as_deref(), Some("\"1, 2\""));
    assert_eq!(read(&*headers, "not a name"), None);
    assert!(!format!("{event:?} {:?}", event.to_record()).contains("the+key"));
}

#[test]
fn bodies_become_values_text_or_files() {
    let typed = |media_type: &str, body: &[u8]| {
        event(received(Method::POST, None, &[("content-type", media_type.as_bytes())], body)).unwrap()
    };
    let pdf = typed("application/pdf", b"%PDF\xff");
    assert_eq!(read(&pdf, "body").as_deref(), Some("null"));
    assert_eq!(read(&pdf, "raw").as_deref(), Some("\"JVBERv8=\""));
    assert_eq!(
        read(&pdf, "files").unwrap(),
        "[{\"name\":\"body\",\"filename\":null,\"type\":\"application/pdf\",\"size\":5,\
         \"sha256\":\"6624d21d981c6657e39c887f34e01b3db7ab5131937d598e39b589bde09a690e\"}]"
    );
    assert_eq!(
        read(&typed("text/plain", "é\0\r\n".as_bytes()), "body").as_deref(),
        Some("\"é\\u0000\\r\\n\"")
    );
    assert_eq!(read(&typed("application/json", b""), "body").as_deref(), Some("null"));
    let refusal = event(received(Method::POST, None, &[], b"x")).unwrap_err();
    assert_eq!(refusal.code().0, "body.media-type");
}

#[test]
fn a_compressed_body_is_read_and_its_wire_bytes_kept() {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut encoder, b"{\"a\":10.00}").unwrap();
    let body = encoder.finish().unwrap();
    let headers = [("content-type", b"application/json".as_slice()), ("content-encoding", b"gzip")];
    let compressed = event(received(Method::POST, None, &headers, &body)).unwrap();
    assert_eq!(read(&compressed, "body").as_deref(), Some("{\"a\":10.00}"));
    assert_eq!(read(&compressed, "raw").as_deref(), Some("\"{\\\"a\\\":10.00}\""));
    assert_eq!(compressed.wire_body().held().unwrap(), &body);
    assert_eq!(compressed.body_weight(), body.len() + 11 + hookflow_text::weight(compressed.body()));
    let again = Event::from_record(compressed.to_record(), &mut Means::memory()).unwrap();
    assert_eq!(
        (again.wire_body().held().unwrap(), whole(&again)),
        (compressed.wire_body().held().unwrap(), whole(&compressed))
    );
    let plain = event(received(Method::POST, None, &headers[..1], b"[1]")).unwrap();
    assert_eq!(plain.body_weight(), 3 + hookflow_text::weight(plain.body()));
    // A body of small parts takes many times its text.
    let dense = event(received(
        Method::POST,
        None,
        &headers[..1],
        &[b"[0".as_slice(), &b",0".repeat(9_999), b"]"].concat(),
    ))
    .unwrap();
    assert!(dense.body_weight() > 30 * dense.wire_body().held().unwrap().len(), "{}", dense.body_weight());
    let authenticated =
        auth("none").verify(received(Method::POST, None, &headers, &body), Timestamp::UNIX_EPOCH).unwrap();
    let refusal =
        decode(authenticated, &BodySpec::auto(10), route(), "e1", &mut Means::memory()).unwrap_err();
    assert_eq!(refusal, DecodeRefusal::TooLarge { limit: 10 });
}

#[test]
fn numbers_pass_whole() {
    let body = b"{\"id\":123456789012345678901234567890,\"amount\":10.10,\"rate\":0.1000000000000000055511151231257827}";
    let event = event(received(Method::POST, None, &[("content-type", b"application/json")], body)).unwrap();
    assert_eq!(read(&event, "body").unwrap().as_bytes(), body);
    let again = Event::from_record(event.to_record(), &mut Means::memory()).unwrap();
    assert_eq!(read(&again, "body").unwrap().as_bytes(), body);
}

#[test]
fn parts_of_a_form_are_fields_and_files() {
    let body = b"--b\r\nContent-Disposition: form-data; name=\"order[id]\"\r\n\r\nA-1\r\n--b\r\n\
        Content-Disposition: form-data; name=doc; filename=a.pdf\r\nContent-Type: application/pdf\r\n\r\n%PDF\xff\r\n--b--";
    let headers = [("content-type", b"multipart/form-data; boundary=b".as_slice())];
    let event = event(received(Method::POST, None, &headers, body)).unwrap();
    assert_eq!(read(&event, "body").as_deref(), Some("{\"order\":{\"id\":\"A-1\"}}"));
    assert_eq!(
        read(&event, "files").unwrap(),
        "[{\"name\":\"doc\",\"filename\":\"a.pdf\",\"type\":\"application/pdf\",\"size\":5,\
         \"sha256\":\"6624d21d981c6657e39c887f34e01b3db7ab5131937d598e39b589bde09a690e\"}]"
    );
    assert_eq!(whole(&Event::from_record(event.to_record(), &mut Means::memory()).unwrap()), whole(&event));
}

#[test]
fn a_record_keeps_the_shape_of_xml() {
    let shape =
        hookflow_expr::XmlShape { attributes: "_".into(), lists: vec!["a.b".into()], ..Default::default() };
    let spec = BodySpec::auto(100).with_xml(shape);
    let headers = [("content-type", b"text/xml".as_slice())];
    let received = received(Method::POST, None, &headers, b"<a x='1'><b/></a>");
    let authenticated = auth("none").verify(received, Timestamp::UNIX_EPOCH).unwrap();
    let event = decode(authenticated, &spec, route(), "e1", &mut Means::memory()).unwrap();
    assert_eq!(read(&event, "body").as_deref(), Some("{\"a\":{\"_x\":\"1\",\"b\":[\"\"]}}"));
    assert_eq!(whole(&Event::from_record(event.to_record(), &mut Means::memory()).unwrap()), whole(&event));
}

#[test]
fn the_query_is_the_body_of_get_and_delete() {
    for (method, expected) in
        [(Method::GET, "{\"a\":\"1\"}"), (Method::DELETE, "{\"a\":\"1\"}"), (Method::POST, "null")]
    {
        let event = event(received(method, Some("a=1"), &[], b"")).unwrap();
        assert_eq!(read(&event, "body").as_deref(), Some(expected));
    }
    let with_body = received(Method::DELETE, Some("a=1"), &[("content-type", b"application/json")], b"[2]");
    assert_eq!(read(&event(with_body).unwrap(), "body").as_deref(), Some("[2]"));
}

#[test]
fn a_damaged_record_is_a_fault() {
    let record = event(received(Method::GET, None, &[], b"")).unwrap().to_record();
    for (from, to) in [("{", "["), ("\"GET\"", "\"G T\""), ("\"auto\"", "\"jsn\""), ("192.0.2.1", "192.0.2")]
    {
        let damaged = EventRecord { head: record.head.replace(from, to), body: Bytes::new() };
        assert!(
            matches!(Event::from_record(damaged, &mut Means::memory()), Err(RecordFault::Head(_))),
            "{from}"
        );
    }
    let other_body = EventRecord { body: Bytes::from_static(b"x"), ..record };
    assert!(matches!(Event::from_record(other_body, &mut Means::memory()), Err(RecordFault::Body(_))));
}

#[test]
fn samples_become_the_events_they_describe() {
    let at = Timestamp::UNIX_EPOCH;
    let make = |sample: Sample, format: &str| {
        let spec = BodySpec::of_format(format, 1000).unwrap();
        Event::of_sample(sample, &spec, route(), "s1", at, "https://hooks.example".into())
    };
    let value = || SampleBody::Value(serde_json::json!({"id": "A-1", "items": [{"sku": "X"}]}));
    let query = serde_json::json!({"page": 1, "source": ["web", "app"]});
    for format in ["auto", "json", "form"] {
        let sample = Sample { query: query.clone(), body: value(), ..Sample::default() };
        let event = make(sample, format).unwrap();
        assert_eq!(
            read(&event, "body").as_deref(),
            Some("{\"id\":\"A-1\",\"items\":[{\"sku\":\"X\"}]}"),
            "{format}"
        );
        assert_eq!(read(&event, "query").as_deref(), Some("{\"page\":\"1\",\"source\":[\"web\",\"app\"]}"));
        assert_eq!((event.origin(), event.credential()), (Origin::Operator, None));
    }
    let document = serde_json::json!({"order": {"@id": "7", "item": ["A", "<B>"]}});
    let sample = Sample { body: SampleBody::Value(document.clone()), ..Sample::default() };
    assert_eq!(read(&make(sample, "xml").unwrap(), "body"), Some(document.to_string()));
    let sample = Sample { body: SampleBody::Value(serde_json::json!({"a": 1, "b": 2})), ..Sample::default() };
    assert_eq!(make(sample, "xml").unwrap_err().code().0, "body.media-type");
    let fields = serde_json::json!({"a \"b\"": "x\r\ny", "c": {"d": ["1", "2"]}});
    let sample = Sample { body: SampleBody::Value(fields.clone()), ..Sample::default() };
    assert_eq!(read(&make(sample, "multipart").unwrap(), "body"), Some(fields.to_string()));
    let text = Sample { body: SampleBody::Value("hello".into()), ..Sample::default() };
    assert_eq!(read(&make(text, "text").unwrap(), "body").as_deref(), Some("\"hello\""));
    let bytes = Sample { body: SampleBody::Bytes(Bytes::from_static(b"\xff")), ..Sample::default() };
    assert_eq!(read(&make(bytes, "bytes").unwrap(), "body").as_deref(), Some("null"));
    let wrong = Sample { body: SampleBody::Bytes(Bytes::from_static(b"{")), ..Sample::default() };
    assert_eq!(make(wrong, "json").unwrap_err().code().0, "body.malformed");
    let run = Event::of_run(serde_json::json!([1, "x"]), route(), "r1", at, "https://hooks.example".into())
        .unwrap();
    assert_eq!((read(&run, "body").as_deref(), run.origin()), (Some("[1,\"x\"]"), Origin::Run));
}

#[test]
fn a_spooled_body_gives_the_same_event_and_its_record_too() {
    let shelf = Shelf::new(1 << 22);
    let blobs = Arc::clone(&shelf) as Arc<dyn Blobs>;
    let big = vec![b'x'; 90_000];
    let form = [
        b"--b\r\nContent-Disposition: form-data; name=n\r\n\r\n1\r\n--b\r\nContent-Disposition: form-data; name=f; filename=a.bin\r\n\r\n".as_slice(),
        &big,
        b"\r\n--b\r\nContent-Disposition: form-data; name=g; filename=b.txt\r\nContent-Type: text/plain\r\n\r\nsmall\r\n--b--",
    ]
    .concat();
    let json = format!("[\"{}\",10.00]", "x".repeat(90_000)).into_bytes();
    let packed = |bytes: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut encoder, bytes).unwrap();
        encoder.finish().unwrap()
    };
    let plain: &[(&str, &[u8])] = &[];
    let gzip: &[(&str, &[u8])] = &[("content-encoding", b"gzip")];
    for (media_type, more, body, names) in [
        ("multipart/form-data; boundary=b", plain, form.clone(), 1),
        ("multipart/form-data; boundary=b", gzip, packed(&form), 1),
        ("application/json", plain, json.clone(), 1),
        ("application/json", gzip, packed(&json), 1),
        ("application/pdf", plain, big.clone(), 1),
    ] {
        let headers = [[("content-type", media_type.as_bytes())].as_slice(), more].concat();
        let in_memory = event(received(Method::POST, None, &headers, &body)).unwrap();
        let (mut asked, mut room) = (0, true);
        let mut decode_spooled = |wire: Body, room: bool| {
            let head = received(Method::POST, None, &headers, b"").head;
            let authenticated =
                auth("none").verify(Received { head, body: wire }, Timestamp::UNIX_EPOCH).unwrap();
            let mut take = |bytes| {
                asked += bytes;
                room
            };
            decode(
                authenticated,
                &BodySpec::auto(1 << 20),
                route(),
                "e1",
                &mut Means::new(Arc::clone(&blobs), &mut take),
            )
        };
        let wire = gather(&shelf, &body, 1_500).unwrap();
        let spooled = decode_spooled(wire.clone(), room).unwrap();
        assert_eq!(whole(&spooled), whole(&in_memory), "{media_type}");
        assert_eq!(spooled.blobs().count(), names, "{media_type}");
        let is_json = media_type.ends_with("json");
        let asks = media_type != "application/pdf";
        assert!(
            spooled.body_weight() < if is_json { 200_000 } else { 2_000 },
            "what is spooled takes no memory"
        );
        let record = spooled.to_record();
        assert!(record.head.len() < 3_000, "no content is in the record");
        let mut plenty = |_| true;
        let mut means = Means::new(Arc::clone(&blobs), &mut plenty);
        let again = Event::from_record(record.clone(), &mut means).unwrap();
        assert_eq!((whole(&again), again.to_record()), (whole(&spooled), record.clone()));
        assert!(Event::from_record(record, &mut Means::memory()).is_err());
        room = false;
        let refused = decode_spooled(wire, room).err().map(|why| why.code().0);
        assert_eq!(refused, asks.then_some("service.memory"));
        assert_eq!(asked > 0, asks, "{media_type}");
        drop((spooled, again));
    }
    assert_eq!(shelf.count(), 0, "nobody names a blob any more");
}

#[test]
fn a_raw_body_has_a_bound_and_a_disk_that_fails_is_said() {
    let shelf = Shelf::new(1 << 24);
    let headers = [("content-type", b"application/pdf".as_slice())];
    let spooled = |length: usize| {
        let head = received(Method::POST, None, &headers, b"").head;
        let body = gather(&shelf, &vec![b'x'; length], 1 << 20).unwrap();
        event(Received { head, body })
    };
    let large = spooled((10 << 20) + 1);
    let large = large.map(|event| read(&event, "raw")).unwrap_or_default();
    assert_eq!(large.as_deref(), Some("! `webhook.raw` is larger than 10 MiB: use `webhook.files`"));
    let event = spooled(70_000).unwrap();
    shelf.blobs.lock().unwrap().clear();
    assert_eq!(
        read(&event, "raw").as_deref(),
        Some("! `webhook.raw`: a blob cannot be read or written: it is gone")
    );
}

proptest! {
    #[test]
    fn a_record_gives_the_same_pdfback(
        body in proptest::collection::vec(any::<u8>(), 0..60),
        header in proptest::collection::vec(0x20_u8..=0xfe, 0..20),
        query in proptest::option::of("[a-z=&%\\[\\]0-9é]{0,30}"),
        media_type in proptest::sample::select(vec!["application/json", "text/plain", "image/png", "application/x-www-form-urlencoded", "text/xml"]),
        get in any::<bool>(),
    ) {
        let header: Vec<u8> = header.into_iter().filter(|byte| *byte != 0x7f).collect();
        let headers = [("content-type", media_type.as_bytes()), ("x-b", &header), ("x-a", b"1"), ("x-b", b"2")];
        let method = if get { Method::GET } else { Method::POST };
        if let Ok(event) = event(received(method, query.as_deref(), &headers, &body)) {
            let record = event.to_record();
            let again = Event::from_record(record.clone(), &mut Means::memory()).unwrap();
            prop_assert_eq!(whole(&again), whole(&event));
            prop_assert_eq!(again.wire_body().held().unwrap(), event.wire_body().held().unwrap());
            prop_assert_eq!(again.to_record(), record);
        }
    }
}
