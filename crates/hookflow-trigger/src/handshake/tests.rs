//! Each sender's question as it comes, and questions that no sender asks.

use super::*;
use crate::body::tests::{Shelf, gather};
use crate::{Credentials, Received};
use hookflow_text::{SecretRef, SecretSource, Source, parse};
use http::HeaderName;
use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::json;

const NOW: i64 = 1_760_000_000;
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded; charset=UTF-8");

/// The name of a variable is its value.
struct Echo;

impl SecretSource for Echo {
    fn resolve(&self, reference: &SecretRef) -> Result<Vec<u8>, String> {
        match reference {
            SecretRef::Env(name) => Ok(name.clone().into_bytes()),
            SecretRef::File { .. } => Err("no file here".into()),
        }
    }
}

fn load(credential: &str) -> (Option<Auth>, Vec<&'static str>) {
    let mut diagnostics = Diagnostics::default();
    let node = parse(&Source::new("a.yaml", format!("it: {{{credential}}}")), &mut diagnostics).unwrap();
    let credentials = Credentials::load(&node, &Echo, &mut diagnostics);
    let auth = credentials.get("it").map(|credential| Auth::by(credential.clone()));
    let mut codes = diagnostics.codes();
    codes.retain(|code| *code != "secret.short");
    (auth, codes)
}

fn request(method: Method, query: &str, headers: &[(&str, &str)], body: &str) -> Received {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap());
    }
    if !body.is_empty() {
        map.insert(CONTENT_LENGTH, body.len().into());
    }
    let head = Head {
        method,
        path: "/hook/it".into(),
        query: (!query.is_empty()).then(|| query.to_owned()),
        headers: map,
        ip: "192.0.2.1".parse().unwrap(),
        received_at: Timestamp::UNIX_EPOCH,
        base_url: "https://hooks.example".into(),
    };
    Received { head, body: body.to_owned().into() }
}

/// What the guards would do, in their order: `status body`, `-` for no handshake, `!` for no passage.
fn ask(auth: &Auth, request: Received) -> String {
    let verdict = match auth.answer_head(&request.head) {
        Ok(None) if auth.may_ping(&request.head) => {
            auth.answer_ping(&request.head, request.body.held().unwrap())
        }
        other => other,
    };
    let verdict = match verdict {
        Ok(None) => match auth.verify(request, Timestamp::from_second(NOW).unwrap()) {
            Ok(passed) => auth.answer_signed(&passed),
            Err(_) => return "!".into(),
        },
        other => other,
    };
    match verdict {
        Ok(Some(answer)) => {
            let text = String::from_utf8(answer.body.to_vec()).unwrap();
            if !text.is_empty() {
                assert_eq!(answer.headers[X_CONTENT_TYPE_OPTIONS], "nosniff");
                let kind = if text.starts_with('{') { "application/json" } else { "text/plain" };
                assert_eq!(answer.headers[CONTENT_TYPE], kind);
            }
            format!("{} {text}", answer.status.as_u16())
        }
        Ok(None) => "-".into(),
        Err(refusal) => refusal.status.as_u16().to_string(),
    }
}

