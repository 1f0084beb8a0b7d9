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
    let usual = next(&retry, &status(503), 1, |_| {});
    assert_eq!(next(&retry, &status(503), 1, wait(0)), usual, "no time is no word of when");
    for (text, expected) in [
        ("120", Some(120)),
        ("Sun, 06 Nov 1994 08:49:37 GMT", Some(7)),
        ("Sun, 06 Nov 1994 08:49:00 GMT", Some(0)),
        ("Sunday, 06-Nov-94 08:49:37 GMT", Some(7)),
        ("Sun Nov  6 08:49:37 1994", Some(7)),
        ("Sun Nov  6 08:49:37", None),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("60000", Some(60_000)),
        ("18446744073709551615", Some(u64::MAX)),
        ("18446744073709551616", None),
        ("", None),
    ] {
        let headers = [("retry-after".to_owned(), Json::from(text))].into_iter().collect();
        assert_eq!(retry_after(&headers, at).map(|wait| wait.as_secs()), expected, "{text}");
    }
}

/// When the tries of a call that always fails begin, in milliseconds, if each takes `takes`.
fn tries(fault: &Fault, takes: Duration, place: u8, more: impl Fn(&mut Failed<'_>)) -> Vec<i64> {
    let retry = Retry::of_a_transaction();
    let mut begun = vec![0];
    for attempt in 1.. {
        let last = begun.last().copied().unwrap();
        let at = Timestamp::from_millisecond(last).unwrap().checked_add(takes).unwrap();
        let due = next(&retry, fault, attempt, |failed| {
            (failed.at, failed.chance) = (at, [place; 32]);
            more(failed);
        });
        let Some(due) = due else { break };
        begun.push(due);
    }
    begun
}

#[test]
fn a_transaction_is_tried_three_more_times_and_the_last_falls_inside_six_minutes() {
    for place in 0..=255 {
        for (takes, apart) in [(0, 60_000), (1, 60_000), (20, 60_000), (30, 45_000), (60, 30_000)] {
            let begun = tries(&status(503), Duration::from_secs(takes), place, |_| {});
            assert_eq!(begun.len(), 4, "{takes}: {begun:?}");
            assert!(begun[3] <= 350_000, "{takes}: {begun:?}");
            let pauses: Vec<_> = begun.windows(2).map(|pair| pair[1] - pair[0]).collect();
            assert!(pauses[0] >= 20_000 && pauses[2] >= apart, "{takes}: {pauses:?}");
        }
    }
}

#[test]
fn a_transaction_is_tried_again_after_answers_of_5xx_and_429_alone() {
    for (again, count) in [(500, 4), (503, 4), (599, 4), (429, 4), (400, 1), (404, 1), (301, 1), (408, 1)] {
        assert_eq!(tries(&status(again), Duration::ZERO, 1, |_| {}).len(), count, "{again}");
    }
    for kind in [FaultKind::Timeout, FaultKind::Connect, FaultKind::Tls, FaultKind::Parse] {
        let fault = Fault::new(kind, Code("x.y"), "");
        assert_eq!(tries(&fault, Duration::ZERO, 1, |_| {}).len(), 1, "{kind:?}");
    }
}

#[test]
fn a_limit_per_minute_is_survived() {
    // It counts what it refuses, too: whoever asks too often is never let in.
    for place in 0..=255 {
        let begun = tries(&status(429), Duration::from_millis(50), place, |_| {});
        let in_the_minute_before_the_last = begun.iter().filter(|begun_at| begun[3] - **begun_at < 60_000);
        assert_eq!(in_the_minute_before_the_last.count(), 1, "{begun:?}");
    }
}

#[test]
fn what_an_answer_asks_for_is_honoured_while_it_fits_into_the_window() {
    let asks = |seconds| {
        tries(&status(429), Duration::ZERO, 1, move |failed| {
            failed.retry_after = Some(Duration::from_secs(seconds));
        })
    };
    let usual = tries(&status(429), Duration::ZERO, 1, |_| {});
    assert_eq!(asks(1), [0, 1_000, 2_000, 3_000]);
    assert_eq!(asks(61), [0, 61_000, 122_000, 183_000]);
    for nothing in [0, 361, 60_000, u64::MAX] {
        assert_eq!(asks(nothing), usual, "{nothing}");
    }
    // Once it fits, and then no more.
    let begun = asks(300);
    assert_eq!((begun.len(), begun[1]), (4, 300_000));
    assert!(begun[3] <= 360_000, "{begun:?}");
}

#[test]
fn the_window_is_never_left() {
    for takes in [119, 120, 200, 359, 360, 400] {
        let begun = tries(&status(503), Duration::from_secs(takes), 1, |_| {});
        assert!(begun.iter().all(|begun_at| *begun_at <= 360_000), "{takes}: {begun:?}");
        assert!(begun.windows(2).all(|pair| pair[1] - pair[0] > i64::try_from(takes).unwrap() * 1_000));
    }
    let within = |failed: &mut Failed<'_>| failed.deadline = Some(Timestamp::from_second(30).unwrap());
    let begun = tries(&status(503), Duration::from_secs(1), 1, within);
    assert!(begun.len() > 1 && begun.iter().all(|begun_at| *begun_at < 30_000), "{begun:?}");
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
