//! Calls by their transactional ID: the same for every try of one step of one run, also after a crash, and what that makes safe.

use super::service::{Folder, Service, until};
use super::target::{Heard, Play, Target};
use super::wire::Request;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

const ID: &str = "${ WebhookRequest.TransactionalId }";

/// The flow `book`, with these steps; `URL` stands for the target, `ID` for the transactional ID.
fn folder(target: &Target, more: &str, steps: &str) -> Folder {
    let steps = steps.replace("URL", &target.url("")).replace("ID", ID);
    let flow = format!("webhook: {{auth: none}}\n{more}\nsteps:\n{steps}");
    Folder::new().config("outbound: {allow: [127.0.0.0/8]}").flow("book", &flow)
}

/// Has the flow run, and says which run it is.
fn book(service: &Service) -> String {
    let answer = service.send(&Request::json("/hook/book", r#"{"items": [1, 2]}"#));
    assert_eq!(answer.status, 202, "{answer:?}");
    answer.header("x-run-id").unwrap().to_owned()
}

fn kill(service: Service) {
    service.signal("KILL");
    service.end();
}

fn ids(heard: &[Heard]) -> BTreeSet<&str> {
    heard.iter().map(|heard| heard.header("x-transaction").unwrap()).collect()
}

const ONE_CALL: &str = "  - {id: a, http: {method: POST, url: 'URL/a', headers: {X-Transaction: 'ID'}}}";

#[test]
fn an_id_is_the_same_wherever_it_stands_in_a_call_and_new_in_every_other() {
    let target = Target::start(|_| Play::Answer(200, "{}"));
    let steps = "
  - for: item
    in: webhook.body.items
    do:
      - http:
          url: URL/${WebhookRequest.TransactionalId}?t=ID
          headers: {X-Transaction: 'ID'}
          text: '{\"id\": \"ID\", \"n\": ${ item }}'
  - http: {url: 'URL/last', query: {t: 'ID'}, headers: {X-Transaction: 'ID-b'}, json: {id: 'ID'}}";
    let folder = folder(&target, "", steps);
    let service = Service::start(&folder);
    book(&service);
    book(&service);
    let heard = target.heard(6);
    for heard in &heard {
        let id = heard.header("x-transaction").unwrap().trim_end_matches("-b");
        let parts: Vec<_> = id.split('-').map(str::len).collect();
        assert_eq!(parts, [8, 4, 4, 4, 12], "{id}");
        assert_eq!(heard.value()["id"], id, "{heard:?}");
        let (path, query) = heard.target.split_once('?').unwrap();
        assert_eq!(query, format!("t={id}"));
        assert!(path == "/last" || path == format!("/{id}"), "{path}");
    }
    assert_eq!(ids(&heard).len(), 6, "{heard:?}");
    service.stop_sound();
}

/// Another try would evaluate the same, so none is made: the flow goes on at once, and not after six minutes.
#[test]
fn a_template_that_fails_ends_a_call_with_an_id_at_once() {
    let target = Target::start(|_| Play::Answer(200, "{}"));
    let steps = "
  - try:
      - http: {method: POST, url: 'URL/a', headers: {X-Transaction: 'ID'}, json: {sku: '${ webhook.body.sku }'}}
    catch:
      - respond: {status: 409, json: {kind: '${ error.kind }'}}
  - respond: {status: 200}";
    let folder = folder(&target, "", steps);
    let service = Service::start(&folder);
    let answer = service.send(&Request::json("/hook/book", r#"{"items": []}"#));
    assert_eq!((answer.status, answer.text().as_str()), (409, r#"{"kind":"expression"}"#));
    assert_eq!(target.count(), 0, "nothing has left");
    service.stop_sound();
}

#[test]
fn after_a_kill_a_call_arrives_again_with_its_id_and_without_one_not() {
    let target = script(|heard, nth| match (heard.target.as_str(), nth) {
        ("/a", 2) => Play::Answer(200, "{}"),
        _ => Play::Hang,
    });
    let steps = format!("{ONE_CALL}\n  - {{id: b, http: {{method: POST, url: 'URL/b'}}}}");
    let folder = folder(&target, "", &steps);
    let service = Service::start(&folder);
    let run = book(&service);
    target.heard(1);
    kill(service);
    // The second try is answered, so the call without an ID leaves, and the node dies again.
    let service = Service::start(&folder);
    target.heard(3);
    kill(service);
    let service = Service::start(&folder);
    until_kept(&service, &run, "\"kind\":\"interrupted\"");
    let heard = target.heard(3);
    assert_eq!(heard.iter().map(|heard| heard.target.as_str()).collect::<Vec<_>>(), ["/a", "/a", "/b"]);
    assert_eq!(heard[0].header("x-transaction"), heard[1].header("x-transaction"), "{heard:?}");
    service.stop_sound();
}

#[test]
fn a_try_that_a_crash_cut_off_counts() {
    // Which tries the node dies at, what else the step says, how many arrive in all, and how the run ends.
    let cases: [(&[usize], &str, usize, &str); 4] = [
        (&[1], "", 4, "\"code\":\"step.http.status\""),
        (&[2], "", 4, "\"attempts\":4"),
        (&[1, 2], ", retry: {tries: 2, on: [503]}", 2, "\"kind\":\"interrupted\""),
        // Who was alone in flight at the third crash is not taken up again.
        (&[1, 2, 3], "", 3, "\"code\":\"run.poison\""),
    ];
    for (kills, more, arrive, ends) in cases {
        let target = script(|_, nth| if kills.contains(&nth) { Play::Hang } else { Play::Later(503, "1") });
        let folder = folder(&target, "", &ONE_CALL.replace("}}}", &format!("}}}}{more}}}")));
        let mut service = Service::start(&folder);
        let run = book(&service);
        for nth in kills {
            target.heard(*nth);
            kill(service);
            service = Service::start(&folder);
        }
        until_kept(&service, &run, ends);
        until_kept(&service, &run, "\"status\":\"failed\",\"attempt\"");
        let heard = target.heard(arrive);
        assert_eq!((heard.len(), ids(&heard).len()), (arrive, 1), "{kills:?}: {heard:?}");
        service.stop_sound();
    }
}

#[test]
fn a_try_that_falls_due_while_the_service_is_away_is_made_after_a_stop() {
    let target = script(|_, nth| if nth == 1 { Play::Later(503, "1") } else { Play::Answer(200, "{}") });
    let steps = ONE_CALL.replace("}}}", "}}, retry: {tries: 2, on: [503]}}");
    let folder = folder(&target, "", &steps);
    let service = Service::start(&folder);
    let run = book(&service);
    until_kept(&service, &run, "\"status\":503");
    service.stop_sound();
    // The end of the pause that the answer asks for; a later start only makes it surer.
    std::thread::sleep(std::time::Duration::from_secs(1));
    let service = Service::start(&folder);
    until_kept(&service, &run, "\"status\":\"succeeded\",\"attempt\"");
    assert_eq!(target.count(), 2);
    service.stop_sound();
}

#[test]
fn a_try_that_waits_holds_no_worker() {
    let target = script(|_, nth| Play::Answer(if nth == 1 { 503 } else { 200 }, "{}"));
    let folder = folder(&target, "queue: {workers: 1}", ONE_CALL);
    let service = Service::start(&folder);
    let run = book(&service);
    until_kept(&service, &run, "\"status\":503");
    book(&service);
    service.until_metric("hookflow_runs_total{flow=\"book\",outcome=\"succeeded\"}", 1);
    service.until_metric("hookflow_runs_in_flight", 0);
    assert_eq!(target.count(), 2);
    service.stop_sound();
}

/// A target that knows which request it is, from 1.
fn script(play: impl Fn(&Heard, usize) -> Play + Send + Sync + 'static) -> Target {
    let count = AtomicUsize::new(0);
    Target::start(move |heard| play(heard, count.fetch_add(1, Ordering::SeqCst) + 1))
}

/// Waits until the store holds so much of a run.
fn until_kept(service: &Service, run: &str, what: &str) {
    until(what, || service.ops(&format!("/api/runs/{run}")).text().contains(what).then_some(()));
}
