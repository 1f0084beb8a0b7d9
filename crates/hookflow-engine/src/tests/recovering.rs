//! What the next life of a node finds: every accepted event reaches its end, nothing that has left leaves twice, and who
//! takes the node down is set aside.

use super::bench::{Bench, Server};
use crate::Conclusion;
use hookflow_flow::{End, FaultKind};
use hookflow_store::{Inbound, Posted, RunStatus, Store as _};
use serde_json::json;
use std::sync::Arc;

const LATER: &str = "
flow: later
webhook: {auth: none}
queue: {workers: 1}
steps: [{stop: '${ webhook.body.n }'}]
";

fn paused(flow: &str) -> String {
    flow.replace("webhook:", "enabled: paused\nwebhook:")
}

fn calling(method: &str, url: &str) -> String {
    format!(
        "flow: calling\nwebhook: {{auth: none}}\nsteps:\n  - {{id: a, on_error: continue, http: {{method: {method}, url: '{url}'}}}}\n  - stop: '${{ steps.a.ok }}'\n"
    )
}

/// How the flow's runs ended, in the order in which they were admitted.
async fn ends(bench: &Bench, flow: &str) -> Vec<End> {
    let mut runs = bench.recent(flow, 100_000).await;
    runs.reverse();
    runs.iter().filter_map(|line| line.ended.as_ref()).map(|ended| End::clone(&ended.end)).collect()
}

