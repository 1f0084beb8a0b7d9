//! Who holds a claim, and for how long.

use super::{Bench, claims, duplicate, failed, nothing, replied, reply, succeeded};
use crate::{NewRun, Store, StoreError};
use hookflow_trigger::Event;
use std::sync::Arc;

pub(super) async fn passes(open: &impl Fn() -> Arc<dyn Store>, event: &Arc<Event>) -> Result<(), StoreError> {
    a_claim_stands_while_its_run_is_unfinished(&Bench::on(open(), event).await?).await?;
    a_claim_is_kept_with_the_reply_for_its_window(&Bench::on(open(), event).await?).await?;
    a_claim_is_released_by_a_bad_end(&Bench::on(open(), event).await?).await
}

async fn a_claim_stands_while_its_run_is_unfinished(bench: &Bench) -> Result<(), StoreError> {
    bench.admit(claims(bench.run("a"), "k")).await?;
    assert_eq!(bench.admit(claims(bench.run("b"), "k")).await?, duplicate("a", false, None));
    assert!((bench.admit(claims(bench.run("c"), "l")).await?).is_kept());
    bench.record("a", replied(202, nothing())).await?;
    // However long it takes.
    let late = bench.admit_at(1_000_000, claims(bench.run("d"), "k")).await?;
    assert_eq!(late, duplicate("a", false, Some(reply(202))));
    assert_eq!(bench.unfinished().await?, ["a", "c"], "nothing of a duplicate is kept");
    Ok(())
}

async fn a_claim_is_kept_with_the_reply_for_its_window(bench: &Bench) -> Result<(), StoreError> {
    bench.admit(claims(bench.run("a"), "k")).await?;
    bench.record("a", replied(409, succeeded())).await?;
    let over = 60 + 3_600;
    let within = bench.admit_at(over - 1, claims(bench.run("b"), "k")).await?;
    assert_eq!(within, duplicate("a", true, Some(reply(409))));
    assert!((bench.admit_at(over, claims(bench.run("c"), "k")).await?).is_kept());
    let ended = NewRun { progress: succeeded(), ..claims(bench.run("d"), "l") };
    assert!((bench.admit(ended).await?).is_kept());
    assert_eq!(bench.admit(claims(bench.run("e"), "l")).await?, duplicate("d", true, None));
    Ok(())
}

async fn a_claim_is_released_by_a_bad_end(bench: &Bench) -> Result<(), StoreError> {
    let bad_reply = |status| replied(status, succeeded());
    for (n, end) in [failed(), bad_reply(500), bad_reply(503), bad_reply(429)].into_iter().enumerate() {
        let (first, second) = (format!("first-{n}"), format!("second-{n}"));
        bench.admit(claims(bench.run(&first), "k")).await?;
        bench.record(&first, end.clone()).await?;
        assert!((bench.admit(claims(bench.run(&second), "k")).await?).is_kept());
        bench.record(&second, failed()).await?;
        let at_once = NewRun { progress: end, ..claims(bench.run(&format!("third-{n}")), "k") };
        assert!((bench.admit(at_once).await?).is_kept());
    }
    Ok(())
}
