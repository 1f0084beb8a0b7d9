//! The scheme against published and invented requests, against its own signatures, and against hostile ones.

use crate::body::tests::{Shelf, gather};
use crate::{Auth, Certificate, Credentials, Fetched, Head, Received, presets};
use bytes::Bytes;
use hookflow_text::{Diagnostics, Json, SecretRef, SecretSource, Source, parse};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use jiff::Timestamp;
use proptest::prelude::*;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use serde_json::json;
use std::sync::Arc;

const NOW: i64 = 1_760_000_000;

/// Hands out the secrets of a test under the names `0`, `1`, ….
struct Listed(Vec<String>);

impl SecretSource for Listed {
    fn resolve(&self, reference: &SecretRef) -> Result<Vec<u8>, String> {
        let SecretRef::Env(name) = reference else { return Err("no file here".into()) };
        let secret = name.parse::<usize>().ok().and_then(|index| self.0.get(index));
        secret.map(|secret| secret.clone().into_bytes()).ok_or_else(|| "it is not set".into())
    }
}

fn load(parameters: &str, secrets: &[&str]) -> (Option<Auth>, Credentials, Diagnostics) {
    let names = (0..secrets.len()).map(|index| format!("{{env: '{index}'}}")).collect::<Vec<_>>().join(", ");
    let listed = if secrets.is_empty() { String::new() } else { format!("secrets: [{names}]\n") };
    load_as("hmac", &format!("{listed}{parameters}"), secrets)
}

fn load_as(kind: &str, parameters: &str, secrets: &[&str]) -> (Option<Auth>, Credentials, Diagnostics) {
    let mut diagnostics = Diagnostics::default();
    let indented = parameters.replace('\n', "\n  ");
    let text = format!("it:\n  type: {kind}\n  {indented}\n");
    let node = parse(&Source::new("credentials.yaml", text), &mut diagnostics).unwrap();
    let secrets = Listed(secrets.iter().map(|&secret| secret.to_owned()).collect());
    let credentials = Credentials::load(&node, &secrets, &mut diagnostics);
    let name = parse(&Source::new("flow.yaml", "it"), &mut diagnostics).unwrap();
    let auth = Auth::load(&name, &credentials, &mut diagnostics);
    (auth, credentials, diagnostics)
}

fn auth(parameters: &str, secrets: &[&str]) -> Auth {
    let (auth, _, diagnostics) = load(parameters, secrets);
    auth.unwrap_or_else(|| panic!("{}", diagnostics.render(false)))
}

fn codes(parameters: &str) -> Vec<&'static str> {
    load(parameters, &["a secret of twenty bytes"]).2.codes()
}

fn head(url: &str) -> Head {
    let (scheme, rest) = url.split_once("://").unwrap();
    let (host, path) = rest.split_once('/').unwrap();
    let (path, query) =
        path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query.to_owned())));
    Head {
        method: Method::POST,
        path: format!("/{path}"),
        query,
        headers: HeaderMap::new(),
        ip: "192.0.2.1".parse().unwrap(),
        received_at: Timestamp::from_second(NOW).unwrap(),
        base_url: format!("{scheme}://{host}").into(),
    }
}

fn with(headers: &[(&str, &str)]) -> Head {
    let mut head = head("https://hooks.example.test/hook/shop");
    for (name, value) in headers {
        head.headers.append(
            HeaderName::from_bytes(name.as_bytes()).unwrap(),
            HeaderValue::from_bytes(value.as_bytes()).unwrap(),
        );
    }
    head
}

/// Why a request does not pass, or nothing when it does.
fn judge(auth: &Auth, head: Head, body: &[u8]) -> String {
    let received = Received { head, body: Bytes::copy_from_slice(body).into() };
    auth.verify(received, Timestamp::from_second(NOW).unwrap())
        .map_or_else(|refused| refused.reason(), |_| String::new())
}

