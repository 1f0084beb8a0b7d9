//! Claims whose windows are over, and what is kept for a claim alone.

use super::{Bench, nothing};
use crate::{Admitted, Claim, Duplicate, Ended, NewRun, Pending, Progress, Retention, Store as _};
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
            progress: replied(second),
        };
        let (sender, answer) = oneshot::channel();
        let settled = Box::new(move |outcome| drop(sender.send(outcome)));
        self.store.admit(&self.owner, at(second), vec![(run, settled)]);
        Pending::later(answer).await.unwrap()
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
