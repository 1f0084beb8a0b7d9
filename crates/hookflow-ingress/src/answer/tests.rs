use super::*;
use serde_json::json;

fn heard(conclusion: Conclusion) -> (u16, Option<&'static str>, Response<Bytes>) {
    let outcome = Outcome::Concluded { run: "r-1".into(), conclusion };
    let answer = respond(outcome, &RequestId::new("q-1"));
    assert_eq!(answer.response.headers().get(X_REQUEST_ID).unwrap(), "q-1");
    (answer.response.status().as_u16(), answer.code.map(|code| code.0), answer.response)
}

fn reply(status: u16, headers: &[(&'static str, &'static str)]) -> Arc<Reply> {
    let headers = headers
        .iter()
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
        .collect();
    Arc::new(Reply {
        status: StatusCode::from_u16(status).unwrap(),
        headers,
        body: Bytes::from_static(b"{}"),
    })
}

#[test]
fn a_flow_sets_what_is_its_own() {
    let headers = [
        ("set-cookie", "a=1"),
        ("set-cookie", "b=2"),
        ("content-length", "7"),
        ("transfer-encoding", "chunked"),
        ("connection", "upgrade"),
        ("upgrade", "x"),
        ("x-run-id", "mine"),
        ("x-request-id", "mine"),
    ];
    let (status, code, response) = heard(Conclusion::Reply(reply(299, &headers)));
    assert_eq!((status, code, response.body().as_ref()), (299, None, b"{}".as_slice()));
    let names: Vec<_> =
        response.headers().iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
    let expected =
        [("x-request-id", "q-1"), ("x-run-id", "r-1"), ("set-cookie", "a=1"), ("set-cookie", "b=2")];
    assert_eq!(names, expected);
    for status in [204, 304] {
        assert!(heard(Conclusion::Reply(reply(status, &[]))).2.body().is_empty(), "{status}");
    }
}

#[test]
fn a_failure_is_never_a_success() {
    for (kind, answer, status) in [
        (FaultKind::Connect, None, 500),
        (FaultKind::Validation, None, 422),
        (FaultKind::Validation, Some(409), 409),
        (FaultKind::Custom, Some(599), 599),
        (FaultKind::Custom, Some(200), 500),
        (FaultKind::Custom, Some(302), 500),
        (FaultKind::Custom, Some(7), 500),
    ] {
        let mut fault = Fault::new(kind, Code("step.fail"), "not for the caller");
        fault.answer = answer;
        let (heard, code, response) = heard(Conclusion::Failed(fault));
        assert_eq!((heard, code), (status, Some("flow-failed")), "{kind:?} {answer:?}");
        assert!(!String::from_utf8_lossy(response.body()).contains("not for"));
    }
}

#[test]
fn a_duplicate_hears_the_first_answer_again() {
    let duplicate = |ended, reply| Conclusion::Duplicate(Duplicate { run: "r-0".into(), ended, reply });
    for ended in [false, true] {
        let (status, _, response) = heard(duplicate(ended, Some(reply(201, &[]))));
        let headers = response.headers();
        assert_eq!(
            (status, &headers[IDEMPOTENT_REPLAYED], &headers[X_RUN_ID]),
            (201, &HeaderValue::from_static("true"), &HeaderValue::from_static("r-0"))
        );
    }
    let (status, _, response) = heard(duplicate(true, None));
    let body: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
    assert_eq!((status, body), (200, json!({"run_id": "r-0", "status": "completed"})));
    assert_eq!(response.headers()[IDEMPOTENT_REPLAYED], "true");
    let (status, code, response) = heard(duplicate(false, None));
    assert_eq!((status, code), (503, Some("run.unanswered")));
    assert_eq!(
        (&response.headers()[X_RUN_ID], response.headers().get(IDEMPOTENT_REPLAYED)),
        (&HeaderValue::from_static("r-0"), None)
    );
    assert_eq!(heard(Conclusion::Gone).1, Some("run.unanswered"));
}

#[test]
fn waits_are_whole_seconds_rounded_up() {
    let seconds = |millis| whole_seconds(Duration::from_millis(millis));
    assert_eq!([seconds(0), seconds(1), seconds(1_000), seconds(1_001), seconds(90_000)], [1, 1, 1, 2, 90]);
}