/// A vector's credential: its preset with its secrets and its public key.
fn auth_of(vector: &Json) -> Auth {
    let preset = vector["preset"].as_str().unwrap();
    let secrets: Vec<&str> = match &vector["secret"] {
        Json::Array(list) => list.iter().map(|secret| secret.as_str().unwrap()).collect(),
        secret => secret.as_str().into_iter().collect(),
    };
    if preset == "basic-auth" {
        let (username, password) = secrets[0].split_once(':').unwrap();
        return load_as("basic", &format!("username: {username}\npassword: {{env: '0'}}"), &[password])
            .0
            .unwrap();
    }
    // A JSON text is a YAML text too.
    let key = vector.get("public_key").map(|key| format!("\npublic_key: {key}")).unwrap_or_default();
    auth(&format!("preset: {preset}{key}"), &secrets)
}

fn received_of(vector: &Json) -> Received {
    let text = |name: &str| vector[name].as_str().unwrap_or_default();
    let mut head = head(text("url"));
    head.method = text("method").parse().unwrap();
    for header in vector["headers"].as_array().unwrap() {
        let name = HeaderName::from_bytes(header[0].as_str().unwrap().as_bytes()).unwrap();
        head.headers.append(name, HeaderValue::from_bytes(header[1].as_str().unwrap().as_bytes()).unwrap());
    }
    let body = match text("body_encoding") {
        "base64" => crate::encoding::base64(text("body")).unwrap(),
        _ => text("body").as_bytes().to_vec(),
    };
    Received { head, body: body.into() }
}

fn vectors() -> Vec<Json> {
    let file: Json = serde_json::from_str(include_str!("../../../testdata/signature-vectors.json")).unwrap();
    file["vectors"].as_array().unwrap().clone()
}

#[test]
fn published_vectors_pass_and_fail_as_they_should() {
    let (mut judged, mut wrong) = (0, Vec::new());
    for vector in &vectors() {
        // An unsigned handshake is answered before anything is verified.
        if vector["kind"] == "handshake" && vector["method"] == "GET" {
            continue;
        }
        let now = Timestamp::from_second(vector["now"].as_i64().unwrap()).unwrap();
        let result = auth_of(vector).verify(received_of(vector), now);
        let expected = &vector["valid"];
        judged += 1;
        if expected.as_bool().is_some_and(|valid| valid != result.is_ok()) {
            let why = result.err().map(|it| it.reason());
            wrong.push(format!("{}: expected {expected}, {why:?}", vector["id"]));
        }
    }
    assert!(wrong.is_empty(), "{} of {judged}:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(judged, 185);
}

#[test]
fn every_preset_accepts_what_it_signs() {
    const CERTIFIED: [&str; 2] = ["aws_sns", "paypal"];
    let mut cannot = Vec::new();
    for preset in presets() {
        let name = preset.name();
        let parameters = preset.parameters();
        if parameters.contains("ed25519") || parameters.contains("ecdsa") || CERTIFIED.contains(&name) {
            continue;
        }
        let (auth, credentials, diagnostics) = load(&format!("preset: {name}"), &[HEX]);
        assert!(diagnostics.is_empty(), "{}", diagnostics.render(false));
        let (auth, credential) = (auth.unwrap(), credentials.get("it").unwrap());
        assert_eq!(credential.preset().map(crate::Preset::name), Some(name));
        let now = Timestamp::from_second(NOW).unwrap();
        let body = format!("{{\"webhookTimestamp\":{}}}", now.as_millisecond());
        let mut signed = head("https://hooks.example.test/hook/shop?a=1");
        if credential.sign(&mut signed, body.as_bytes(), now).is_err() {
            cannot.push(name);
            continue;
        }
        assert_eq!(judge(&auth, signed.clone(), body.as_bytes()), "", "{name}");
        let signs = preset.kind() == "hmac";
        let altered = body.replace('}', " }");
        assert_eq!(judge(&auth, signed.clone(), altered.as_bytes()).is_empty(), !signs, "{name}");
        let late = now + jiff::SignedDuration::from_hours(1);
        let received = Received { head: signed, body: body.into() };
        let window =
            !parameters.contains("tolerance: none") && parameters.to_lowercase().contains("tolerance: ");
        assert_eq!(auth.verify(received, late).is_err(), window, "{name}");
    }
    assert_eq!(cannot, ["adyen_payments", "braintree", "mailgun_form", "mailgun_json", "microsoft_graph"]);
}

#[test]
fn a_public_key_takes_the_place_of_a_secret() {
    const KEY: &str = "8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c";
    let (_, credentials, diagnostics) =
        load_as("hmac", &format!("preset: discord\npublic_key: [{KEY}, {{env: '0'}}]"), &[HEX]);
    assert!(diagnostics.is_empty(), "{}", diagnostics.render(false));
    let cannot = credentials.get("it").unwrap().sign(&mut with(&[]), b"", Timestamp::UNIX_EPOCH);
    assert_eq!(cannot.unwrap_err().to_string(), "only the sender has the private key");
    for (parameters, expected) in [
        ("preset: discord", &["auth.public-key"][..]),
        ("preset: discord\npublic_key: 8a88", &["auth.public-key"]),
        ("preset: discord\npublic_key: []", &["yaml.type"]),
        ("preset: discord\nsecret: {env: '0'}", &["auth.public-key", "yaml.unknown-key"]),
        ("preset: github\npublic_key: 8a88\nsecret: {env: '0'}", &["yaml.unknown-key"]),
        ("preset: aws_sns\nsecret: {env: '0'}", &[]),
        ("preset: paypal\nsecret: {env: '0'}\npublic_key: MFkw", &["auth.public-key"]),
        ("header: a\nalgorithm: ed25519", &["auth.public-key"]),
        ("header: a\nalgorithm: ed25519\npublic_key: AAAA", &["auth.public-key"]),
        ("header: a\nalgorithm: ed25519\npublic_key: 7UkoxijRwsbq6QM4kFmVYSlZJzpcY/k2NsFGFKyHN9E=", &[]),
    ] {
        assert_eq!(load_as("hmac", parameters, &[HEX]).2.codes(), expected, "{parameters}");
    }
}

const SNS_URL: &str = "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-1.pem";
const SNS_PEM: &[u8] = include_bytes!("../../../testdata/sns.pem");

/// A notification as Amazon signs it, with the certificate at this URL.
fn notification(url: &str) -> String {
    let content =
        "Message\nhello\nMessageId\n1\nTimestamp\nt\nTopicArn\narn:aws:sns:topic\nType\nNotification\n";
    let key = String::from_utf8_lossy(include_bytes!("../../../testdata/sns.key")).into_owned();
    let der: String = key.lines().filter(|line| !line.starts_with('-')).collect();
    let key = RsaKeyPair::from_pkcs8(&crate::encoding::base64(&der).unwrap()).unwrap();
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), content.as_bytes(), &mut signature).unwrap();
    let signature = crate::encoding::to_base64(&signature);
    json!({
        "Type": "Notification", "Message": "hello", "MessageId": "1", "Timestamp": "t", "TopicArn": "arn:aws:sns:topic",
        "SignatureVersion": "2", "SigningCertURL": url, "Signature": signature,
    })
    .to_string()
}

