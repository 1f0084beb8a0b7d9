//! Every end of a run wakes who waits for it, and what is written is written before anybody hears of it.

use super::bench::{Bench, Server, signed_event};
use crate::{Admission, Conclusion, Limits};
use hookflow_flow::{End, FaultKind};
use hookflow_store::Store as _;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

const PURE: &str = "
flow: pure
webhook: {auth: none}
steps:
  - if: webhook.body.how == 'fail'
    then: [{fail: no}]
  - if: webhook.body.how == 'answer'
    then: [{respond: {status: 201, json: {got: '${ webhook.body.how }'}}}]
  - if: webhook.body.how == 'fail after'
    then: [{respond: {status: 202}}, {fail: late}]
";

fn calling(name: &str, url: &str) -> String {
    format!(
        "flow: {name}\nwebhook: {{auth: none}}\nsteps:\n  - http: {{url: {url}}}\n  - respond: {{status: 200}}\n"
    )
}

#[tokio::test]
async fn pure_runs_end_with_one_write() {
    let bench = Bench::new(&[PURE]).await;
    let hear = async |how: &str| bench.conclusion("pure", json!({"how": how})).await;
    assert!(matches!(hear("answer").await, Conclusion::Reply(reply)
        if reply.status == 201 && &*reply.body == br#"{"got":"answer"}"#));
    assert!(matches!(hear("complete").await, Conclusion::Completed));
    assert!(matches!(hear("fail").await, Conclusion::Failed(fault) if fault.kind == FaultKind::Custom));
    assert!(matches!(hear("fail after").await, Conclusion::Reply(reply) if reply.status == 202));
    assert_eq!(bench.store.writes.load(Ordering::Relaxed), 4);
    let lines = bench.recent("pure", 10).await;
    let ended = lines.iter().filter(|line| line.ended.is_some()).count();
    assert_eq!((lines.len(), ended), (4, 4));
    assert_eq!(bench.metric("hookflow_runs_total{flow=\"pure\",outcome=\"succeeded\"}"), 2);
    assert_eq!(bench.metric("hookflow_runs_total{flow=\"pure\",outcome=\"failed\"}"), 2);
    assert_eq!(bench.metric("hookflow_events_accepted_total{flow=\"pure\"}"), 4);
}

#[tokio::test]
async fn an_event_is_kept_before_its_first_call_leaves() {
    let bench = Bench::new(&[]).await;
    let server = Server::open(&bench.tasks).await;
    bench.install(&[&calling("asking", &server.url)]).await;
    let mut ticket = bench.ticket("asking", json!({})).await;
    bench.until(async || server.hits() == 1).await;
    assert_eq!(bench.unfinished().await, 1, "kept while the call is under way");
    assert!(ticket.persist().await, "and so its ID may be told");
    server.answer(1);
    assert!(matches!(ticket.wait().await, Conclusion::Reply(reply) if reply.status == 200));
    let journal = bench.store.load(&ticket.run).await.unwrap();
    assert_eq!(journal.run.progress.facts.len(), 1);
    assert!(journal.run.progress.reply.is_some() && journal.run.progress.ended.is_some());
    assert_eq!(bench.store.writes.load(Ordering::Relaxed), 2, "the event; the fact with the end");
    assert!(matches!(ticket.wait().await, Conclusion::Gone), "told once");
}

#[tokio::test]
async fn an_early_reply_does_not_wait_for_the_rest() {
    let bench = Bench::new(&[]).await;
    let server = Server::open(&bench.tasks).await;
    let early = format!(
        "flow: early\nwebhook: {{auth: none}}\nsteps:\n  - respond: {{status: 202}}\n  - http: {{url: {0}}}\n  - http: {{url: {0}}}\n",
        server.url
    );
    bench.install(&[&early]).await;
    let mut ticket = bench.ticket("early", json!({})).await;
    assert!(matches!(ticket.wait().await, Conclusion::Reply(reply) if reply.status == 202));
    assert!(bench.store.load(&ticket.run).await.unwrap().run.progress.reply.is_some());
    server.answer(2);
    bench.all_ended().await;
    assert_eq!(bench.store.writes.load(Ordering::Relaxed), 3, "event and reply; a fact; a fact and the end");
    assert_eq!(bench.store.load(&ticket.run).await.unwrap().run.progress.facts.len(), 2);
}

#[tokio::test]
async fn turns_of_a_parallel_loop_call_side_by_side() {
    let bench = Bench::new(&[]).await;
    let server = Server::open(&bench.tasks).await;
    let fan = format!(
        "flow: fan\nwebhook: {{auth: none}}\nsteps:\n  - id: all\n    for: n\n    in: ${{ [1, 2, 3, 4, 5] }}\n    parallel: 5\n    do: [{{id: one, http: {{url: {}}}}}]\n    collect: steps.one.body.n + n\n  - respond: {{json: '${{ steps.all }}'}}\n",
        server.url
    );
    bench.install(&[&fan]).await;
    let mut ticket = bench.ticket("fan", json!({})).await;
    bench.until(async || server.hits() == 5).await;
    server.answer(5);
    assert!(matches!(ticket.wait().await, Conclusion::Reply(reply) if &*reply.body == b"[2,3,4,5,6]"));
}

#[tokio::test]
async fn a_bug_fails_one_run_and_the_worker_lives() {
    let bench = Bench::new(&[]).await;
    let server = Server::open(&bench.tasks).await;
    let twice = format!(
        "flow: twice\nwebhook: {{auth: none}}\nsteps: [{{http: {{url: '{0}'}}}}, {{http: {{url: '{0}'}}}}, {{respond: {{status: 200}}}}]",
        server.url
    );
    bench.install(&[&twice, PURE]).await;
    bench.store.broken.store(true, Ordering::Relaxed);
    server.answer(1);
    let mut ticket = bench.ticket("twice", json!({})).await;
    let Conclusion::Failed(fault) = ticket.wait().await else { panic!("it went well") };
    assert_eq!(fault.code, "run.bug");
    let ended = bench.store.load(&ticket.run).await.unwrap().run.progress.ended.unwrap();
    assert_eq!(*ended.end, End::Failed(fault));
    assert_eq!(bench.metric("hookflow_run_panics_total"), 1);
    assert!(matches!(bench.conclusion("pure", json!({"how": "x"})).await, Conclusion::Completed));
    assert_eq!(bench.tasks.panics(), 0);
}

#[tokio::test]
async fn a_store_that_is_away_is_said_at_once_and_waited_for_when_something_was_promised() {
    let bench = Bench::new(&[PURE]).await;
    let server = Server::open(&bench.tasks).await;
    bench.install(&[&calling("asking", &server.url), PURE]).await;
    let mut ticket = bench.ticket("asking", json!({})).await;
    bench.until(async || server.hits() == 1).await;
    bench.store.away.store(true, Ordering::Relaxed);
    assert!(matches!(bench.conclusion("pure", json!({"how": "answer"})).await, Conclusion::NotKept));
    assert!(matches!(bench.conclusion("asking", json!({})).await, Conclusion::NotKept));
    assert_eq!(server.hits(), 1, "no call leaves before its event is kept");
    server.answer(1);
    assert!(matches!(ticket.wait().await, Conclusion::Gone), "told at once");
    bench.store.away.store(false, Ordering::Relaxed);
    bench
        .until(async || {
            bench.clock.advance(Duration::from_secs(5));
            bench.unfinished().await == 0
        })
        .await;
    let journal = bench.store.load(&ticket.run).await.unwrap();
    assert_eq!(journal.run.progress.facts.len(), 1);
}

#[tokio::test]
async fn a_shutdown_lets_go_of_who_waits_and_finishes_what_it_can() {
    let limits = Limits { patience: Duration::from_secs(5), ..Limits::default() };
    let bench = Bench::with(limits, &[PURE]).await;
    let server = Server::open(&bench.tasks).await;
    let one = calling("asking", &server.url) + "queue: {workers: 1}\n";
    bench.install(&[&one, PURE]).await;
    let mut running = bench.ticket("asking", json!({})).await;
    bench.until(async || server.hits() == 1).await;
    let mut waiting = bench.ticket("asking", json!({})).await;
    let tasks = bench.tasks.clone();
    bench.tasks.spawn("drain", async move {
        tasks.drain(Duration::from_hours(1)).await;
    });
    bench.until(async || bench.tasks.soft().is_set()).await;
    assert!(matches!(
        bench.admit("pure", json!({"how": "x"})).await,
        Admission::Refused(crate::AdmitRefusal::ShuttingDown)
    ));
    bench
        .until(async || {
            bench.clock.advance(Duration::from_secs(1));
            !bench.tasks.running().contains_key("engine shutdown")
        })
        .await;
    assert!(matches!(waiting.wait().await, Conclusion::Gone));
    assert!(matches!(running.wait().await, Conclusion::Gone));
    assert!(!bench.tasks.hard().is_set());
    server.answer(1);
    bench.all_ended().await;
    let journal = bench.store.load(&running.run).await.unwrap();
    assert_eq!(journal.run.progress.facts.len(), 1, "the outcome of a call that was sent is kept");
    bench.engine.close().await;
}

#[tokio::test]
async fn a_hard_stop_wakes_everybody() {
    let bench = Bench::new(&[]).await;
    let server = Server::open(&bench.tasks).await;
    let one = calling("asking", &server.url) + "queue: {workers: 1}\n";
    bench.install(&[&one]).await;
    let mut running = bench.ticket("asking", json!({})).await;
    let mut waiting = bench.ticket("asking", json!({})).await;
    bench.until(async || server.hits() == 1).await;
    bench.tasks.drain(Duration::ZERO).await;
    assert!(matches!(running.wait().await, Conclusion::Gone));
    assert!(matches!(waiting.wait().await, Conclusion::Gone));
    assert_eq!(bench.unfinished().await, 1, "what was kept stays for the next start");
}

#[tokio::test]
async fn an_event_with_the_same_signed_id_is_a_duplicate() {
    let bench = Bench::new(&[
        "flow: sync\nwebhook: {auth: none}\nsteps: [{respond: {status: 200}}]",
        "flow: later\nwebhook: {auth: none}\nsteps: [{set: {a: 1}}]",
    ])
    .await;
    let again = async |flow: &str, id| {
        let live = bench.live(flow);
        match bench.engine.admit(&live, signed_event(flow, id), bench.place(flow)).await {
            Admission::Waiting(mut ticket) => match ticket.wait().await {
                Conclusion::Duplicate(duplicate) => Err(duplicate.run),
                _ => Ok(ticket.run),
            },
            Admission::Queued { run } => Ok(run),
            Admission::Duplicate(duplicate) => Err(duplicate.run),
            Admission::Refused(refusal) => panic!("{refusal:?}"),
        }
    };
    for flow in ["sync", "later"] {
        let first = again(flow, "m-1").await.unwrap();
        assert_eq!(again(flow, "m-1").await, Err(first));
        assert!(again(flow, "m-2").await.is_ok());
    }
    bench.all_ended().await;
}

#[tokio::test]
async fn a_run_whose_caller_left_goes_on() {
    let bench = Bench::new(&[PURE]).await;
    let run = Arc::clone(&bench.ticket("pure", json!({"how": "answer"})).await.run);
    bench.until(async || bench.store.load(&run).await.is_ok()).await;
    assert!(bench.store.load(&run).await.unwrap().run.progress.ended.is_some());
}
