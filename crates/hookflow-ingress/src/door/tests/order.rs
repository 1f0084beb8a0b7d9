//! The order of the guards: of two faults in one request, the earlier guard's is told.

use super::bench::{Bench, Request, open, open_behind};

/// A fault, by the guard that finds it.
struct Fault {
    code: &'static str,
    put: fn(Request) -> Request,
}

const TOO_LARGE: usize = 2_000;

/// A flow whose credential stands in the head. Its queue has one place, and an address gets no second one.
const GUARDED: &str = "flow: guarded
enabled: paused
webhook:
  auth: partner
  allow_from: [203.0.113.0/24]
  body: json
  body_limit: 1KiB
  expects: {strict: true, headers: [X-Shop]}
  rate_limit_per_address: 1/d
queue: {capacity: 1}
steps: [{set: {a: 1}}]";

/// In the order of the guards.
const FAULTS: &[Fault] = &[
    Fault { code: "request.ambiguous-length", put: |request| request.header("content-length", "0") },
    Fault { code: "route.unknown", put: |request| request.header("X-Forwarded-For", "198.51.100.7") },
    Fault { code: "route.method", put: |request| request.method("PATCH") },
    Fault {
        code: "body.too-large",
        put: |request| Request { length: Some(TOO_LARGE), body: padded(&request.body), ..request },
    },
    Fault { code: "auth.unauthorized", put: |request| request.header("Authorization", "Basic Og==") },
    Fault { code: "body.media-type", put: |request| request.header("Content-Type", "application/xml") },
    Fault {
        code: "body.malformed",
        put: |request| Request { body: request.body.replace('}', "!"), ..request },
    },
    Fault { code: "expects.mismatch", put: |request| request.without("X-Shop") },
    Fault { code: "rate.limited", put: |request| request.header("X-Forwarded-For", FIRST) },
    // The flow's one place is taken.
    Fault { code: "queue.full", put: |request| request },
];

/// Who came before, and took the place.
const FIRST: &str = "203.0.113.1";

fn padded(body: &str) -> String {
    format!("{body:TOO_LARGE$}")
}

async fn code(bench: &Bench, request: &Request) -> String {
    bench.send(request).await.code()
}

#[tokio::test]
async fn of_two_faults_the_earlier_is_told() {
    let bench = open_behind(&["127.0.0.0/8".parse().unwrap()], &[GUARDED]).await;
    let from = |ip: &str| {
        let request = Request::post("/hook/guarded", "{}").by_partner().header("X-Shop", "a");
        request.header("X-Forwarded-For", ip)
    };
    assert_eq!(bench.send(&from(FIRST)).await.status, 202);
    let mut others = (2..=254).map(|n| format!("203.0.113.{n}"));
    for (at, earlier) in FAULTS.iter().enumerate() {
        for later in &FAULTS[at..] {
            let request = from(&others.next().unwrap());
            let request = (earlier.put)((later.put)(request));
            assert_eq!(code(&bench, &request).await, earlier.code, "{} and {}", earlier.code, later.code);
        }
    }
}

#[tokio::test]
async fn a_body_is_read_after_a_password_and_before_a_signature() {
    let bench = open().await;
    let streamed = |path: &str| Request { length: None, ..Request::post(path, &padded("{}")) };
    assert_eq!(code(&bench, &streamed("/hook/partner")).await, "auth.unauthorized");
    assert_eq!(code(&bench, &streamed("/hook/partner").by_partner()).await, "body.too-large");
    let wrong = streamed("/hook/signed").header("X-Signature", &"0".repeat(64));
    assert_eq!(code(&bench, &wrong).await, "body.too-large");
    let wrong = Request::post("/hook/signed", "!").header("X-Signature", &"0".repeat(64));
    assert_eq!(
        code(&bench, &wrong.clone().header("Content-Type", "application/xml")).await,
        "auth.unauthorized"
    );
    assert_eq!(code(&bench, &wrong.signed(&bench)).await, "body.malformed");
    assert_eq!(
        bench.send(&streamed("/hook/signed")).await.code(),
        "auth.unauthorized",
        "no signature, no reading"
    );
}