#[tokio::test]
async fn what_was_waiting_runs_in_the_next_life_and_in_order() {
    let bench = Bench::new(&[&paused(LATER)]).await;
    let mut runs = Vec::new();
    for n in 0..60 {
        runs.push(bench.queued("later", json!({"n": n})).await);
    }
    let next = bench.next_life(&[&paused(LATER)]).await;
    assert_eq!(next.metric("hookflow_queue_items{flow=\"later\"}"), 60, "counted before the door opens");
    next.install(&[LATER]).await;
    next.all_ended().await;
    assert_eq!(ends(&next, "later").await, (0..60).map(|n| End::Succeeded(json!(n))).collect::<Vec<_>>());
    next.until(async || next.metric("hookflow_queue_items{flow=\"later\"}") == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beyond_the_window_events_lie_in_the_store_and_nothing_overtakes() {
    let server_flow =
        LATER.replace("flow: later", "flow: many\nqueue_is: one").replace("queue_is: one\n", "");
    let bench = Bench::new(&[&paused(&server_flow)]).await;
    for n in 0..3_500 {
        bench.queued("many", json!({"n": n})).await;
    }
    assert_eq!(bench.metric("hookflow_queue_items{flow=\"many\"}"), 3_500);
    bench.install(&[&server_flow]).await;
    for n in 3_500..4_000 {
        bench.queued("many", json!({"n": n})).await;
    }
    bench.all_ended().await;
    // The store keeps the latest only, in the order of admission; each end is its own event's.
    let ended = ends(&bench, "many").await;
    assert_eq!(ended.last(), Some(&End::Succeeded(json!(3_999))));
    let succeeded = "hookflow_runs_total{flow=\"many\",outcome=\"succeeded\"}";
    bench.until(async || bench.metric(succeeded) == 4_000).await;
    bench.until(async || bench.metric("hookflow_queue_items{flow=\"many\"}") == 0).await;
}

#[tokio::test]
async fn a_run_goes_on_where_its_journal_ends() {
    let bench = Bench::new(&[]).await;
    let server = Server::open(&bench.tasks).await;
    let two = format!(
        "flow: two\nwebhook: {{auth: none}}\nsteps:\n  - {{id: a, http: {{url: '{0}', capture: {{n: n}}}}}}\n  - {{id: b, http: {{url: '{0}'}}}}\n  - stop: ['${{ steps.a.n }}', '${{ webhook.body.n }}']\n",
        server.url
    );
    bench.install(&[&two]).await;
    let run = bench.queued("two", json!({"n": 7})).await;
    server.answer(1);
    bench.until(async || server.hits() == 2).await;
    assert_eq!(bench.store.load(&run).await.unwrap().run.progress.facts.len(), 1);
    // The flow is another one by now; what has begun stays on its version.
    let next = bench.next_life(&["flow: two\nwebhook: {auth: none}\nsteps: [{stop: replaced}]"]).await;
    next.until(async || server.hits() == 3).await;
    server.answer(2);
    next.all_ended().await;
    assert_eq!(ends(&next, "two").await, [End::Succeeded(json!([1, 7]))]);
    assert_eq!(server.hits(), 3, "the first call was not repeated");
}

#[tokio::test]
async fn a_call_that_had_left_is_repeated_only_when_that_harms_nobody() {
    for (method, hits, ok) in [("GET", 2, true), ("POST", 1, false)] {
        let bench = Bench::new(&[]).await;
        let server = Server::open(&bench.tasks).await;
        let flow = calling(method, &server.url);
        bench.install(&[&flow]).await;
        bench.queued("calling", json!({})).await;
        bench.until(async || server.hits() == 1).await;
        let next = bench.next_life(&[&flow]).await;
        if ok {
            next.until(async || server.hits() == 2).await;
            server.answer(2);
        }
        next.all_ended().await;
        assert_eq!(ends(&next, "calling").await, [End::Succeeded(json!(ok))], "{method}");
        assert_eq!(server.hits(), hits, "{method}");
    }
}

#[tokio::test]
async fn a_former_life_changes_nothing_any_more() {
    let bench = Bench::new(&[]).await;
    let server = Server::open(&bench.tasks).await;
    let flow = calling("GET", &server.url);
    bench.install(&[&flow]).await;
    let run = bench.queued("calling", json!({})).await;
    bench.until(async || server.hits() == 1).await;
    let next = bench.next_life(&[&flow]).await;
    next.until(async || server.hits() == 2).await;
    server.answer(2);
    next.all_ended().await;
    let facts = next.store.load(&run).await.unwrap().run.progress.facts;
    assert_eq!(facts.len(), 1, "both asked, one may write");
}

#[tokio::test]
async fn events_of_a_flow_that_is_gone_run_on_the_version_they_came_to() {
    let bench = Bench::new(&[&paused(LATER)]).await;
    bench.queued("later", json!({"n": 1})).await;
    let next = bench.next_life(&[]).await;
    assert_eq!(next.unfinished().await, 1, "it was paused, and still is");
    let bench = Bench::new(&[]).await;
    let server = Server::open(&bench.tasks).await;
    let flow = calling("GET", &server.url);
    bench.install(&[&flow]).await;
    bench.queued("calling", json!({})).await;
    bench.until(async || server.hits() == 1).await;
    let next = bench.next_life(&[]).await;
    next.until(async || server.hits() == 2).await;
    server.answer(2);
    next.all_ended().await;
    assert_eq!(ends(&next, "calling").await, [End::Succeeded(json!(true))]);
}

#[tokio::test]
async fn a_run_that_takes_the_node_down_three_times_is_set_aside() {
    let bench = Bench::new(&[]).await;
    let server = Server::open(&bench.tasks).await;
    let flow = calling("GET", &server.url);
    bench.install(&[&flow]).await;
    let poison = bench.queued("calling", json!({})).await;
    bench.until(async || server.hits() == 1).await;
    // The first crash proves nothing: it runs at once.
    let second = bench.next_life(&[&flow]).await;
    second.until(async || server.hits() == 2).await;
    // After the second it is alone.
    let third =
        second.next_life(&[&flow, "flow: other\nwebhook: {auth: none}\nsteps: [{set: {a: 1}}]"]).await;
    third.until(async || server.hits() == 3).await;
    third.queued("other", json!({})).await;
    assert_eq!(third.unfinished().await, 2, "nothing else starts");
    let fourth =
        third.next_life(&[&flow, "flow: other\nwebhook: {auth: none}\nsteps: [{set: {a: 1}}]"]).await;
    fourth.all_ended().await;
    let ended = fourth.store.load(&poison).await.unwrap().run.progress.ended.unwrap();
    assert!(matches!(&*ended.end, End::Failed(fault) if fault.code == "run.poison"));
    assert_eq!(ends(&fourth, "other").await, [End::Succeeded(json!(null))]);
    assert_eq!(server.hits(), 3);
    assert_eq!(fourth.metric("hookflow_runs_poisoned_total"), 1);
}

#[tokio::test]
async fn what_is_paused_is_not_tried_after_two_crashes() {
    let bench = Bench::new(&[&paused(LATER)]).await;
    let run = bench.queued("later", json!({"n": 1})).await;
    let mut bench = bench;
    for _ in 0..4 {
        bench = bench.next_life(&[&paused(LATER)]).await;
        // Whatever else there is need not wait for it either.
        bench.engine.0.trials.wait().await;
        assert_eq!(bench.unfinished().await, 1);
    }
    bench.install(&[LATER]).await;
    bench.all_ended().await;
    assert_eq!(ends(&bench, "later").await, [End::Succeeded(json!(1))]);
    let ended = bench.store.load(&run).await.unwrap().run.progress.ended.unwrap();
    assert_eq!(*ended.end, End::Succeeded(json!(1)));
}

#[tokio::test]
async fn an_end_in_order_makes_nobody_a_suspect() {
    let bench = Bench::new(&[&paused(LATER)]).await;
    let run = bench.queued("later", json!({"n": 1})).await;
    let mut bench = bench;
    for _ in 0..5 {
        bench.engine.close().await;
        bench = bench.next_life(&[&paused(LATER)]).await;
    }
    let owner = bench.store.register(&"node-1".into()).await.unwrap().owner;
    assert_eq!(bench.store.suspect(&owner, vec![run]).await.unwrap(), [1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_of_one_key_are_run_one_after_the_other() {
    let bench = Bench::new(&[]).await;
    let server = Server::open(&bench.tasks).await;
    let flow = format!(
        "flow: lanes\nwebhook: {{auth: none}}\nqueue: {{workers: 8, order_by: '${{ webhook.body.who }}'}}\nsteps:\n  - http: {{url: '{}'}}\n  - respond: {{json: '${{ webhook.body.n }}'}}\n",
        server.url
    );
    bench.install(&[&flow]).await;
    let mut tickets = Vec::new();
    for n in 0..9 {
        tickets.push(bench.ticket("lanes", json!({"who": format!("k{}", n % 3), "n": n})).await);
    }
    bench.until(async || server.hits() == 3).await;
    assert_eq!(bench.metric("hookflow_runs_in_flight"), 3, "one of each key");
    assert_eq!(bench.metric("hookflow_queue_items{flow=\"lanes\"}"), 6);
    server.answer(9);
    for (n, ticket) in tickets.iter_mut().enumerate() {
        let Conclusion::Reply(reply) = ticket.wait().await else { panic!("no reply") };
        assert_eq!(&*reply.body, n.to_string().as_bytes());
    }
    bench.all_ended().await;
    let mut seen = std::collections::HashMap::new();
    for line in bench.recent("lanes", 9).await.iter().rev() {
        let journal = bench.store.load(&line.run).await.unwrap();
        let who = journal.run.order.clone().unwrap();
        let ended = journal.run.progress.ended.unwrap().at;
        let begun = journal.run.progress.begun_at.unwrap();
        let before = seen.insert(who, ended);
        assert!(before.is_none_or(|before| before <= begun), "the former one had ended");
    }
    bench.until(async || bench.metric("hookflow_queue_items{flow=\"lanes\"}") == 0).await;
}

#[tokio::test]
async fn a_run_can_be_cancelled_wherever_it_is() {
    let bench = Bench::new(&[]).await;
    let server = Server::open(&bench.tasks).await;
    let flow = calling("GET", &server.url);
    bench.install(&[&flow, &paused(LATER)]).await;
    let in_hand = bench.queued("calling", json!({})).await;
    bench.until(async || server.hits() == 1).await;
    let waiting = bench.queued("later", json!({"n": 1})).await;
    for run in [&in_hand, &waiting] {
        let posted = bench.engine.post(run, Inbound::Cancel { at: bench.clock.now() }).await.unwrap();
        assert!(matches!(posted, Posted::Kept { parked: false, .. }));
    }
    bench.until(async || bench.unfinished().await == 1).await;
    let next = bench.next_life(&[LATER]).await;
    next.all_ended().await;
    for run in [&in_hand, &waiting] {
        let ended = next.store.load(run).await.unwrap().run.progress.ended.unwrap();
        assert!(matches!(&*ended.end, End::Failed(fault) if fault.kind == FaultKind::Cancelled));
        let again = next.engine.post(run, Inbound::Cancel { at: next.clock.now() }).await.unwrap();
        assert_eq!(again, Posted::Over);
    }
    let failed = next.recent("calling", 1).await;
    assert_eq!(failed.first().map(|line| line.status), Some(RunStatus::Failed));
}

#[tokio::test]
async fn a_child_goes_on_within_its_parent_in_the_next_life() {
    let bench = Bench::new(&[]).await;
    let server = Server::open(&bench.tasks).await;
    // It runs itself on its only worker.
    let flow = format!(
        "flow: twice\nwebhook: {{auth: none}}\nqueue: {{workers: 1}}\nsteps:\n  - {{id: a, http: {{url: '{0}', capture: {{n: n}}}}}}\n  - when: webhook.body.n == 0\n    return: '${{ steps.a.n }}'\n  - {{id: c, run: twice, with: {{n: 0}}}}\n  - stop: ['${{ steps.a.n }}', '${{ steps.c }}']\n",
        server.url
    );
    bench.install(&[&flow]).await;
    let run = bench.queued("twice", json!({"n": 1})).await;
    bench.until(async || server.hits() == 1).await;
    server.answer(1);
    bench.until(async || server.hits() == 2).await;
    let next = bench.next_life(&[&flow]).await;
    next.until(async || server.hits() == 3).await;
    server.answer(2);
    next.all_ended().await;
    let ended = next.store.load(&run).await.unwrap().run.progress.ended.unwrap();
    assert_eq!(*ended.end, End::Succeeded(json!([1, 1])));
    assert_eq!(next.recent("twice", 10).await.len(), 2, "the child was not begun a second time");
}

#[tokio::test]
async fn children_of_a_run_that_is_set_aside_end_too() {
    let mut bench = Bench::new(&[]).await;
    let server = Server::open(&bench.tasks).await;
    let parent = "flow: parent\nwebhook: {auth: none}\nsteps: [{run: child}]";
    let child = format!("flow: child\nsteps: [{{http: {{url: '{}'}}}}, {{sleep: 1d}}]", server.url);
    bench.install(&[parent, &child]).await;
    let poison = bench.queued("parent", json!({})).await;
    for life in 1..=3 {
        bench.until(async || server.hits() == life).await;
        bench = bench.next_life(&[parent, &child]).await;
    }
    bench.all_ended().await;
    let code = async |run: &str| match &*bench.store.load(run).await.unwrap().run.progress.ended.unwrap().end
    {
        End::Failed(fault) => fault.code.clone(),
        End::Succeeded(value) => panic!("{value}"),
    };
    assert_eq!(code(&poison).await, "run.poison");
    let children = bench.recent("child", 10).await;
    assert_eq!(children.len(), 1, "it was begun once");
    assert_eq!(code(&children[0].run).await, "run.cancelled");
    assert_eq!(server.hits(), 3);
}

#[tokio::test]
async fn a_run_that_cannot_be_read_ends_and_holds_nobody() {
    let bench = Bench::new(&[&paused(LATER)]).await;
    let mut runs = Vec::new();
    for n in 0..3 {
        runs.push(bench.queued("later", json!({"n": n})).await);
    }
    *bench.store.unreadable.lock().unwrap() = Some(Arc::clone(&runs[1]));
    let next = bench.next_life(&[LATER]).await;
    next.all_ended().await;
    let ends = ends(&next, "later").await;
    assert_eq!((&ends[0], &ends[2]), (&End::Succeeded(json!(0)), &End::Succeeded(json!(2))));
    assert!(matches!(&ends[1], End::Failed(fault) if fault.code == "run.unreadable"), "{ends:?}");
    next.until(async || next.metric("hookflow_queue_items{flow=\"later\"}") == 0).await;
    assert_eq!(next.metric("hookflow_runs_total{flow=\"later\",outcome=\"failed\"}"), 1);
}

#[tokio::test]
async fn the_first_event_of_a_flow_that_is_gone_may_be_unreadable() {
    let bench = Bench::new(&[]).await;
    let server = Server::open(&bench.tasks).await;
    let flow = calling("GET", &server.url);
    bench.install(&[&flow]).await;
    let first = bench.queued("calling", json!({})).await;
    let second = bench.queued("calling", json!({})).await;
    bench.until(async || server.hits() == 2).await;
    *bench.store.unreadable.lock().unwrap() = Some(Arc::clone(&first));
    let next = bench.next_life(&[]).await;
    next.until(async || server.hits() == 3).await;
    server.answer(3);
    next.all_ended().await;
    *next.store.unreadable.lock().unwrap() = None;
    let ended = async |run: &str| next.store.load(run).await.unwrap().run.progress.ended.unwrap().end;
    assert!(matches!(&*ended(&first).await, End::Failed(fault) if fault.code == "run.unreadable"));
    assert_eq!(*ended(&second).await, End::Succeeded(json!(true)));
}