#[test]
fn without_a_public_key_the_certificate_is_asked_for() {
    let auth = auth("preset: aws_sns", &["arn:aws:sns:topic"]);
    assert!(auth.fetches());
    let body = notification(SNS_URL);
    let ask = |body: &str, now: Timestamp, fetched: &Fetched| {
        let received = Received { head: with(&[]), body: body.to_owned().into() };
        auth.verify_with(received, now, fetched)
            .map_err(|why| (why.not_fetched().map(str::to_owned), why.reason()))
    };
    let with_it = |url: &str, pem: &[u8]| {
        let mut fetched = Fetched::default();
        fetched.add(url.to_owned(), Arc::new(Certificate::read(pem).unwrap()));
        fetched
    };
    let now: Timestamp = "2030-01-01T00:00:00Z".parse().unwrap();
    let (url, reason) = ask(&body, now, &Fetched::default()).unwrap_err();
    assert_eq!(url.as_deref(), Some(SNS_URL));
    assert_eq!(reason, format!("it: the certificate at {SNS_URL} was not fetched"));
    let right = with_it(SNS_URL, SNS_PEM);
    assert_eq!(ask(&body, now, &right).unwrap().replay.unwrap().id, "1");
    // What is at another URL says nothing about this one.
    assert!(
        ask(&body, now, &with_it("https://sns.eu-west-1.amazonaws.com/b.pem", SNS_PEM))
            .unwrap_err()
            .0
            .is_some()
    );
    for (body, now) in [
        (body.replace("hello", "hellO"), now),
        (body.replace("arn:aws:sns:topic", "arn:aws:sns:other"), now),
        (body.replace(SNS_URL, "https://sns.eu-west-1.amazonaws.com.evil.test/a.pem"), now),
        (body.clone(), "2019-01-01T00:00:00Z".parse().unwrap()),
        (body.clone(), "2130-01-01T00:00:00Z".parse().unwrap()),
    ] {
        assert_eq!(ask(&body, now, &right).unwrap_err().0, None, "{body} {now}");
        // Nor does a stranger make us fetch anything.
        let asks = now.strftime("%Y").to_string() != "2030" || body.contains("hellO");
        assert_eq!(ask(&body, now, &Fetched::default()).unwrap_err().0.is_some(), asks, "{body} {now}");
    }
    let stranger = vectors().into_iter().find(|vector| vector["id"] == "paypal-ok").unwrap();
    let stranger = with_it(SNS_URL, stranger["public_key"].as_str().unwrap().as_bytes());
    assert_eq!(
        ask(&body, now, &stranger).unwrap_err().1,
        "it: the sender's certificate is not what the credential requires"
    );
}