#[test]
fn questions_in_the_head_are_answered() {
    let meta = "type: hmac, preset: meta, secret: {env: app-secret}, handshake: meta, verify_token: {env: verify-me}";
    let x = "type: hmac, preset: x, secret: {env: z3ZX4v7mAAUGykl3EcmkqbartmuW8VFOOzCloLx9Q45P0hLrFu}, handshake: x";
    let dropbox = "type: hmac, preset: dropbox, secret: {env: k}, handshake: dropbox";
    let braintree = "type: hmac, preset: braintree, secret: {env: integration_private_key}, handshake: braintree, \
                     public_key: integration_public_key";
    let ebay = "type: token, header: X-Ebay, secret: {env: k}, handshake: ebay, \
                verify_token: {env: 71745723-d031-455c-bfa5-f90d11b4f20a}";
    let long = "a".repeat(LONGEST_TEXT + 1);
    for (credential, query, expected) in [
        (meta, "hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=verify-me", "200 1158201444"),
        (meta, "hub.mode=subscribe&hub.challenge=1&hub.verify_token=verify-m", "403"),
        (meta, "hub.mode=subscribe&hub.challenge=1", "403"),
        (meta, "hub.mode=subscribe&hub.challenge=1&hub.verify_token=verify-me&hub.verify_token=x", "403"),
        (meta, "hub.mode=subscribe&hub.challenge=%3Cscript%3E&hub.verify_token=verify-me", "400"),
        (meta, "hub.mode=subscribe&hub.verify_token=verify-me", "400"),
        (meta, "hub.mode=other", "!"),
        (meta, "", "!"),
        (
            x,
            "crc_token=9b4507b3-9040-4669-9ca3-6b94edb50553",
            r#"200 {"response_token":"sha256=Cytd4Sq+NvEcV3MMrXxWJGJx5A+y/lXzzU2Maartkx8="}"#,
        ),
        (x, "crc_token=%7B%22for_user_id%22%3A%221%22%2C%22tweet_create_events%22%3A%5B%5D%7D", "400"),
        (x, "crc_token=", "400"),
        (x, "crc_token=a&crc_token=b", "400"),
        (x, "crc_token=%FF", "400"),
        (x, "other=a", "!"),
        (dropbox, "challenge=aB_-09.~", "200 aB_-09.~"),
        (dropbox, "challenge=%3Cb%3E", "400"),
        (dropbox, &format!("challenge={long}"), "400"),
        (
            braintree,
            "bt_challenge=20f9f8ed05f77439fe955c977e4c8a53",
            "200 integration_public_key|d9b899556c966b3f06945ec21311865d35df3ce4",
        ),
        (braintree, "bt_challenge=20f9f8ed05f77439fe95", "200"),
        (braintree, "bt_challenge=20f9", "400"),
        (
            ebay,
            "challenge_code=a8628072-3d33-45ee-9004-bee86830a22d",
            r#"200 {"challengeResponse":"5feb54fe1daad4610c8d927c0a1fd398481d96513bc6a0622a9ae895859376ae"}"#,
        ),
        (ebay, "challenge_code=%7B%7D", "400"),
        (ebay, "challenge_code=a.b", "400"),
        (ebay, "challenge_code=", "400"),
        (ebay, "challenge_code=a&challenge_code=b", "400"),
        (ebay, "other=a", "!"),
        (braintree, "bt_challenge=20F9F8ED05F77439FE955C977E4C8A53", "400"),
    ] {
        let (auth, codes) = load(credential);
        assert!(codes.is_empty(), "{codes:?}");
        let auth = auth.unwrap();
        assert!(auth.has_handshake_by(&Method::GET) && !auth.has_handshake_by(&Method::POST));
        let answer = ask(&auth, request(Method::GET, query, &[], ""));
        assert!(answer == expected || expected == "200" && answer.starts_with("200 "), "{query}: {answer}");
        // Only the sender's own method asks.
        assert_eq!(ask(&auth, request(Method::PUT, query, &[], "")), "!", "{query}");
    }
}

