//! A run finds the version that it is on, in force or not.

use super::bench::Bench;
use crate::VersionFault;
use hookflow_store::{Store as _, VERSIONS_KEPT};
use std::sync::Arc;

fn numbered(number: usize) -> String {
    format!("flow: shop\nwebhook: {{auth: partner}}\nsteps: [{{stop: {number}}}]")
}

#[tokio::test]
async fn a_version_is_in_force_or_compiled_again_once_or_not_kept() {
    let bench = Bench::new(&[&numbered(1)]).await;
    let (engine, shop): (_, Arc<str>) = (&bench.engine.0, "shop".into());
    let first = Arc::clone(&bench.live("shop").flow);
    let version = &first.plan.version;
    assert!(Arc::ptr_eq(&engine.plan_of(&shop, version).await.unwrap(), &first));
    bench.install(&[&numbered(2)]).await;
    let again = engine.plan_of(&shop, version).await.unwrap();
    assert!(!Arc::ptr_eq(&again, &first) && again.plan.version == *version && again.id == shop);
    assert!(Arc::ptr_eq(&engine.plan_of(&shop, version).await.unwrap(), &again));
    bench.store.keep_version(&shop, &"broken".into(), &"steps: [{sett: 1}]".into()).await.unwrap();
    let broken = engine.plan_of(&shop, "broken").await;
    assert!(matches!(broken, Err(VersionFault::NotCompiled(_, why)) if why.contains("sett")));
    for number in 0..VERSIONS_KEPT {
        bench.store.keep_version(&shop, &number.to_string().into(), &"steps: []".into()).await.unwrap();
    }
    // Held compiled, it outlives its document; what nobody has asked for does not.
    assert!(Arc::ptr_eq(&engine.plan_of(&shop, version).await.unwrap(), &again));
    let gone = engine.plan_of(&shop, "broken").await;
    assert_eq!(gone.map(drop), Err(VersionFault::NotKept("broken".into())));
}
