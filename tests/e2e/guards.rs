//! The order of the guards: of two things wrong with one request, the earlier guard's is told.

use super::answers::{KEY, call, folder};
use super::service::Service;
use super::wire::{Request, Wire};

struct Fault {
    code: &'static str,
    put: fn(Request) -> Request,
}

const PADDING: usize = 2_000;

/// In the order of the guards, for a flow whose credential stands in the head.
const FAULTS: &[Fault] = &[
    Fault {
        code: "request.ambiguous-length",
        put: |request| request.header("Content-Length", "1").header("Transfer-Encoding", "chunked"),
    },
    Fault { code: "route.unknown", put: |request| Request { target: "/hook/nobody".into(), ..request } },
    Fault { code: "route.method", put: |request| Request { method: "PATCH".into(), ..request } },
    Fault {
        code: "body.too-large",
        put: |request| {
            let body = [&request.body[..], &[b' '; PADDING]].concat();
            request.body(body)
        },
    },
    Fault { code: "auth.unauthorized", put: |request| request.set("X-Api-Key", "another key") },
    Fault { code: "body.content-encoding", put: |request| request.header("Content-Encoding", "zstd") },
    Fault { code: "body.malformed", put: |request| spoilt(request) },
    // The flow's one place is taken.
    Fault { code: "queue.full", put: |request| request },
];

/// With a body that is not JSON, and as long as it was.
fn spoilt(mut request: Request) -> Request {
    request.body[0] = b'!';
    request
}

#[test]
fn of_two_faults_the_earlier_is_told() {
    let narrow = "enabled: paused\nwebhook: {auth: key, body_limit: 1KiB}\nqueue: {capacity: 1}\nsteps: []";
    let folder = folder().flow("narrow", narrow);
    let service = Service::start(&folder);
    let right = call("narrow", "{}");
    assert_eq!(service.send(&right).status, 202);
    for (at, earlier) in FAULTS.iter().enumerate() {
        for later in &FAULTS[at..] {
            let answer = service.send(&(earlier.put)((later.put)(right.clone())));
            assert_eq!(answer.code(), earlier.code, "{} and {}", earlier.code, later.code);
        }
    }
    assert_eq!(service.metric("hookflow_queue_items{flow=\"narrow\"}"), Some(1));
    service.stop_sound();
}

#[test]
fn a_key_is_judged_before_the_body_and_a_signature_behind_it() {
    let folder = folder().config("public: {limits: {body: 1KiB}}");
    let service = Service::start(&folder);
    let chunked = |flow: &str| {
        let chunk = format!("{PADDING:x}\r\n{}\r\n0\r\n\r\n", " ".repeat(PADDING));
        Request { headers: Vec::new(), ..call(flow, &chunk) }
            .header("Content-Type", "application/json")
            .header("Transfer-Encoding", "chunked")
    };
    let code = |request: &Request| service.send(request).code();
    assert_eq!(code(&chunked("created")), "auth.unauthorized");
    assert_eq!(code(&chunked("created").header("X-Api-Key", KEY)), "body.too-large");
    let zeros = "0".repeat(64);
    assert_eq!(code(&chunked("signed").header("X-Signature", &zeros)), "body.too-large");
    let wrong = call("signed", "!").header("X-Signature", &zeros);
    assert_eq!(
        code(&wrong),
        "auth.unauthorized",
        "a body is not read as anything before it is known whose it is"
    );
    assert_eq!(code(&wrong.set("Content-Type", "image/png")), "auth.unauthorized");
    service.stop_sound();
}

#[test]
fn a_shutdown_is_told_before_anything_about_a_flow() {
    let folder = folder();
    let service = Service::start(&folder);
    let mut waiting: Vec<_> = ["nobody", "created"]
        .iter()
        .map(|flow| {
            let mut wire = Wire::connect(service.public);
            let bytes = call(flow, "{}").bytes();
            let (first, rest) = bytes.split_at(20);
            wire.send(first);
            (wire, rest.to_vec())
        })
        .collect();
    // Both have been let in once a later one is answered.
    assert_eq!(service.send(&call("created", "{}")).status, 201);
    service.signal("TERM");
    service.until_draining();
    for (wire, rest) in &mut waiting {
        wire.send(rest);
        let answer = wire.answer();
        assert_eq!((answer.status, answer.code().as_str()), (503, "service.draining"));
        assert!(answer.retry_after().is_some());
    }
    for (wire, _) in waiting {
        wire.assert_closed();
    }
    assert_eq!(service.end().code, Some(0));
}