#[test]
fn paypals_certificate_is_asked_for_as_well() {
    let vector = vectors().into_iter().find(|vector| vector["id"] == "paypal-ok").unwrap();
    let auth = auth("preset: paypal", &[vector["secret"].as_str().unwrap()]);
    let now: Timestamp = "2030-01-01T00:00:00Z".parse().unwrap();
    let refused = auth.verify(received_of(&vector), now).unwrap_err();
    let url = refused.not_fetched().unwrap().to_owned();
    assert!(url.starts_with("https://api.paypal.com/v1/notifications/certs/"), "{url}");
    for (pem, passes) in [(vector["public_key"].as_str().unwrap().as_bytes(), true), (SNS_PEM, false)] {
        let mut fetched = Fetched::default();
        fetched.add(url.clone(), Arc::new(Certificate::read(pem).unwrap()));
        let verdict = auth.verify_with(received_of(&vector), now, &fetched);
        assert_eq!(verdict.map_err(|why| why.not_fetched().is_some()).err(), (!passes).then_some(false));
    }
}

#[test]
fn a_body_that_is_signed_uncompressed_is_decoded_within_bounds() {
    let auth = auth("header: a\nbody: content_decoded", &[HEX]);
    let right = {
        let (_, credentials, _) = load("header: a", &[HEX]);
        let mut signed = with(&[]);
        credentials.get("it").unwrap().sign(&mut signed, b"{}", Timestamp::UNIX_EPOCH).unwrap();
        signed.headers["a"].to_str().unwrap().to_owned()
    };
    let gzip = crate::encoding::hex("1f8b0800000000000203abae050043bfa6a302000000").unwrap();
    for (coding, body, expected) in [
        ("gzip", gzip.as_slice(), ""),
        ("identity", b"{}".as_slice(), ""),
        ("gzip", b"{}", "it: the content encoding cannot be read"),
        ("zip", b"{}", "it: the content encoding cannot be read"),
        (
            "identity",
            &vec![b' '; (1 << 20) + 1],
            "it: the body is too large to be read before its sender is known",
        ),
    ] {
        let head = with(&[("a", &right), ("content-encoding", coding)]);
        assert_eq!(judge(&auth, head, body), expected, "{coding}");
    }
    assert_eq!(codes("header: a\nbody: decoded"), ["yaml.word"]);
}

/// Of a batch, each item is signed by itself.
#[test]
fn a_batch_passes_when_every_item_does() {
    let vectors = vectors();
    let vector = vectors.iter().find(|vector| vector["id"] == "adyen-tampered-amount").unwrap();
    let auth = auth_of(vector);
    let forged = vector["body"].as_str().unwrap();
    let right = forged.replace("1131", "1130");
    let item = |body: &str| {
        let body: Json = serde_json::from_str(body).unwrap();
        body["notificationItems"][0].to_string()
    };
    let batch = |items: &[&str]| format!("{{\"notificationItems\":[{}]}}", items.join(","));
    let (good, bad) = (item(&right), item(forged));
    for (body, expected) in [
        (batch(&[&good, &good]), ""),
        (batch(&[&good, &bad]), "it: no secret fits"),
        (batch(&[&bad, &good]), "it: no secret fits"),
        (batch(&[&good, "{}"]), "it: an item of `notificationItems` is missing"),
        (batch(&[]), "it: an item of `notificationItems` is missing"),
        (
            batch(&[&good.replace("\"EUR\"", "\"EUR:x\"")]),
            "it: `amount/currency` of an item is not what the credential requires",
        ),
        (batch(&[&good.replace("hmacSignature", "other")]), "it: the `hmacSignature` of an item is missing"),
        ("[]".into(), "it: an item of `notificationItems` is missing"),
    ] {
        assert_eq!(judge(&auth, with(&[]), body.as_bytes()), expected, "{body}");
    }
}