#[test]
fn graph_okta_and_trello_are_answered() {
    let graph =
        "type: token, preset: microsoft_graph, secret: {env: my-client-state}, handshake: microsoft_graph";
    let graph = load(graph).0.unwrap();
    let query = "validationToken=Validation%3A+Testing+client+application+reachability+for+subscription+Request-Id%3A+5b4d5f72";
    assert_eq!(
        ask(&graph, request(Method::POST, query, &[], "")),
        "200 Validation: Testing client application reachability for subscription Request-Id: 5b4d5f72"
    );
    assert_eq!(ask(&graph, request(Method::POST, "validationToken=%3Cb%3E", &[], "")), "400");
    let body = r#"{"value":[{"clientState":"my-client-state"}]}"#;
    assert_eq!(ask(&graph, request(Method::POST, "", &[], body)), "-");

    let okta = load("type: token, preset: okta, secret: {env: okta-auth-value}, handshake: okta").0.unwrap();
    let challenge = ("X-Okta-Verification-Challenge", "aBc-09");
    for (headers, expected) in [
        (&[challenge, ("Authorization", "okta-auth-value")][..], r#"200 {"verification":"aBc-09"}"#),
        (&[challenge, ("Authorization", "okta-auth-valuE")], "401"),
        (&[challenge], "401"),
        (&[("X-Okta-Verification-Challenge", "<b>"), ("Authorization", "okta-auth-value")], "400"),
        (&[("Authorization", "okta-auth-value")], "-"),
    ] {
        assert_eq!(ask(&okta, request(Method::GET, "", headers, "")), expected);
    }
    let sign =
        load("type: token, header: X-AdobeSign-ClientId, secret: {env: UB7E5BXCXY}, handshake: adobe_sign");
    let sign = sign.0.unwrap();
    for (headers, expected) in [
        (&[("X-AdobeSign-ClientId", "UB7E5BXCXY")][..], r#"200 {"xAdobeSignClientId":"UB7E5BXCXY"}"#),
        (&[("X-AdobeSign-ClientId", "UB7E5BXCXZ")], "401"),
        (&[("X-AdobeSign-ClientId", "UB7E5BXCXY"), ("X-AdobeSign-ClientId", "<b>")], "401"),
        (&[], "!"),
    ] {
        assert_eq!(ask(&sign, request(Method::GET, "", headers, "")), expected);
    }
    let trello = load("type: hmac, preset: trello, secret: {env: k}, handshake: trello").0.unwrap();
    assert_eq!(ask(&trello, request(Method::HEAD, "", &[], "")), "200 ");
}

#[test]
fn woocommerces_unsigned_form_is_answered_and_nothing_like_it() {
    let auth = load("type: hmac, preset: woocommerce, secret: {env: woo}, handshake: woocommerce").0.unwrap();
    for (headers, body, expected) in [
        (&[FORM][..], "webhook_id=1", "200 "),
        (&[FORM], "webhook_id=", "!"),
        (&[FORM], "webhook_id=1&x=2", "!"),
        (&[FORM], "webhook_id=a", "!"),
        (&[FORM, ("x-wc-webhook-signature", "AAAA")], "webhook_id=1", "!"),
        (&[], "webhook_id=1", "!"),
        (&[FORM], &format!("webhook_id={}", "1".repeat(64)), "!"),
    ] {
        assert_eq!(ask(&auth, request(Method::POST, "", headers, body)), expected, "{body}");
    }
}

#[test]
fn mondays_unsigned_question_is_answered_and_nothing_like_it() {
    const JSON: (&str, &str) = ("content-type", "application/json; charset=utf-8");
    let auth = load("type: token, query: token, secret: {env: k}, handshake: monday").0.unwrap();
    let challenge = "3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P";
    for (headers, body, expected) in [
        (
            &[JSON][..],
            format!(r#"{{"challenge": "{challenge}"}}"#),
            format!(r#"200 {{"challenge":"{challenge}"}}"#),
        ),
        (&[], format!(r#"{{"challenge": "{challenge}"}}"#), "!".into()),
        (&[JSON], r#"{"challenge":"<b>"}"#.into(), "400".into()),
        (&[JSON], r#"{"challenge":""}"#.into(), "400".into()),
        (&[JSON], r#"{"challenge":"a","event":{}}"#.into(), "!".into()),
        (&[JSON], r#"{"challenge":{}}"#.into(), "!".into()),
        (&[JSON], "[]".into(), "!".into()),
        (&[JSON], format!(r#"{{"challenge":"{}"}}"#, "a".repeat(256)), "!".into()),
    ] {
        assert_eq!(ask(&auth, request(Method::POST, "", headers, &body)), expected, "{body}");
    }
    assert_eq!(ask(&auth, request(Method::POST, "token=k", &[JSON], r#"{"event":{}}"#)), "-");
}

#[test]
fn asanas_secret_is_repeated_and_not_believed() {
    let auth = load("type: hmac, header: X-Hook-Signature, secret: {env: k}, handshake: asana").0.unwrap();
    let (right, wrong) = (("X-Hook-Secret", "b537207f20cbfa02357cf448134da559"), ("X-Hook-Secret", "<b>"));
    let asking = request(Method::POST, "", &[right], "");
    let answer = auth.answer_head(&asking.head).unwrap().unwrap();
    assert_eq!(
        (answer.status, &answer.headers["x-hook-secret"]),
        (StatusCode::OK, &HeaderValue::from_static(right.1))
    );
    assert!(answer.body.is_empty());
    for (headers, expected) in
        [(&[wrong][..], "400"), (&[right, right], "400"), (&[("X-Hook-Secret", "")], "400"), (&[], "!")]
    {
        assert_eq!(ask(&auth, request(Method::POST, "", headers, "{}")), expected);
    }
    // What it signs with that secret passes no more than before.
    let (_, mut forged) = signed(
        "type: hmac, header: X-Hook-Signature, secret: {env: b537207f20cbfa02357cf448134da559}",
        &[],
        "{}",
    );
    assert_eq!(ask(&auth, forged.clone()), "!");
    forged.head.headers.insert("x-hook-secret", HeaderValue::from_static(right.1));
    assert_eq!(ask(&auth, forged), "200 ");
}

#[test]
fn amazons_confirmations_are_answered_and_visited() {
    let asks = match crate::handshakes().iter().find(|handshake| handshake.name == "aws_sns").unwrap().asks {
        Asks::Signed(asks) => asks,
        Asks::Head(_) | Asks::Ping(..) => panic!("it is signed"),
    };
    let auth = load("type: hmac, preset: aws_sns, secret: {env: arn}, handshake: aws_sns").0.unwrap();
    let (asked, _) = asked(&auth.credentials()[0]).unwrap();
    let head = request(Method::POST, "", &[], "").head;
    let url = "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&Token=1";
    for (body, expected) in [
        (json!({"Type": "SubscriptionConfirmation", "SubscribeURL": url}), Ok(Some(Some(url.to_owned())))),
        (json!({"Type": "SubscriptionConfirmation", "SubscribeURL": "https://evil.test/"}), Err(400)),
        (json!({"Type": "SubscriptionConfirmation"}), Err(400)),
        (json!({"Type": "UnsubscribeConfirmation", "SubscribeURL": url}), Ok(Some(None))),
        (json!({"Type": "Notification", "SubscribeURL": url}), Ok(None)),
        (json!([]), Ok(None)),
    ] {
        let verdict = asks(&asked, &head, body.to_string().as_bytes());
        let verdict = verdict.map(|answer| answer.map(|it| it.visit)).map_err(|why| why.status.as_u16());
        assert_eq!(verdict, expected, "{body}");
    }
}

#[test]
fn who_tests_us_with_wrong_signatures_hears_nothing_but_401() {
    for (credential, bare) in [
        ("type: hmac, preset: xero, secret: {env: k}, handshake: xero", true),
        ("type: hmac, preset: xero, secret: {env: k}", false),
        ("type: hmac, preset: slack, secret: {env: k}, handshake: slack", false),
    ] {
        let auth = load(credential).0.unwrap();
        let head = request(Method::POST, "", &[], "").head;
        assert_eq!(auth.verify_head(&head).unwrap_err().is_bare(), bare, "{credential}");
    }
}

/// A request that the credential itself has signed.
fn signed(credential: &str, headers: &[(&str, &str)], body: &str) -> (Auth, Received) {
    let auth = load(credential).0.unwrap();
    let mut request = request(Method::POST, "", headers, body);
    let now = Timestamp::from_second(NOW).unwrap();
    auth.credentials()[0].sign(&mut request.head, body.as_bytes(), now).unwrap();
    (auth, request)
}

#[test]
fn signed_questions_are_answered() {
    let slack = "type: hmac, preset: slack, secret: {env: k}, handshake: slack";
    let zoom = "type: hmac, preset: zoom, secret: {env: zoom-secret-token}, handshake: zoom";
    let twitch = "type: hmac, preset: twitch, secret: {env: k}, handshake: twitch";
    let xero = "type: hmac, preset: xero, secret: {env: k}, handshake: xero";
    let discord = "type: hmac, preset: hmac_raw, secret: {env: k}, handshake: discord";
    let verification = ("twitch-eventsub-message-type", "webhook_callback_verification");
    let notification = ("twitch-eventsub-message-type", "notification");
    for (credential, header, body, expected) in [
        (slack, FORM, r#"{"type":"url_verification","challenge":"3eZbrw1aBm2r"}"#, "200 3eZbrw1aBm2r"),
        (slack, FORM, r#"{"type":"url_verification","challenge":"<b>"}"#, "400"),
        (slack, FORM, r#"{"type":"url_verification"}"#, "400"),
        (slack, FORM, r#"{"type":"event_callback","challenge":"a"}"#, "-"),
        (slack, FORM, "not JSON", "-"),
        (
            zoom,
            FORM,
            r#"{"payload":{"plainToken":"qgg8vlvZRS6UYooatFL8Aw"},"event":"endpoint.url_validation"}"#,
            r#"200 {"encryptedToken":"d9e0d764a78494688ba3f2d5c0ed4ca311394b4834d959759213424d2df961e3","plainToken":"qgg8vlvZRS6UYooatFL8Aw"}"#,
        ),
        (zoom, FORM, r#"{"payload":{"plainToken":"v0:1:{}"},"event":"endpoint.url_validation"}"#, "400"),
        (zoom, FORM, r#"{"event":"endpoint.url_validation"}"#, "400"),
        (zoom, FORM, r#"{"event":"meeting.started"}"#, "-"),
        (twitch, verification, r#"{"challenge":"pogchamp-kappa"}"#, "200 pogchamp-kappa"),
        (twitch, verification, "{}", "400"),
        (twitch, notification, r#"{"challenge":"pogchamp-kappa"}"#, "-"),
        (
            xero,
            FORM,
            r#"{"events":[],"firstEventSequence":0,"lastEventSequence":0,"entropy":"S0m3r4Nd0mt3xt"}"#,
            "200 ",
        ),
        (xero, FORM, r#"{"events":[{}]}"#, "-"),
        (discord, FORM, r#"{"type":1,"version":1}"#, r#"200 {"type":1}"#),
        (discord, FORM, r#"{"type":0,"application_id":"1"}"#, "204 "),
        (discord, FORM, r#"{"type":1,"event":{"type":"APPLICATION_AUTHORIZED"}}"#, "-"),
        (discord, FORM, r#"{"type":2}"#, "-"),
    ] {
        let (auth, request) = signed(credential, &[header], body);
        let forged = Received { body: format!("{body} ").into(), ..request.clone() };
        assert_eq!(ask(&auth, request), expected, "{body}");
        assert_eq!(ask(&auth, forged), "!", "{body}");
    }
}

#[test]
fn a_spooled_question_is_answered_as_long_as_it_can_be_read_back() {
    let shelf = Shelf::new(1 << 22);
    let slack = "type: hmac, preset: slack, secret: {env: k}, handshake: slack";
    let question = r#"{"type":"url_verification","challenge":"3eZbrw1aBm2r"}"#;
    let spooled = |padding: usize| {
        let padded = format!("{question}{}", " ".repeat(padding));
        let (auth, request) = signed(slack, &[FORM], &padded);
        let body = gather(&shelf, padded.as_bytes(), 1 << 16).unwrap();
        assert!(body.spooled().is_some());
        (auth, Received { body, ..request })
    };
    for (padding, expected) in [(100 << 10, "200 3eZbrw1aBm2r"), (1 << 20, "-")] {
        let (auth, request) = spooled(padding);
        assert_eq!(ask(&auth, request), expected, "{padding}");
    }
    let (auth, request) = spooled(100 << 10);
    let passed = auth.verify(request, Timestamp::from_second(NOW).unwrap()).unwrap();
    shelf.blobs.lock().unwrap().clear();
    assert!(auth.answer_signed(&passed).unwrap_err().fault().is_some(), "it is not the sender's fault");
}

#[test]
fn a_handshake_that_is_not_switched_on_is_not_answered() {
    let (auth, request) = signed(
        "type: hmac, preset: slack, secret: {env: k}",
        &[],
        r#"{"type":"url_verification","challenge":"a"}"#,
    );
    assert_eq!(ask(&auth, request), "-");
    assert!(!auth.has_handshake_by(&Method::POST));
}

#[test]
fn mistakes_are_named() {
    for (credential, expected) in [
        ("type: hmac, preset: slack, secret: {env: k}, handshake: slak", "yaml.word"),
        ("type: hmac, preset: meta, secret: {env: k}, handshake: meta", "yaml.missing-key"),
        ("type: hmac, preset: meta, secret: {env: k}, verify_token: {env: a}", "yaml.unknown-key"),
        ("type: hmac, preset: meta, secret: {env: k}, handshake: meta, verify_token: a", "secret.plain-text"),
        ("type: api_key, header: a, key: {env: k}, handshake: x", "auth.handshake-key"),
        ("type: hmac, preset: braintree, secret: {env: k}, handshake: braintree", "yaml.missing-key"),
    ] {
        assert_eq!(load(credential).1, [expected], "{credential}");
    }
}

#[test]
fn the_table_is_in_order() {
    assert!(handshakes().is_sorted_by_key(|handshake| handshake.name));
    assert!(handshakes().iter().all(|handshake| !handshake.summary.is_empty()));
}

proptest! {
    /// Whatever is asked, no answer is a signature of an event or a page for a browser.
    #[test]
    fn hostile_questions_are_not_signed(token in "(\\{\"[a-z\":,]{0,20}\\}|[ -~]{0,40})") {
        let auth = load("type: hmac, preset: x, secret: {env: k}, handshake: x").0.unwrap();
        let query: String = form_urlencoded::Serializer::new(String::new()).append_pair("crc_token", &token).finish();
        let answer = ask(&auth, request(Method::GET, &query, &[], ""));
        let sound = !token.is_empty() && token.bytes().all(in_token);
        prop_assert_eq!(answer.starts_with("200 "), sound);
    }
}
