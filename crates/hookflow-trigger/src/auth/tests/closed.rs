//! No configuration that loads lets a bad request through: whatever the credentials, what their sender signs passes,
//! and nothing that is near it.

use crate::{Auth, Credential, Credentials, Head, Received, presets};
use bytes::Bytes;
use hookflow_text::{Diagnostics, SecretRef, SecretSource, Source, parse};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use jiff::Timestamp;
use proptest::prelude::*;
use sha2::{Digest as _, Sha256};
use std::time::Duration;

const NOW: i64 = 1_760_000_000;
const ED25519: &str = "8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c";
const ED25519_BASE64: &str = "7UkoxijRwsbq6QM4kFmVYSlZJzpcY/k2NsFGFKyHN9E=";
const P256: &str = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE83T4O/n84iotIvIW4mdBgQ/7dAfSmpqIM8kF9mN1flpVKS3GRqe62gw+2fNNRaINXvVpiglSI8eNEc6wEA3F+g==";
/// What stands in place of a proof when somebody hopes that nobody looks.
const JUNK: [&str; 16] = [
    "",
    "0",
    "null",
    "none",
    "undefined",
    "sha256=",
    "v0=",
    "v1=",
    "v1,",
    "v1a,",
    "t=1,v1=",
    "key|",
    "Bearer ",
    "Bearer null",
    "Basic Og==",
    "Basic ",
];
/// Secrets that receivers have been seen to use when theirs was not there. A zero byte is as good as no key.
const FALLBACKS: [&[u8]; 9] =
    [b"0", b"null", b"undefined", b"{env: '0'}", b"env:0", b"\0", b"00", b"0000", b"AAAA"];

/// Secrets by seed and name, alike for every way of decoding them; or one for all.
struct Vault {
    seed: u64,
    fallback: Option<&'static [u8]>,
}

impl SecretSource for Vault {
    fn resolve(&self, reference: &SecretRef) -> Result<Vec<u8>, String> {
        let SecretRef::Env(name) = reference else { return Err("no file here".into()) };
        match (name.as_str(), self.fallback) {
            ("EMPTY", _) => Ok(Vec::new()),
            ("PREFIX", _) => Ok(b"whsec_".to_vec()),
            ("0" | "1" | "2", Some(secret)) => Ok(secret.to_vec()),
            ("0" | "1" | "2", None) => {
                let digest = Sha256::digest(format!("{} {name}", self.seed));
                Ok(crate::encoding::to_hex(&digest).into_bytes())
            }
            _ => Err("it is not set".into()),
        }
    }
}

/// A credential as a file writes it.
#[derive(Debug, Clone)]
struct Written {
    text: String,
    /// The parameters, where a preset stands for them.
    meaning: String,
    signs: bool,
}

impl Written {
    fn new(kind: &str, parameters: &str) -> Self {
        let text = format!("{{type: {kind}, {parameters}}}");
        Self { meaning: text.clone(), text, signs: kind == "hmac" }
    }

    fn has_window(&self) -> bool {
        !self.meaning.contains("tolerance: none") && self.meaning.to_lowercase().contains("tolerance: ")
    }

    /// Whether several signatures may come, of which one has to be right.
    fn takes_several(&self) -> bool {
        ["list:", "kv:", "pairs:", "headers:", "numbered:"].iter().any(|word| self.meaning.contains(word))
    }
}

fn load(credentials: &[Written], vault: &Vault) -> (Option<Auth>, Credentials, Diagnostics) {
    let mut diagnostics = Diagnostics::default();
    let lines: Vec<_> =
        credentials.iter().enumerate().map(|(at, it)| format!("c{at}: {}\n", it.text)).collect();
    let root = parse(&Source::new("credentials.yaml", lines.concat()), &mut diagnostics).unwrap();
    let loaded = Credentials::load(&root, vault, &mut diagnostics);
    let names: Vec<_> = (0..credentials.len()).map(|at| format!("c{at}")).collect();
    let node = parse(&Source::new("flow.yaml", format!("[{}]", names.join(", "))), &mut diagnostics).unwrap();
    let auth = Auth::load(&node, &loaded, &mut diagnostics);
    (auth, loaded, diagnostics)
}

