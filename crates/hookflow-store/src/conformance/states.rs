//! What operators set.

use super::Bench;
use crate::{Store, StoreError};
use hookflow_trigger::Event;
use std::sync::Arc;

pub(super) async fn passes(open: &impl Fn() -> Arc<dyn Store>, event: &Arc<Event>) -> Result<(), StoreError> {
    what_operators_set_is_kept(&Bench::on(open(), event).await?).await
}

async fn what_operators_set_is_kept(bench: &Bench) -> Result<(), StoreError> {
    let states = async |prefix: &str| -> Result<Vec<(String, String)>, StoreError> {
        let all = bench.store.states(prefix).await?;
        Ok(all.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect())
    };
    let (shop, bank) =
        (("paused/shop".to_owned(), "now".to_owned()), ("paused/bank".to_owned(), "then".to_owned()));
    for (key, value) in [("paused/shop", "before"), ("paused/bank", "then"), ("paused", "x"), ("off/a%_", "")]
    {
        bench.store.set_state(key, Some(value)).await?;
    }
    bench.store.set_state("paused/shop", Some("now")).await?;
    assert_eq!(states("paused/").await?, [bank, shop.clone()], "by key, and the last word counts");
    assert_eq!(states("off/a%").await?.len(), 1);
    assert!(states("%").await?.is_empty(), "a prefix is no pattern");
    assert_eq!(states("").await?.len(), 4);
    bench.store.set_state("paused/bank", None).await?;
    bench.store.set_state("never", None).await?;
    assert_eq!(states("paused/").await?, [shop]);
    // It is no node's own.
    bench.store.register(&"node-1".into()).await?;
    assert_eq!(states("paused/").await?.len(), 1);
    Ok(())
}
