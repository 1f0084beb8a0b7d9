//! Secrets that are marked, so that each place where they must not appear can be looked through for them.

use super::service::{Folder, Service, until};
use super::signed::{delivery, signature};
use super::target::{Play, Target};
use super::wire::Request;

const REJECTED: &str = "/api/rejected?limit=1000";
const KEY: &str = "canary-api-key-7f3a";
const PASSWORD: &str = "canary-password-7f3a";
const HMAC: &str = "canary-hmac-secret-7f3a";
const TOKEN: &str = "canary-ops-token-7f3a";
const BODY: &str = "canary-body-7f3a";
const QUERY: &str = "canary-query-7f3a";
/// In Base64 behind the prefix, as Standard Webhooks have it.
const BASE64: &str = "whsec_Y2FuYXJ5LXN0YW5kYXJkLXNlY3JldC03ZjNh";
const BEARER: &str = "canary-bearer-7f3a";
const FIELD: &str = "canary-field-7f3a";
const STATE: &str = "canary-state-7f3a";
const VERIFY: &str = "canary-verify-token-7f3a";
/// Near enough to the right ones to be a mistyped secret, which is one as well.
const GUESS: &str = "canary-guess-7f3a";
/// `partner:canary-password-7f3a`
const BASIC: &str = "cGFydG5lcjpjYW5hcnktcGFzc3dvcmQtN2YzYQ==";

const CREDENTIALS: &str = "
key: {type: api_key, header: X-Api-Key, keys: [{file: key}]}
link: {type: api_key, query: api_key, keys: [{file: key}]}
partner: {type: basic, username: partner, password: {file: password}}
github: {type: hmac, preset: github, secret: {file: hmac}}
standard: {type: hmac, preset: standard_webhooks, secret: {file: base64}}
keyed: {type: hmac, header: X-Keyed, algorithm: keyed-sha256, encoding: hex, content: '{secret}{body}', secret: {file: hmac}}
bearer: {type: token, bearer: true, secret: {file: bearer}}
field: {type: token, query: token, secret: {file: field}}
state: {type: token, json: 'value[].clientState', secret: {file: state}}
meta: {type: hmac, preset: meta, secret: {file: hmac}, handshake: meta, verify_token: {file: verify}}
x: {type: hmac, preset: x, secret: {file: hmac}, handshake: x}
";
/// Every one of them: each flow takes them all.
const ALL: &str = "[key, link, partner, github, standard, keyed, bearer, field, state, meta, x]";
const EVERYTHING: &str =
    "{headers: '${ webhook.headers }', query: '${ webhook.query }', url: '${ webhook.url }'}";

fn folder(level: &str, target: &Target) -> Folder {
    let url = target.url("/");
    let folder =
        Folder::new().with("key", KEY).with("password", PASSWORD).with("hmac", HMAC).with("token", TOKEN);
    let folder = folder.with("base64", BASE64).with("bearer", BEARER).with("field", FIELD);
    let folder = folder.with("state", STATE).with("verify", VERIFY);
    folder
        .credentials(CREDENTIALS)
        .config(&format!(
            "log: {{level: {level}}}\nops: {{token: {{file: token}}}}\noutbound: {{allow: [127.0.0.0/8]}}"
        ))
        .flow("shown", &format!("webhook: {{body: json, methods: [POST, GET], auth: {ALL}}}\nsteps: [{{respond: {{json: {EVERYTHING}}}}}]"))
        .flow("failing", &format!("webhook: {{body: json, auth: {ALL}}}\nsteps: [{{respond: {{json: '${{ webhook.body.none }}'}}}}]"))
        .flow(
            "calling",
            &format!(
                "webhook: {{body: json, auth: key}}\nsteps:\n  - http: {{url: '{url}', query: {{q: '{QUERY}'}}, headers: {{Authorization: 'Bearer {GUESS}'}}, json: {{b: '${{ webhook.body.text }}'}}}}\n  - respond: {{}}\n"
            ),
        )
}