fn secrets() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "secret: {env: '0'}",
        "secrets: [{env: '0'}]",
        "secrets: [{env: '0'}, {env: '1'}]",
        "secrets: [{env: '2'}, {env: '0'}, {env: '1'}]",
    ])
}

fn simple() -> impl Strategy<Value = Written> {
    let place = prop::sample::select(vec![
        ("api_key", "header: X-Key"),
        ("api_key", "query: api_key"),
        ("token", "header: X-Token"),
        ("token", "bearer: true"),
        ("token", "query: token"),
        ("token", "json: 'value[].clientState'"),
    ]);
    let with_secrets = (place, secrets()).prop_map(|((kind, place), secrets)| {
        let secrets = if kind == "api_key" { secrets.replace("secret", "key") } else { secrets.to_owned() };
        Written::new(kind, &format!("{place}, {secrets}"))
    });
    prop_oneof![
        4 => with_secrets,
        1 => Just(Written::new("basic", "username: acme, password: {env: '0'}")),
    ]
}

fn signed() -> impl Strategy<Value = Written> {
    let encoding = prop::sample::select(vec!["hex", "base64", "base64url"]);
    let algorithm = prop::sample::select(vec!["sha256", "hmac-sha256", "sha1", "sha512", "keyed-sha256"]);
    let layout = prop::sample::select(vec![
        "header: X-Signature, encoding: ENC",
        "header: X-Signature, encoding: ENC, prefix: 'sha256='",
        "header: Authorization, encoding: ENC, prefix: 'HMAC '",
        "signature: {headers: [X-Signature, X-Signature-2], encoding: ENC}",
        "signature: {header: X-Signature, encoding: ENC, kv: {separator: ',', key: v1}}",
        "signature: {header: X-Signature, encoding: ENC, list: {separator: ' ', tag: v1, tag_separator: ','}}",
    ]);
    let content = prop::sample::select(vec![
        "{body}",
        "{body}.{url}",
        "{method} {url} {body}",
        "{header:x-id}.{body}",
        "{timestamp}.{body}",
        "{header:x-id}.{timestamp}.{body}",
        "v0:{timestamp}:{body}",
    ]);
    let format = prop::sample::select(vec!["unix", "unix_ms", "rfc3339"]);
    let tolerance = prop::sample::select(vec!["5m", "30s", "none"]);
    let key = prop::sample::select(vec![
        "",
        ", key: {decode: hex}",
        ", key: {hash: sha1}",
        ", key: {decode: base64}",
    ]);
    let body = prop::sample::select(vec!["", ", body: content_decoded", ", url_ports: both"]);
    ((encoding, algorithm, layout, content), (format, tolerance, key, body), secrets()).prop_map(
        |((encoding, algorithm, layout, content), (format, tolerance, key, body), secrets)| {
            let layout = layout.replace("ENC", encoding);
            let place = if layout.contains("kv:") { "kv: t" } else { "header: X-Time" };
            let window = if content.contains("{timestamp}") {
                format!(", timestamp: {{{place}, format: {format}, tolerance: {tolerance}}}")
            } else {
                String::new()
            };
            let secret = if algorithm == "keyed-sha256" { "{secret}" } else { "" };
            let content = format!("content: '{secret}{content}'");
            Written::new(
                "hmac",
                &format!("{layout}, algorithm: {algorithm}, {content}{window}{key}{body}, {secrets}"),
            )
        },
    )
}

fn preset() -> impl Strategy<Value = Written> {
    (prop::sample::select(presets().iter().collect::<Vec<_>>()), secrets()).prop_map(|(preset, secrets)| {
        let meaning = preset.parameters();
        let proof = match () {
            () if meaning.contains("ecdsa") => format!("public_key: {P256}"),
            () if meaning.contains("ed25519") && meaning.contains("decode: hex") => {
                format!("public_key: {ED25519}")
            }
            () if meaning.contains("ed25519") => format!("public_key: {ED25519_BASE64}"),
            () => secrets.to_owned(),
        };
        let kind = preset.kind();
        let text = format!("{{type: {kind}, preset: {}, {proof}}}", preset.name());
        Written { text, meaning, signs: kind == "hmac" }
    })
}

