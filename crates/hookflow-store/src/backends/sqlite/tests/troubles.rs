//! What cannot be written: one row, one transaction, the whole file.

use super::*;

#[tokio::test]
async fn a_row_that_cannot_be_written_takes_no_other_with_it() {
    let bench = Bench::new().await;
    let (go, held) = bench.hold();
    let first = bench.admit("first", nothing());
    let twice = bench.store.write(|ledger| {
        let insert = "INSERT INTO flows (flow) VALUES ('twice')";
        ledger.connection.execute(insert, ())?;
        Ok(ledger.connection.execute(insert, ())?)
    });
    let second = bench.admit("second", nothing());
    let bug = bench.store.write(|_| -> Result<(), Failure> { panic!("a bug") });
    let third = bench.admit("third", nothing());
    drop(go);
    held.await.unwrap();
    assert!(matches!(twice.await, Err(StoreError::Damaged(why)) if why.contains("UNIQUE")));
    assert!(matches!(bug.await, Err(StoreError::Damaged(why)) if why.contains("bug")));
    let turns = [first.await.unwrap(), second.await.unwrap(), third.await.unwrap()];
    let kept = |turn| Admitted::Kept { turn, behind: false };
    assert_eq!(turns, [kept(1), kept(2), kept(3)]);
    assert_eq!(bench.unfinished().await, ["first", "second", "third"]);
    let flows = bench.store.read(|connection| {
        Ok(connection.query_row("SELECT count(*) FROM flows", (), |row| row.get::<_, i64>(0))?)
    });
    assert_eq!(flows.await, Ok(1), "half of an operation is none");
    assert_eq!(bench.store.check().await, Ok(()));
}

#[tokio::test]
async fn a_disk_that_is_full_takes_the_whole_transaction_and_nothing_else() {
    let bench = Bench::new().await;
    bench.admit("before", nothing()).await.unwrap();
    let room = |pages: &'static str| {
        bench.store.write(move |ledger| {
            let sql = format!("PRAGMA max_page_count = {pages}");
            Ok(ledger.connection.query_row(&sql, (), |_| Ok(()))?)
        })
    };
    room("1").await.unwrap();
    let (go, held) = bench.hold();
    let small = bench.admit("small", nothing());
    let document = "x".repeat(1 << 20);
    let large = bench.store.keep_version(&"shop".into(), &"v2".into(), &document.clone().into());
    let after = bench.admit("after", nothing());
    drop(go);
    let full = |answer: Result<(), StoreError>| {
        assert!(matches!(&answer, Err(StoreError::Unavailable(why)) if why.contains("full")), "{answer:?}");
    };
    held.await.unwrap();
    full(small.await.map(drop));
    full(large.await);
    full(after.await.map(drop));
    full(bench.store.check().await);
    assert_eq!(bench.unfinished().await, ["before"], "reading goes on");
    assert_eq!(bench.store.version("shop", "v2").await, Ok(None));
    room("1000000").await.unwrap();
    assert_eq!(bench.store.check().await, Ok(()), "nothing has to be restarted");
    bench.admit("small", nothing()).await.unwrap();
    bench.store.keep_version(&"shop".into(), &"v2".into(), &document.into()).await.unwrap();
    assert_eq!(bench.unfinished().await, ["before", "small"]);
}

#[tokio::test]
async fn a_connection_that_failed_is_made_anew() {
    let bench = Bench::new().await;
    bench.admit("before", nothing()).await.unwrap();
    let fails = bench.store.write(|ledger| -> Result<(), Failure> {
        ledger.connection.execute("INSERT INTO flows (flow) VALUES ('lost')", ())?;
        Err(Failure::File { why: "disk I/O error".into(), keep: false })
    });
    assert!(fails.await.is_err());
    // The question itself sends the next try after it.
    assert!(bench.store.check().await.is_err());
    bench.store.write(|_| Ok(())).await.unwrap();
    assert_eq!(bench.store.check().await, Ok(()));
    bench.admit("after", nothing()).await.unwrap();
    assert_eq!(bench.unfinished().await, ["before", "after"]);
    let lost = bench.store.keep_version(&"lost".into(), &"v1".into(), &"flow: lost".into());
    assert_eq!(lost.await, Ok(()));
}

#[tokio::test]
async fn a_file_that_was_moved_is_not_written_to() {
    let bench = Bench::new().await;
    let (data, away) = (bench.folder.path().join("data"), bench.folder.path().join("away"));
    std::fs::rename(&data, &away).unwrap();
    let gone = |answer: Result<Admitted, StoreError>| {
        assert!(matches!(&answer, Err(StoreError::Unavailable(why)) if why.contains("gone")), "{answer:?}");
    };
    gone(bench.admit("a", nothing()).await);
    assert!(bench.store.unfinished("node", 0, 1).await.is_err());
    // Another file in its place is not ours either.
    let other = open(&bench.path(), Access::Serve).unwrap();
    let answer = bench.admit("a", nothing()).await;
    assert!(matches!(&answer, Err(StoreError::Unavailable(why)) if why.contains("restart")), "{answer:?}");
    assert_eq!(other.unfinished("node", 0, 1).await, Ok(Vec::new()));
    drop(other);
    std::fs::remove_dir_all(&data).unwrap();
    std::fs::rename(&away, &data).unwrap();
    bench.admit("a", nothing()).await.unwrap();
    assert_eq!(bench.unfinished().await, ["a"]);
    assert_eq!(bench.store.check().await, Ok(()));
}

#[tokio::test]
async fn what_was_handed_over_is_written_before_the_end() {
    let bench = Bench::new().await;
    let (go, _) = bench.hold();
    for n in 0..10 {
        drop(bench.admit(&format!("r{n}"), nothing()));
    }
    drop(go);
    let path = bench.path();
    drop(bench.store);
    let again = open(&path, Access::Serve).unwrap();
    assert_eq!(again.unfinished("node", 0, 100).await.unwrap().len(), 10);
}
