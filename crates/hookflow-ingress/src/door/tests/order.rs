//! The order of the guards: of two faults in one request, the earlier guard's is told.

use super::bench::{Bench, Request, open};

/// A fault, by the guard that finds it.
struct Fault {
    code: &'static str,
    put: fn(Request) -> Request,
}

const TOO_LARGE: usize = 2_000;

/// For a flow whose credential stands in the head, in the order of the guards.
const FAULTS: &[Fault] = &[
    Fault { code: "request.ambiguous-length", put: |request| request.header("content-length", "0") },
    Fault { code: "route.unknown", put: |request| Request { path: "/hook/none".into(), ..request } },
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
    // The flow's one place is taken.
    Fault { code: "queue.full", put: |request| request },
];

fn padded(body: &str) -> String {
    format!("{body:TOO_LARGE$}")
}

async fn code(bench: &Bench, request: &Request) -> String {
    bench.send(request).await.code()
}

#[tokio::test]
async fn of_two_faults_the_earlier_is_told() {
    let bench = open().await;
    let right = Request::post("/hook/full", "{}").by_partner();
    assert_eq!(bench.send(&right).await.status, 202);
    for (at, earlier) in FAULTS.iter().enumerate() {
        for later in &FAULTS[at..] {
            let request = (earlier.put)((later.put)(right.clone()));
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