fn credentials() -> impl Strategy<Value = Vec<Written>> {
    prop::collection::vec(prop_oneof![2 => simple(), 3 => signed(), 4 => preset()], 1..=3)
}

fn unsigned(note: &str) -> Received {
    let body = format!("{{\"webhookTimestamp\":{},\"note\":\"{note}\"}}", NOW * 1000);
    let head = Head {
        method: Method::POST,
        path: "/hook/shop".into(),
        query: Some("a=1".into()),
        headers: HeaderMap::new(),
        ip: "192.0.2.1".parse().unwrap(),
        received_at: Timestamp::UNIX_EPOCH,
        base_url: "https://hooks.example".into(),
    };
    Received { head, body: body.into() }
}

fn now() -> Timestamp {
    Timestamp::from_second(NOW).unwrap()
}

/// As the credential's own sender would send it; nothing when that cannot be done here.
fn sign(credential: &Credential, note: &str) -> Option<Received> {
    let mut request = unsigned(note);
    credential.sign(&mut request.head, request.body.held().unwrap(), now()).ok()?;
    Some(request)
}

/// Another letter or digit at a place that is chosen among those that hold one; not the same in the other case.
fn altered(text: &str, pick: usize) -> Option<String> {
    let places: Vec<_> = text.bytes().enumerate().filter(|(_, byte)| byte.is_ascii_alphanumeric()).collect();
    let (at, byte) = *places.get(pick % places.len().max(1))?;
    let other = if byte.eq_ignore_ascii_case(&b'x') { b'7' } else { b'x' };
    let mut bytes = text.as_bytes().to_vec();
    bytes[at] = other;
    String::from_utf8(bytes).ok()
}

/// A request whose header has another value; without one it has none.
fn with_header(request: &Received, name: &HeaderName, value: Option<&str>) -> Received {
    let mut other = request.clone();
    match value {
        Some(value) => drop(other.head.headers.insert(name, HeaderValue::from_str(value).unwrap())),
        None => drop(other.head.headers.remove(name)),
    }
    other
}

/// Requests that are near a right one, each with what is wrong with it.
fn spoilt(right: &Received, written: &Written, pick: usize) -> Vec<(String, Received)> {
    let mut bad = Vec::new();
    for (name, value) in &right.head.headers {
        let value = value.to_str().unwrap();
        let mut add = |how: &str, value: Option<&str>| {
            bad.push((format!("{name}: {how}"), with_header(right, name, value)));
        };
        add("missing", None);
        add("altered", altered(value, pick).as_deref());
        // Padding says nothing, so cutting it alone changes nothing.
        let bare = value.trim_end_matches('=');
        add("cut at its end", bare.get(..bare.len().saturating_sub(1 + pick % bare.len())));
        add("cut at its start", value.get(1 + pick % value.len()..).or(Some("")));
        for junk in JUNK {
            add("junk", Some(junk));
        }
        // Of a `*` before a required value, anything may stand around it.
        if !written.meaning.contains("'*") {
            add("longer", Some(&format!("{value}x")));
        }
        if !written.takes_several() {
            let mut twice = right.clone();
            twice.head.headers.append(name, HeaderValue::from_str(value).unwrap());
            bad.push((format!("{name}: twice"), twice));
        }
    }
    if let Some(proof) = right.head.query.as_deref().and_then(|query| query.strip_prefix("a=1&")) {
        let mut add = |how: &str, query: String| {
            let mut other = right.clone();
            other.head.query = Some(query);
            bad.push((format!("query: {how}"), other));
        };
        add("missing", "a=1".into());
        add("altered", format!("a=1&{}", altered(proof, pick).unwrap()));
        add("twice", format!("a=1&{proof}&{proof}"));
        add("shorter", format!("a=1&{}", proof.get(..proof.len() - 1).unwrap()));
        add("empty", format!("a=1&{}=", proof.split('=').next().unwrap()));
    }
    if written.signs {
        let body = std::str::from_utf8(right.body.held().unwrap()).unwrap();
        let bodies = [
            altered(body, pick).unwrap(),
            String::new(),
            format!("{body} "),
            body.get(1..).unwrap().to_owned(),
        ];
        for body in bodies {
            bad.push((format!("body: {body}"), Received { head: right.head.clone(), body: body.into() }));
        }
    }
    bad
}