fn requests() -> Vec<Request> {
    let body = format!("{{\"text\": \"{BODY}\"}}");
    let mut requests = Vec::new();
    for flow in ["shown", "failing", "calling", "nobody"] {
        let path = format!("/hook/{flow}");
        let bare = Request::json(&path, &body);
        requests.extend([
            bare.clone().header("X-Api-Key", KEY),
            bare.clone().header("X-Api-Key", KEY).header("Authorization", &format!("Basic {BASIC}")),
            Request::json(&format!("{path}?api_key={KEY}&a=b"), &body),
            bare.clone().header("Authorization", &format!("Basic {BASIC}")),
            delivery(&path, "push", HMAC, body.as_bytes()),
            bare.clone().header("X-Api-Key", GUESS),
            bare.clone().header("Authorization", &format!("Basic {GUESS}")),
            bare.clone().header("Authorization", &format!("Bearer {GUESS}")),
            Request::json(&format!("{path}?api_key={GUESS}"), &body),
            delivery(&path, "push", GUESS, body.as_bytes()),
            bare.clone().header("Authorization", &format!("Bearer {BEARER}")),
            Request::json(&format!("{path}?token={FIELD}"), &body),
            Request::json(&path, format!("{{\"value\": [{{\"clientState\": \"{STATE}\"}}]}}")),
            Request::json(&path, format!("{{\"value\": [{{\"clientState\": \"{GUESS}\"}}]}}")),
            Request::json(&format!("{path}?token={GUESS}&api_key={GUESS}&{GUESS}"), &body),
            Request::get(&format!("{path}?hub.mode=subscribe&hub.challenge=1&hub.verify_token={VERIFY}")),
            Request::get(&format!("{path}?hub.mode=subscribe&hub.challenge=1&hub.verify_token={GUESS}")),
            bare.clone().header("Cookie", GUESS).header("X-Keyed", GUESS).header("X-Signature", GUESS),
            bare.clone().header("Proxy-Authorization", GUESS).header("Referer", GUESS),
            bare.clone().header("X-Api-Key", KEY).body(format!("{{\"text\": \"{BODY}\"")),
            bare.header("X-Api-Key", KEY).set("Content-Type", "image/png"),
        ]);
    }
    requests
}

#[test]
fn secrets_stay_where_they_belong() {
    for level in ["info", "trace"] {
        let target = Target::start(|_| Play::Answer(500, "{}"));
        let folder = folder(level, &target);
        let service = Service::start(&folder);
        let body = format!("{{\"text\": \"{BODY}\"}}");
        let right = signature(HMAC, body.as_bytes());
        let right_digits = right.strip_prefix("sha256=").unwrap();
        let mut seen = String::new();
        let mut statuses = Vec::new();
        for request in requests() {
            let answer = service.send(&request);
            statuses.push(answer.status);
            for (name, value) in &answer.headers {
                seen.push_str(&format!("{name}: {value}\n"));
            }
            // Its signature is no secret to who made it.
            let own = request.headers.iter().any(|(_, value)| *value == right);
            if !own {
                seen.push_str(&answer.text());
            }
        }
        for status in [200, 400, 401, 404, 415, 500] {
            assert!(statuses.contains(&status), "{status} in {statuses:?}");
        }
        let ask = |token: &str, path: &str| {
            let request = Request::get(path).header("Authorization", &format!("Bearer {token}"));
            super::wire::Wire::connect(service.ops).ask(&request).text()
        };
        until("the list of what was refused", || {
            let refused = statuses.iter().filter(|status| (400..500).contains(*status)).count();
            (ask(TOKEN, REJECTED).matches("\"code\":").count() >= refused).then_some(())
        });
        for path in
            ["/healthz", "/readyz?verbose", "/metrics", "/version", REJECTED, "/api/rejected?flow=shown"]
        {
            seen.push_str(&ask(TOKEN, path));
            seen.push_str(&ask(GUESS, path));
        }
        assert!(seen.contains("hookflow_events_accepted_total"), "{seen}");
        assert_eq!(target.heard(2)[0].header("authorization"), Some(&*format!("Bearer {GUESS}")));
        let ended = service.stop();
        assert_eq!(ended.code, Some(0));
        assert!(ended.err.contains("auth.unauthorized"), "{}", ended.err);
        for (place, text) in [("answers", &seen), ("output", &ended.out), ("log", &ended.err)] {
            for canary in [
                KEY,
                PASSWORD,
                HMAC,
                TOKEN,
                BODY,
                QUERY,
                GUESS,
                BASIC,
                BASE64,
                BEARER,
                FIELD,
                STATE,
                VERIFY,
                &right,
                right_digits,
            ] {
                let line = text.lines().find(|line| line.contains(canary));
                assert_eq!(line, None, "{canary} stands in the {place} at {level}");
            }
        }
    }
}