#[test]
fn parameters_written_out_work_like_presets() {
    for (algorithm, encoding, prefix) in [
        ("sha256", "hex", ""),
        ("hmac-sha256", "base64", "sha256="),
        ("sha512", "base64url", ""),
        ("sha1", "hex", "x "),
    ] {
        let parameters =
            format!("header: X-Signature\nalgorithm: {algorithm}\nencoding: {encoding}\nprefix: '{prefix}'");
        let (auth, credentials, diagnostics) =
            load(&parameters, &["a secret of twenty bytes", "the old one, still good"]);
        assert!(diagnostics.is_empty(), "{}", diagnostics.render(false));
        let auth = auth.unwrap();
        for body in [b"".as_slice(), b"\0\xff\r\n", "Zoë 10.00".as_bytes()] {
            let mut signed = with(&[]);
            credentials.get("it").unwrap().sign(&mut signed, body, Timestamp::UNIX_EPOCH).unwrap();
            assert_eq!(judge(&auth, signed, body), "");
        }
    }
}

/// Twilio signs the URL alone where the body is JSON, and its hash stands there: with the body cut away, that is what it
/// signs of a form without fields, with the same secret.
#[test]
fn a_json_body_cannot_be_cut_away_to_look_like_a_form() {
    let form = auth("preset: twilio_form", &[HEX]);
    let (json, credentials, _) = load("preset: twilio_json", &[HEX]);
    let mut signed = head("https://hooks.example.test/hook/shop?a=1");
    credentials.get("it").unwrap().sign(&mut signed, b"{}", Timestamp::UNIX_EPOCH).unwrap();
    assert_eq!(judge(&json.unwrap(), signed.clone(), b"{}"), "");
    assert_eq!(judge(&form, signed, b""), "it: the query's `bodySHA256` is not what the credential requires");
    let (_, credentials, _) = load("preset: twilio_form", &[HEX]);
    let mut signed = head("https://hooks.example.test/hook/shop?a=1");
    credentials.get("it").unwrap().sign(&mut signed, b"", Timestamp::UNIX_EPOCH).unwrap();
    assert_eq!(judge(&form, signed, b""), "");
}

#[test]
fn every_secret_of_a_list_fits() {
    let (_, old, _) = load("preset: github", &["the old one, still good"]);
    let both = auth("preset: github", &["a secret of twenty bytes", "the old one, still good"]);
    let mut signed = with(&[]);
    old.get("it").unwrap().sign(&mut signed, b"x", Timestamp::UNIX_EPOCH).unwrap();
    assert_eq!(judge(&both, signed, b"x"), "");
}

#[test]
fn refusals_have_a_reason_for_the_operator_alone() {
    const RIGHT: &str = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    let auth = auth("preset: github", &["It's a Secret to Everybody"]);
    let body = b"Hello, World!";
    for (headers, expected) in [
        (&[("x-hub-signature-256", RIGHT)][..], ""),
        (&[], "it: the header `x-hub-signature-256` is missing"),
        (&[("x-hub-signature-256", "")], "it: the signature cannot be read"),
        (&[("x-hub-signature-256", "sha256=")], "it: the signature cannot be read"),
        (&[("x-hub-signature-256", "sha256=00")], "it: no secret fits"),
        (&[("x-hub-signature-256", "sha256=0")], "it: the signature cannot be read"),
        (&[("x-hub-signature-256", "sha1=00")], "it: the signature cannot be read"),
        (&[("x-hub-signature-256", "é")], "it: the header `x-hub-signature-256` cannot be read"),
        (
            &[("x-hub-signature-256", RIGHT), ("x-hub-signature-256", RIGHT)],
            "it: the header `x-hub-signature-256` came more than once",
        ),
    ] {
        assert_eq!(judge(&auth, with(headers), body), expected, "{headers:?}");
    }
    assert_eq!(judge(&auth, with(&[("x-hub-signature-256", RIGHT)]), b"Hello, World"), "it: no secret fits");
    assert!(auth.verify_head(&with(&[])).is_err());
    assert!(auth.verify_head(&with(&[("x-hub-signature-256", RIGHT)])).is_ok());
}