/// Requests of somebody who has seen everything but a secret.
fn forged(credentials: &Credentials) -> Vec<(String, Received)> {
    let body = r#"{"value":[{"clientState":""}],"signature":{"timestamp":"1760000000","token":"","signature":""},
        "notificationItems":[{"NotificationRequestItem":{"additionalData":{"hmacSignature":""}}}],
        "Type":"Notification","Message":"","MessageId":"","Timestamp":"","TopicArn":"","SignatureVersion":"1",
        "SigningCertURL":"https://sns.eu-west-1.amazonaws.com/a.pem","Signature":""}"#;
    let bodies = [
        "",
        "{}",
        "[]",
        "{\"value\":[]}",
        "{\"notificationItems\":[]}",
        body,
        "bt_signature=key|&bt_payload=",
    ];
    let mut names: Vec<HeaderName> = credentials
        .iter()
        .filter_map(|credential| sign(credential, ""))
        .flat_map(|request| request.head.headers.keys().cloned().collect::<Vec<_>>())
        .collect();
    let known = [
        "authorization",
        "x-signature",
        "x-signature-ed25519",
        "x-signature-timestamp",
        "webhook-id",
        "webhook-timestamp",
        "webhook-signature",
        "telnyx-signature-ed25519",
        "telnyx-timestamp",
    ];
    names.extend(known.map(HeaderName::from_static));
    let mut bad = Vec::new();
    for body in bodies {
        for junk in JUNK {
            let mut request = Received { body: Bytes::from_static(body.as_bytes()).into(), ..unsigned("") };
            for name in &names {
                request.head.headers.insert(name, HeaderValue::from_static(junk));
            }
            bad.push((format!("forged with {junk:?} and {body:?}"), request));
        }
    }
    bad
}

/// That nothing of all this passes.
fn refuse(auth: &Auth, bad: Vec<(String, Received)>) -> Result<(), TestCaseError> {
    for (how, request) in bad {
        let passed = auth.verify(request, now());
        prop_assert!(passed.is_err(), "{}", how);
    }
    Ok(())
}

proptest! {
    #[test]
    fn nothing_but_the_right_request_passes(
        written in credentials(),
        seed in any::<u64>(),
        pick in any::<u16>(),
        note in "[a-zA-Z0-9]{0,24}",
    ) {
        let (auth, loaded, diagnostics) = load(&written, &Vault { seed, fallback: None });
        prop_assert!(diagnostics.is_empty(), "{}", diagnostics.render(false));
        let (auth, pick) = (auth.unwrap(), usize::from(pick));
        refuse(&auth, vec![("unsigned".into(), unsigned(&note))])?;
        refuse(&auth, forged(&loaded))?;
        for (at, written_here) in written.iter().enumerate() {
            let name = format!("c{at}");
            let Some(right) = sign(loaded.get(&name).unwrap(), &note) else { continue };
            prop_assert!(auth.verify(right.clone(), now()).is_ok(), "{} refuses its own", written_here.text);
            refuse(&auth, spoilt(&right, written_here, pick))?;
            if written_here.has_window() {
                for hour in [Duration::from_hours(1), Duration::from_hours(24 * 365)] {
                    prop_assert!(auth.verify(right.clone(), now() + hour).is_err(), "old: {}", written_here.text);
                    prop_assert!(auth.verify(right.clone(), now() - hour).is_err(), "new: {}", written_here.text);
                }
            }
            // The same file, and other secrets.
            let strangers = std::iter::once(Vault { seed: seed ^ 1, fallback: None })
                .chain(FALLBACKS.map(|secret| Vault { seed, fallback: Some(secret) }));
            for stranger in strangers {
                let (_, theirs, _) = load(&written, &stranger);
                if let Some(wrong) = theirs.get(&name).and_then(|credential| sign(credential, &note)) {
                    let secret = stranger.fallback.map(String::from_utf8_lossy);
                    refuse(&auth, vec![(format!("signed with {secret:?}"), wrong)])?;
                }
            }
        }
    }
}

