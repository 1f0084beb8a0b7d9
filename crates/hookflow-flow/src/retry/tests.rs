use super::*;
use hookflow_text::{Code, Source, parse};

fn load(text: &str) -> Option<Retry> {
    let mut diagnostics = Diagnostics::default();
    let node = parse(&Source::new("f.yaml", text), &mut diagnostics).unwrap();
    let retry = Retry::load(&node, &mut diagnostics);
    retry.filter(|_| !diagnostics.has_errors())
}

fn status(status: u16) -> Fault {
    Fault { status: Some(status), ..Fault::new(FaultKind::Status, Code("step.http.status"), "") }
}

/// When the next try is, in milliseconds after the beginning.
fn next(retry: &Retry, fault: &Fault, attempt: u32, more: impl FnOnce(&mut Failed<'_>)) -> Option<i64> {
    let start = Timestamp::UNIX_EPOCH;
    let mut failed = Failed {
        fault,
        attempt,
        since: start,
        at: start,
        deadline: None,
        retry_after: None,
        chance: [7; 32],
    };
    more(&mut failed);
    retry.next(&failed).map(Timestamp::as_millisecond)
}

#[test]
fn what_is_tried_again_is_what_on_names() {
    let retry = load("{tries: 5}").unwrap();
    for again in [500, 503, 599, 429] {
        assert!(next(&retry, &status(again), 1, |_| {}).is_some(), "{again}");
    }
    for kind in [FaultKind::Timeout, FaultKind::Connect] {
        assert!(next(&retry, &Fault::new(kind, Code("x.y"), ""), 1, |_| {}).is_some());
    }
    assert_eq!(next(&retry, &status(404), 1, |_| {}), None);
    assert_eq!(next(&retry, &Fault::new(FaultKind::Parse, Code("x.y"), ""), 1, |_| {}), None);
    let retry = load("{on: [404, parse]}").unwrap();
    assert!(next(&retry, &status(404), 1, |_| {}).is_some());
    assert!(next(&retry, &Fault::new(FaultKind::Parse, Code("x.y"), ""), 1, |_| {}).is_some());
    assert_eq!(next(&retry, &status(500), 1, |_| {}), None);
}

#[test]
fn every_send_counts_and_every_pause_doubles() {
    let retry = load("{tries: 4, backoff: 1s..3s}").unwrap();
    for (attempt, least, most) in [(1, 500, 1_000), (2, 1_000, 2_000), (3, 1_500, 3_000)] {
        let due = next(&retry, &status(503), attempt, |_| {}).unwrap();
        assert!((least..=most).contains(&due), "{attempt}: {due}");
        assert_eq!(Some(due), next(&retry, &status(503), attempt, |_| {}), "the same place, the same pause");
        assert_ne!(Some(due), next(&retry, &status(503), attempt, |failed| failed.chance = [8; 32]));
    }
    assert_eq!(next(&retry, &status(503), 4, |_| {}), None);
    assert_eq!(next(&retry, &status(503), 400, |_| {}), None);
}

#[test]
fn no_try_begins_beyond_the_window_or_a_deadline() {
    let retry = load("{tries: 9, backoff: 10s, within: 1m}").unwrap();
    let at = |seconds| Timestamp::from_second(seconds).unwrap();
    assert!(next(&retry, &status(503), 1, |failed| failed.at = at(49)).is_some());
    assert_eq!(next(&retry, &status(503), 1, |failed| failed.at = at(56)), None);
    assert_eq!(next(&retry, &status(503), 1, |failed| failed.deadline = Some(at(4))), None);
}

#[test]
fn an_answer_may_say_when() {
    let retry = load("{backoff: 1s, within: 1m}").unwrap();
    let wait =
        |seconds| move |failed: &mut Failed<'_>| failed.retry_after = Some(Duration::from_secs(seconds));
    assert_eq!(next(&retry, &status(503), 1, wait(30)), Some(30_000));
    let pause = next(&retry, &status(503), 1, wait(90)).unwrap();
    assert!((500..=1_000).contains(&pause), "it does not fit, so the usual pause: {pause}");
    let at = Timestamp::from_second(784_111_770).unwrap();
    for (text, expected) in [
        ("120", Some(120)),
        ("Sun, 06 Nov 1994 08:49:37 GMT", Some(7)),
        ("Sun, 06 Nov 1994 08:49:00 GMT", Some(0)),
        ("soon", None),
        ("-5", None),
    ] {
        let headers = [("retry-after".to_owned(), Json::from(text))].into_iter().collect();
        assert_eq!(retry_after(&headers, at).map(|wait| wait.as_secs()), expected, "{text}");
    }
}

#[test]
fn a_retry_that_means_nothing_is_refused() {
    for bad in [
        "{tries: 0}",
        "{tries: 101}",
        "{on: [6xx]}",
        "{on: [custom]}",
        "{on: 5xx}",
        "{backoff: 5s..1s}",
        "{backoff: fast}",
        "{within: 5}",
        "{trys: 3}",
        "3",
    ] {
        assert_eq!(load(bad), None, "{bad}");
    }
    assert_eq!(load("{}"), Some(Retry::default()));
    assert_eq!(load("{backoff: 500ms..30s, on: [5xx, 429, timeout, connect]}"), Some(Retry::default()));
}