/// Timestamps in each format, and what is said of them.
fn timestamps() -> Vec<(&'static str, String, &'static str)> {
    let ms = NOW * 1000;
    let old = "it: the timestamp is 301 s old, which is too old by 1 s";
    let new = "it: the timestamp is 301 s ahead, which is too new by 1 s";
    let unreadable = "it: the timestamp cannot be read";
    let seconds = [(NOW, ""), (NOW - 300, ""), (NOW + 300, ""), (NOW - 301, old), (NOW + 301, new)];
    let mut cases: Vec<_> = seconds.map(|(at, expected)| ("unix", at.to_string(), expected)).into();
    cases.extend(seconds.map(|(at, expected)| ("unix_ms", (at * 1000).to_string(), expected)));
    cases.push((
        "unix_ms",
        (ms - 300_001).to_string(),
        "it: the timestamp is 300 s old, which is too old by 1 s",
    ));
    cases.push((
        "unix_ms",
        (ms + 300_001).to_string(),
        "it: the timestamp is 300 s ahead, which is too new by 1 s",
    ));
    // One unit in place of the other.
    cases.push((
        "unix",
        ms.to_string(),
        "it: the timestamp is 1758240000000 s ahead, which is too new by 1758239999700 s",
    ));
    cases.push((
        "unix_ms",
        NOW.to_string(),
        "it: the timestamp is 1758240000 s old, which is too old by 1758239700 s",
    ));
    for text in [
        "NaN",
        "nan",
        "inf",
        "-0",
        "-1",
        "-1760000000",
        "+1760000000",
        "1760000000.0",
        "1.76e9",
        "0x68e77840",
        "1_760_000_000",
        "1760000000 ",
        "1760000000,1760000000",
        "9223372036854775807",
        "9223372036854775808",
        "18446744073709551616",
        "99999999999999999",
        "null",
    ] {
        cases.push(("unix", text.to_owned(), unreadable));
        cases.push(("unix_ms", text.to_owned(), unreadable));
    }
    for (text, expected) in [
        ("2025-10-09T08:53:20Z", ""),
        ("2025-10-09T10:53:20.123456789+02:00", ""),
        ("2025-10-09T08:48:19Z", old),
        ("2025-10-09T08:58:21Z", new),
        ("2025-10-09T08:53:20", unreadable),
        ("1760000000", unreadable),
        ("2025-13-09T08:53:20Z", unreadable),
        ("99999-10-09T08:53:20Z", unreadable),
        ("NaN", unreadable),
    ] {
        cases.push(("rfc3339", text.to_owned(), expected));
    }
    cases
}