/// Every credential that stands in the tables, with its secret left to the caller.
fn templates() -> Vec<String> {
    let simple = [
        "{type: api_key, header: X-Key, key: SECRET}",
        "{type: api_key, query: key, keys: [{env: '1'}, SECRET]}",
        "{type: basic, username: acme, password: SECRET}",
        "{type: token, header: X-Token, secret: SECRET}",
        "{type: token, bearer: true, secrets: [SECRET]}",
        "{type: token, query: token, secrets: [{env: '1'}, SECRET]}",
        "{type: token, json: a, secret: SECRET}",
        "{type: hmac, header: X-Signature, secret: SECRET}",
        "{type: hmac, header: X-Signature, secrets: [SECRET, {env: '1'}]}",
        "{type: hmac, header: X-Signature, algorithm: keyed-sha256, content: '{secret}{body}', secret: SECRET}",
        "{type: hmac, preset: meta, secret: {env: '0'}, handshake: meta, verify_token: SECRET}",
        "{type: hmac, preset: discord, public_key: SECRET}",
    ];
    let of_preset = |preset: &crate::Preset| {
        let (kind, name) = (preset.kind(), preset.name());
        let parameters = preset.parameters();
        let is_public = parameters.contains("ed25519") || parameters.contains("ecdsa");
        (!is_public).then(|| format!("{{type: {kind}, preset: {name}, secret: SECRET}}"))
    };
    simple.iter().map(|&text| text.to_owned()).chain(presets().iter().filter_map(of_preset)).collect()
}

#[test]
fn a_secret_that_is_none_loads_nothing() {
    let vault = Vault { seed: 0, fallback: None };
    let written = |text: &str| [Written { text: text.to_owned(), meaning: String::new(), signs: false }];
    let templates = templates();
    assert!(templates.len() > 60);
    for template in &templates {
        let sound = load(&written(&template.replace("SECRET", "{env: '0'}")), &vault);
        assert!(sound.0.is_some(), "{template}: {}", sound.2.render(false));
        for bad in [
            "''",
            "plain",
            "env:X",
            "$X",
            "'${X}'",
            "null",
            "true",
            "0",
            "{}",
            "[]",
            "{env: ''}",
            "{env: EMPTY}",
            "{env: MISSING}",
            "{env: null}",
            "{file: a}",
            "{env: '0', file: a}",
            "{secret: '0'}",
        ] {
            let (auth, credentials, diagnostics) = load(&written(&template.replace("SECRET", bad)), &vault);
            let text = template.replace("SECRET", bad);
            assert!(auth.is_none() && credentials.get("c0").is_none(), "{text} loads");
            assert!(diagnostics.has_errors(), "{text}");
        }
        let none = template.replace(", secret: SECRET", "");
        if none != *template {
            assert!(load(&written(&none), &vault).0.is_none(), "{none} loads");
        }
        // What is left of it when it is decoded must not be nothing either.
        let parameters = presets().iter().find(|it| template.contains(&format!("preset: {},", it.name())));
        if parameters.is_some_and(|preset| preset.parameters().contains("strip_prefix: whsec_")) {
            let text = template.replace("SECRET", "{env: PREFIX}");
            assert!(load(&written(&text), &vault).0.is_none(), "{text} loads");
        }
    }
    for auth in ["''", "[]", "[none]", "null", "nobody", "{c0: true}", "[c0, nobody]", "[[c0]]", "[c0, none]"]
    {
        let (_, credentials, _) = load(&written("{type: api_key, header: X-Key, key: {env: '0'}}"), &vault);
        let mut diagnostics = Diagnostics::default();
        let node = parse(&Source::new("flow.yaml", auth), &mut diagnostics).unwrap();
        assert!(Auth::load(&node, &credentials, &mut diagnostics).is_none(), "{auth}");
        assert!(diagnostics.has_errors(), "{auth}");
    }
}
