//! Claims whose windows are over, and what is kept for a claim alone.

use super::{Bench, nothing};
use crate::{
    Admitted, Claim, DeliveryState, Duplicate, Emitter, Ended, NewRun, Outbox as _, Outgoing, Pending,
    Progress, Rejected, Retention, Store as _, Tried,
};
use hookflow_flow::{End, Reply};
use jiff::Timestamp;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

const HOUR: i64 = 3_600;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn replied(second: i64) -> Progress {
    let end = Arc::new(End::Succeeded(serde_json::Value::Null));
    let reply = Reply { status: http::StatusCode::OK, headers: Vec::new(), body: "hello".into() };
    Progress { reply: Some(Arc::new(reply)), ended: Some(Ended { end, at: at(second) }), ..nothing() }
}

impl Bench {
    /// Admits a run that has ended, with claims of an hour.
    async fn admit_claiming(&self, second: i64, run: &str, keys: &[&str]) -> Admitted {
        self.admit_progress(second, run, keys, replied(second)).await.unwrap()
    }

    fn admit_progress(&self, second: i64, run: &str, keys: &[&str], progress: Progress) -> Pending<Admitted> {
        let claim = |key: &&str| {
            let window = Duration::from_hours(1);
            Claim { scope: "shop".into(), key: (*key).into(), window }
        };
        let run = NewRun {
            run: run.into(),
            flow: "shop".into(),
            attempt: 1,
            seed: [0; 16],
            started_at: at(second),
            event: super::event(),
            bytes: 10,
            claims: keys.iter().map(claim).collect(),
            order: None,
            replays: None,
            progress,
        };
        let (sender, answer) = oneshot::channel();
        let settled = Box::new(move |outcome| drop(sender.send(outcome)));
        self.store.admit(&self.owner, at(second), vec![(run, settled)]);
        Pending::later(answer)
    }

    async fn count(&self, table: &'static str) -> i64 {
        let sql = format!("SELECT count(*) FROM {table}");
        self.store
            .read(move |connection| Ok(connection.query_row(&sql, (), |row| row.get(0))?))
            .await
            .unwrap()
    }

    async fn prune_all(&self) {
        let nothing_stays = Retention { ended_since: Timestamp::MAX, bytes: u64::MAX, runs: u64::MAX };
        self.store.prune(&nothing_stays, 100).await.unwrap();
    }
}

#[tokio::test]
async fn claims_whose_windows_are_over_are_forgotten() {
    let bench = Bench::new().await;
    for n in 0..10 {
        bench.admit_claiming(n, &format!("r{n}"), &[&format!("k{n}")]).await;
    }
    assert_eq!(bench.count("claims").await, 10);
    bench.admit_claiming(2 * HOUR, "late", &["late"]).await;
    assert_eq!(bench.count("claims").await, 1);
    assert_eq!(bench.count("replies").await, 11, "the runs are kept all the same");
}

#[tokio::test]
async fn a_reply_outlives_its_run_for_as_long_as_its_claims() {
    let bench = Bench::new().await;
    bench.admit_claiming(0, "a", &["k", "l"]).await;
    bench.admit_claiming(0, "b", &[]).await;
    bench.prune_all().await;
    for (table, rows) in [("events", 0), ("ends", 0), ("replies", 1), ("claims", 2)] {
        assert_eq!(bench.count(table).await, rows, "{table}");
    }
    for key in ["k", "l"] {
        let again = bench.admit_claiming(1, "again", &[key]).await;
        let reply = replied(0).reply;
        assert_eq!(again, Admitted::Duplicate(Duplicate { run: "a".into(), ended: true, reply }));
    }
    // One of its claims is taken over, the other one is swept away, and the reply with the last.
    bench.admit_claiming(HOUR, "c", &["k"]).await;
    bench.prune_all().await;
    assert_eq!((bench.count("claims").await, bench.count("replies").await), (1, 1), "those of c");
}

/// How many pages the file has, and how many rows are in its tables.
async fn size(bench: &Bench) -> (i64, i64) {
    let pages = bench.store.read(|file| Ok(file.query_row("PRAGMA page_count", (), |row| row.get(0))?));
    let pages = pages.await.unwrap();
    let mut rows = 0;
    for table in
        ["events", "ends", "replies", "claims", "facts", "blobs", "rejected", "inbox", "open", "sent"]
    {
        rows += bench.count(table).await;
    }
    (pages, rows)
}

#[tokio::test]
async fn what_is_forgotten_leaves_its_room_to_what_comes() {
    const ROUNDS: usize = 36;
    let bench = Bench::new().await;
    let keep = Retention { ended_since: Timestamp::MIN, bytes: u64::MAX, runs: 200 };
    let mut sizes = Vec::new();
    for round in 0..ROUNDS {
        let second = i64::try_from(round).unwrap() * HOUR;
        let admitted = (0..100).map(|n| {
            // They are of different sizes, so that the room of one does not fit the next.
            let body = "x".repeat(100 + (round * 37 + n * 101) % 5_000);
            let mut progress = replied(second);
            if let Some(reply) = &mut progress.reply {
                Arc::make_mut(reply).body = body.into();
            }
            bench.admit_progress(second, &format!("{round}-{n}"), &[&format!("k-{round}-{n}")], progress)
        });
        for admitted in admitted.collect::<Vec<_>>() {
            assert!(admitted.await.unwrap().is_kept());
        }
        let rejected = |n| Rejected { at: at(n), flow: None, told: "x".repeat(500).into() };
        bench.store.keep_rejected((0..100).map(rejected).collect()).await.unwrap();
        while bench.store.prune(&keep, 50).await.unwrap().more {}
        sizes.push(size(&bench).await);
    }
    let (early, late) = (&sizes[ROUNDS / 3..ROUNDS / 2], &sizes[ROUNDS / 2..]);
    let most = |sizes: &[(i64, i64)]| (sizes.iter().map(|it| it.0).max(), sizes.iter().map(|it| it.1).max());
    assert_eq!(most(early).1, most(late).1, "rows: {sizes:?}");
    assert!(most(late).0.unwrap() <= most(early).0.unwrap() * 21 / 20, "pages: {sizes:?}");
}

#[tokio::test]
async fn what_is_still_to_be_delivered_pushes_no_run_out() {
    for (events, bytes) in [(100, 20_000), (5_000, 10)] {
        let bench = Bench::new().await;
        bench.admit_claiming(0, "a", &[]).await;
        let publish = |n| {
            let (id, name) = (format!("e{n}").into(), "order.created".into());
            let (by, data, to) = (Emitter::Caller(None), "x".repeat(bytes).into(), vec!["crm".into()]);
            bench.store.publish(&bench.owner, &Outgoing { id, name, at: at(0), by, data, to })
        };
        for published in (0..events).map(publish).collect::<Vec<_>>() {
            published.await.unwrap();
        }
        let keep = Retention { ended_since: Timestamp::MIN, bytes: 512 << 10, runs: u64::MAX };
        assert_eq!(bench.store.prune(&keep, 100).await.unwrap().runs, 0, "{events} events");
        let settle = |n| {
            let (state, told) = (DeliveryState::Delivered, serde_json::Value::Null);
            bench.store.settle(&bench.owner, &format!("e{n}_crm"), 0, Tried { state, due: None, told })
        };
        for settled in (0..events).map(settle).collect::<Vec<_>>() {
            settled.await.unwrap();
        }
        assert_eq!(bench.store.prune(&keep, 100).await.unwrap().runs, 1, "{events} events");
    }
}