/// Each timestamp is under a right signature: nothing but the window decides.
#[test]
fn no_clock_opens_the_window() {
    let (_, sender, _) = load("header: x-signature\ncontent: '{header:x-time}{body}'", &[HEX]);
    for (format, text, expected) in &timestamps() {
        let window = format!("timestamp: {{header: x-time, format: {format}, tolerance: 5m}}");
        let auth = auth(&format!("header: x-signature\ncontent: '{{timestamp}}{{body}}'\n{window}"), &[HEX]);
        let mut signed = with(&[("x-time", text)]);
        sender.get("it").unwrap().sign(&mut signed, b"x", Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(judge(&auth, signed.clone(), b"x"), *expected, "{format} {text}");
        // Nor does a clock of ours that is set to nonsense.
        for now in [Timestamp::MIN, Timestamp::MAX] {
            let received = Received { head: signed.clone(), body: Bytes::from_static(b"x").into() };
            assert!(auth.verify(received, now).is_err(), "{format} {text}");
        }
    }
}

/// One that compares as true with everything, or reaches one way only, is none.
#[test]
fn a_tolerance_is_a_time() {
    for tolerance in
        ["NaN", ".nan", ".inf", "inf", "-5m", "-1", "null", "''", "true", "9223372036854775808s", "5 parsecs"]
    {
        let window = format!("timestamp: {{header: x-time, tolerance: {tolerance}}}");
        let codes = codes(&format!("header: a\ncontent: '{{timestamp}}.{{body}}'\n{window}"));
        assert_eq!(codes.len(), 1, "{tolerance}: {codes:?}");
    }
}

#[test]
fn a_spooled_body_is_judged_piece_by_piece_or_whole_up_to_a_bound() {
    let shelf = Shelf::new(1 << 26);
    let now = Timestamp::from_second(NOW).unwrap();
    let verdict = |auth: &Auth, head: &Head, bytes: &[u8]| {
        let received = Received { head: head.clone(), body: gather(&shelf, bytes, 1 << 16).unwrap() };
        auth.verify(received, now).map_or_else(|why| why.word(), |_| "fits")
    };
    let mut bytes = vec![b'x'; 11 << 20];
    for (parameters, word) in [
        ("preset: github", "fits"),
        ("preset: stripe", "fits"),
        ("header: a\ncontent: '{url}'\nbody_hash: {query: h}", "fits"),
        // Who needs all of it at once takes it to a bound.
        ("header: a\nbody: content_decoded", "too-large"),
        ("preset: contentful", "too-large"),
    ] {
        let (auth, credentials, _) = load(parameters, &[HEX]);
        let auth = auth.unwrap();
        let sign = |bytes: &[u8]| {
            let mut head = with(&[]);
            credentials.get("it").unwrap().sign(&mut head, bytes, now).unwrap();
            head
        };
        let head = sign(&bytes);
        assert_eq!(verdict(&auth, &head, &bytes), word, "{parameters}");
        bytes[6 << 20] ^= 1;
        if word == "fits" {
            let wrong = verdict(&auth, &head, &bytes);
            assert!(matches!(wrong, "mismatch" | "unexpected"), "{parameters}: {wrong}");
        }
        let less = &bytes[..100_000];
        assert_eq!(verdict(&auth, &sign(less), less), "fits", "{parameters}");
    }
    let (auth, credentials, _) = load("preset: github", &[HEX]);
    let mut head = with(&[]);
    credentials.get("it").unwrap().sign(&mut head, &bytes, now).unwrap();
    let body = gather(&shelf, &bytes, 1 << 20).unwrap();
    shelf.blobs.lock().unwrap().clear();
    let refused = auth.unwrap().verify(Received { head, body }, now).unwrap_err();
    assert!(refused.fault().is_some(), "a disk that fails is not the sender's fault");
}

#[test]
fn a_signed_id_comes_out_and_cannot_hide_a_separator() {
    let (auth, credentials, _) = load("preset: standard-webhooks", &[HEX]);
    let (auth, credential) = (auth.unwrap(), credentials.get("it").unwrap());
    let now = Timestamp::from_second(NOW).unwrap();
    let mut signed = with(&[("webhook-id", "msg_1")]);
    credential.sign(&mut signed, b"{}", now).unwrap();
    let passed = auth.verify(Received { head: signed, body: Bytes::from_static(b"{}").into() }, now).unwrap();
    let replay = passed.replay.unwrap();
    assert_eq!((replay.id.as_str(), replay.remember.as_secs()), ("msg_1", 600));
    assert!(passed.head.headers.contains_key("webhook-signature"));
    let mut dotted = with(&[("webhook-id", "msg.1")]);
    assert!(credential.sign(&mut dotted, b"{}", now).is_err());
}

#[test]
fn mistakes_in_the_file_are_named() {
    for (parameters, expected) in [
        ("preset: githob", "auth.unknown-preset"),
        ("preset: github\nheader: x-mine", "auth.preset-parameter"),
        ("encoding: hex", "auth.no-signature"),
        ("signature: {encoding: hex}", "auth.no-signature"),
        ("signature: {header: a, headers: [b]}", "auth.no-signature"),
        ("signature: {header: a, form: b}", "auth.place"),
        ("header: 'not a name'", "auth.header-name"),
        ("header: a\nsignature: {header: b}", "yaml.unknown-key"),
        ("header: a\nalgorithm: sha265", "yaml.word"),
        ("header: a\nencoding: b64", "yaml.word"),
        ("header: a\ncolour: red", "yaml.unknown-key"),
        ("header: a\ncontent: '{bdoy}'", "auth.content"),
        ("header: a\ncontent: '{body'", "auth.content"),
        ("header: a\ncontent: 'x{timestamp}{body}'", "auth.content"),
        ("header: a\ncontent: '{secret}{body}'", "auth.content"),
        ("header: a\nalgorithm: keyed-sha256", "auth.content"),
        ("header: a\ncontent: '{url}'", "auth.body-not-signed"),
        ("header: a\nbody_hash: {query: h}", "auth.body-not-signed"),
        ("header: a\ncontent: '{url}'\nbody_hash: {query: h, optional: true}", "auth.body-not-signed"),
        ("header: a\ntimestamp: {header: t}", "auth.timestamp-not-signed"),
        ("header: a\ncontent: '{timestamp}{body}'\ntimestamp: {kv: t}", "auth.place"),
        ("header: a\nid: {header: b}", "auth.id-not-signed"),
        ("header: a\nid: {}", "auth.place"),
        ("header: a\nkey: {decode: hex}", "secret.encoding"),
        ("signature: {header: a, kv: {separator: ',', key: ''}}", "yaml.type"),
        (
            "signature: {header: a, kv: {separator: ',', key: v}, pairs: {separator: a, tag_separator: b}}",
            "auth.layout",
        ),
    ] {
        assert_eq!(codes(parameters), [expected], "{parameters}");
    }
    let (_, _, diagnostics) = load("preset: githob", &["a secret of twenty bytes"]);
    assert!(diagnostics.render(false).contains("did you mean `github`?"));
    assert_eq!(load("preset: github", &["short"]).2.codes(), ["secret.short"]);
}

/// Sixty-four hex digits: a secret that is also hex and base64.
const HEX: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

proptest! {
    #[test]
    fn no_wrong_signature_passes(
        signature in "([0-9a-f]{64}|[0-9A-Za-z+/=]{0,90}|sha256=[0-9a-f]{0,70}|[ -~]{0,40})",
        body in proptest::collection::vec(any::<u8>(), 0..40),
        preset in proptest::sample::select(vec!["github", "shopify", "hmac_raw", "stripe", "svix", "slack", "x"]),
    ) {
        let auth = auth(&format!("preset: {preset}"), &[HEX]);
        let stamped = format!("t={NOW},v1={signature}");
        let head = with(&[
            ("x-hub-signature-256", &signature), ("x-shopify-hmac-sha256", &signature), ("x-signature", &signature),
            ("stripe-signature", &stamped), ("svix-signature", &format!("v1,{signature}")), ("svix-id", "1"),
            ("svix-timestamp", &NOW.to_string()), ("x-slack-signature", &format!("v0={signature}")),
            ("x-slack-request-timestamp", &NOW.to_string()), ("x-twitter-webhooks-signature", &signature),
        ]);
        prop_assert_ne!(judge(&auth, head, &body), "");
    }

    #[test]
    fn hostile_requests_never_panic(
        index in 0..presets().len(),
        values in proptest::collection::vec(proptest::collection::vec(0x20_u8..=0xfe, 0..60), 3),
        body in "(\\PC{0,60}|\\{\"signature\":\\{\"signature\":[0-9a-z\"]{0,9}\\}|bt_signature=[a-f|&0-9%]{0,40})",
    ) {
        let preset = &presets()[index];
        let loaded = load(&format!("preset: {}", preset.name()), &[HEX]).0;
        // Those with a public key have vectors of their own.
        let Some(auth) = loaded else { return Ok(()) };
        let mut head = with(&[]);
        let parameters = preset.parameters();
        let words = parameters.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
        for (word, value) in words.filter(|word| word.contains('-')).zip(values.iter().cycle()) {
            let value = value.iter().copied().filter(|byte| *byte != 0x7f).collect::<Vec<_>>();
            if let Ok(name) = HeaderName::from_bytes(word.as_bytes()) {
                head.headers.append(name, HeaderValue::from_bytes(&value).unwrap());
            }
        }
        prop_assert_ne!(judge(&auth, head, body.as_bytes()), "");
    }
}
