mod closed;

use super::*;
use crate::auth_schemes;
use hookflow_text::{SecretRef, SecretSource, Source, parse};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use proptest::prelude::*;

const FILE: &str = "\
partner: {type: basic, username: acme, password: {env: a long enough password}}
mobile: {type: api_key, header: X-Api-Key, keys: [{env: the first of the keys}, {env: the second of the keys}]}
old: {type: api_key, query: api_key, key: {env: a key in the query}}
github: {type: hmac, preset: github, secret: {env: It's a Secret to Everybody}}
";

/// The name of a variable is its value.
struct Echo;

impl SecretSource for Echo {
    fn resolve(&self, reference: &SecretRef) -> Result<Vec<u8>, String> {
        match reference {
            SecretRef::Env(name) => Ok(name.clone().into_bytes()),
            SecretRef::File { path, .. } => Ok(path.clone().into_bytes()),
        }
    }
}

fn load(file: &str, auth: &str) -> (Option<Auth>, Credentials, Diagnostics) {
    let mut diagnostics = Diagnostics::default();
    let root = parse(&Source::new("config/credentials.yaml", file), &mut diagnostics).unwrap();
    let credentials = Credentials::load(&root, &Echo, &mut diagnostics);
    let node = parse(&Source::new("flow.yaml", auth), &mut diagnostics).unwrap();
    let auth = Auth::load(&node, &credentials, &mut diagnostics);
    (auth, credentials, diagnostics)
}

fn auth(text: &str) -> Auth {
    let (auth, _, diagnostics) = load(FILE, text);
    assert!(diagnostics.is_empty(), "{}", diagnostics.render(false));
    auth.unwrap()
}

fn request(headers: &[(&str, &str)], query: &str) -> Received {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(
            HeaderName::from_bytes(name.as_bytes()).unwrap(),
            HeaderValue::from_bytes(value.as_bytes()).unwrap(),
        );
    }
    let head = Head {
        method: Method::POST,
        path: "/hook/shop".into(),
        query: (!query.is_empty()).then(|| query.to_owned()),
        headers: map,
        ip: "192.0.2.1".parse().unwrap(),
        received_at: Timestamp::UNIX_EPOCH,
        base_url: "https://hooks.example".into(),
    };
    Received { head, body: b"Hello, World!".to_vec().into() }
}

/// The credential that passed, or why none did.
fn judge(auth: &Auth, request: Received) -> Result<String, String> {
    let head_alone = auth.verify_head(&request.head);
    let verdict = auth.verify(request, Timestamp::UNIX_EPOCH);
    if let Ok(passed) = &verdict {
        // What the head proved is what the whole proves, and a refused head never passes.
        match head_alone {
            Ok(HeadVerdict::Passed(name)) => assert_eq!(name, passed.credential),
            Ok(HeadVerdict::NeedsBody) => {}
            Err(refused) => panic!("{}", refused.reason()),
        }
    }
    verdict.map(|it| it.credential.as_deref().unwrap_or("nobody").to_owned()).map_err(|it| it.reason())
}

#[test]
fn basic_needs_the_exact_pair() {
    let auth = auth("partner");
    let pair = |text: &str| format!("Basic {}", crate::encoding::to_base64(text.as_bytes()));
    let right = pair("acme:a long enough password");
    for (value, passes) in [
        (right.clone(), true),
        (right.replacen("Basic", "bAsIc", 1), true),
        (right.trim_end_matches('=').to_owned(), true),
        (pair("acme:a long enough passwor"), false),
        (pair("acme:a long enough password "), false),
        (pair("Acme:a long enough password"), false),
        (pair("acme"), false),
        (pair(""), false),
        (right.replacen("Basic", "Bearer", 1), false),
        ("Basic".into(), false),
        ("Basic %%%".into(), false),
        (String::new(), false),
    ] {
        let result = judge(&auth, request(&[("authorization", &value)], ""));
        assert_eq!(result.is_ok(), passes, "{value} {result:?}");
    }
    let twice = request(&[("authorization", &right), ("authorization", &right)], "");
    assert_eq!(judge(&auth, twice).unwrap_err(), "partner: the header `authorization` came more than once");
    let refused = auth.verify_head(&request(&[], "").head).unwrap_err();
    assert_eq!(refused.challenge(), Some("Basic realm=\"webhook\", charset=\"UTF-8\""));
    assert_eq!(refused.reason(), "partner: the header `authorization` is missing");
}

#[test]
fn api_keys_stand_in_a_header_or_in_the_query() {
    let mobile = auth("mobile");
    for (key, passes) in [
        ("the first of the keys", true),
        ("the second of the keys", true),
        ("the first of the key", false),
        ("the first of the keysx", false),
        ("", false),
    ] {
        assert_eq!(judge(&mobile, request(&[("x-api-key", key)], "")).is_ok(), passes, "{key}");
    }
    assert!(judge(&mobile, request(&[], "x-api-key=the+first+of+the+keys")).is_err());
    let old = auth("old");
    for (query, passes) in [
        ("api_key=a+key+in+the+query", true),
        ("a=1&api%5Fkey=a%20key%20in%20the%20query", true),
        ("api_key=a+key+in+the+query&api_key=x", false),
        ("api_key=", false),
        ("api_key", false),
        ("", false),
    ] {
        assert_eq!(judge(&old, request(&[], query)).is_ok(), passes, "{query}");
    }
    assert_eq!(auth("mobile").verify_head(&request(&[], "").head).unwrap_err().challenge(), None);
}

#[test]
fn any_of_a_list_passes_and_no_secret_goes_further() {
    const SIGNATURE: &str = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    let auth = auth("[partner, mobile, old, github]");
    assert_eq!(auth.names().collect::<Vec<_>>(), ["partner", "mobile", "old", "github"]);
    assert_eq!(
        judge(&auth, request(&[("x-api-key", "the second of the keys")], "")).as_deref(),
        Ok("mobile")
    );
    assert_eq!(judge(&auth, request(&[("x-hub-signature-256", SIGNATURE)], "")).as_deref(), Ok("github"));
    assert_eq!(
        judge(&auth, request(&[("x-api-key", "no")], "")).unwrap_err(),
        "partner: the header `authorization` is missing; mobile: no secret fits; old: the query's `api_key` is missing; \
         github: the header `x-hub-signature-256` is missing"
    );
    let headers = [
        ("x-hub-signature-256", SIGNATURE),
        ("X-Api-Key", "wrong"),
        ("Authorization", "Basic x"),
        ("a", "b"),
    ];
    let passed = auth.verify(request(&headers, "x=1&api_key=wrong&y=2"), Timestamp::UNIX_EPOCH).unwrap();
    assert_eq!(passed.head.url(), "https://hooks.example/hook/shop?x=1&y=2");
    let mut left: Vec<_> = passed.head.headers.keys().map(HeaderName::as_str).collect();
    left.sort_unstable();
    assert_eq!(left, ["a", "x-hub-signature-256"]);
    assert_eq!(&**passed.body().held().unwrap(), b"Hello, World!");
}

#[test]
fn an_open_webhook_takes_everything_as_it_is() {
    let open = auth("none");
    assert!(open.is_open() && open.credentials().is_empty());
    let passed = open.verify(request(&[("authorization", "x")], "api_key=1"), Timestamp::UNIX_EPOCH).unwrap();
    assert_eq!(passed.credential(), None);
    assert!(passed.head().headers.contains_key("authorization"));
    assert_eq!(open.verify_head(passed.head()), Ok(HeadVerdict::Passed(None)));
}

#[test]
fn every_credential_accepts_what_it_signs() {
    let (_, credentials, _) = load(FILE, "none");
    assert_eq!(credentials.names().collect::<Vec<_>>(), ["github", "mobile", "old", "partner"]);
    for credential in credentials.iter() {
        let mut request = request(&[], "a=1");
        credential.sign(&mut request.head, request.body.held().unwrap(), Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(judge(&auth(credential.name()), request).as_deref(), Ok(&**credential.name()));
        let debug = format!("{credential:?}");
        assert!(!debug.contains("long enough") && !debug.contains("of the keys"), "{debug}");
    }
}

#[test]
fn every_schemes_example_loads() {
    for scheme in auth_schemes() {
        let (auth, credentials, diagnostics) = load(&format!("it: {}", scheme.example), "it");
        assert!(!diagnostics.has_errors(), "{}", diagnostics.render(false));
        assert_eq!(credentials.get("it").unwrap().scheme().name, scheme.name);
        assert!(auth.is_some() && !scheme.summary.is_empty());
    }
    assert!(auth_schemes().is_sorted_by_key(|scheme| scheme.name));
}

#[test]
fn mistakes_are_named() {
    for (file, auth, expected) in [
        ("{}", "~", &["yaml.type"][..]),
        ("{}", "[]", &["auth.empty-list"]),
        (FILE, "[partner, none]", &["auth.none-in-list"]),
        (FILE, "[partner, partnr]", &["auth.unknown-credential"]),
        ("a: {type: none}", "a", &["auth.no-type-none"]),
        ("a: {type: basik}", "a", &["yaml.word"]),
        ("a: {secret: {env: X}}", "a", &["yaml.missing-key"]),
        ("none: {type: basic}", "none", &["auth.reserved-name"]),
        ("a: {type: basic, username: x}", "a", &["yaml.missing-key"]),
        (
            "a: {type: basic, username: 'x:y', password: {env: a long enough password}}",
            "a",
            &["auth.username"],
        ),
        ("a: {type: basic, username: x, password: plain}", "a", &["secret.plain-text"]),
        ("a: {type: basic, username: x, password: {env: ''}}", "a", &["secret.empty"]),
        ("a: {type: basic, username: x, password: {env: short}}", "a", &["secret.short"]),
        ("a: {type: api_key, key: {env: a long enough password}}", "a", &["auth.api-key-place"]),
        (
            "a: {type: api_key, header: x, query: y, key: {env: a long enough password}}",
            "a",
            &["auth.api-key-place"],
        ),
        ("a: {type: api_key, header: x}", "a", &["auth.secret"]),
        ("a: {type: api_key, header: x, keys: []}", "a", &["yaml.type"]),
        (
            "a: {type: api_key, header: x, prefix: y, keys: [{env: a long enough password}]}",
            "a",
            &["yaml.unknown-key"],
        ),
    ] {
        assert_eq!(load(file, auth).2.codes(), expected, "{file} {auth}");
    }
    let (auth, _, diagnostics) = load(FILE, "partnr");
    assert!(auth.is_none());
    assert!(diagnostics.render(false).contains("did you mean `partner`?"));
}

proptest! {
    #[test]
    fn hostile_requests_never_pass_nor_panic(
        value in proptest::collection::vec(0x20_u8..=0xfe, 0..60),
        query in "[a-z_=&%+\\[\\]0-9]{0,60}",
    ) {
        let value: Vec<u8> = value.into_iter().filter(|byte| *byte != 0x7f).collect();
        let mut request = request(&[], &query);
        for name in ["authorization", "x-api-key", "x-hub-signature-256"] {
            request.head.headers.insert(name, HeaderValue::from_bytes(&value).unwrap());
        }
        prop_assert!(judge(&auth("[partner, mobile, old, github]"), request).is_err());
    }
}
