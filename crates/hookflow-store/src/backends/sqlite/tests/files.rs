//! Which files are opened, by whom, and what is said of the others.

use super::*;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

fn why(path: &Path, access: Access) -> String {
    let before = fs::read(path).ok();
    let fault = open(path, access).map(drop).unwrap_err();
    assert!(fault.to_string().contains(&path.display().to_string()), "{fault}");
    assert_eq!(fs::read(path).ok(), before, "it is left as it is");
    fault.why
}

fn wait_for_nobody(bench: Bench) -> (tempfile::TempDir, PathBuf) {
    let path = bench.path();
    drop(bench.store);
    (bench.folder, path)
}

#[tokio::test]
async fn a_file_has_one_service_and_any_number_of_readers() {
    let bench = Bench::new().await;
    bench.admit("a", nothing()).await.unwrap();
    assert!(why(&bench.path(), Access::Serve).contains("another service is running on it"));
    let reader = open(&bench.path(), Access::Read).unwrap();
    assert_eq!(reader.unfinished("node", 0, 1).await.unwrap().len(), 1);
    bench.admit("b", nothing()).await.unwrap();
    assert_eq!(reader.unfinished("node", 0, 10).await.unwrap().len(), 2, "it sees what is written meanwhile");
    assert!(matches!(reader.register(&"node".into()).await, Err(StoreError::Unavailable(_))));
    let path = bench.path();
    let (_folder, _) = wait_for_nobody(bench);
    assert_eq!(reader.unfinished("node", 0, 10).await.unwrap().len(), 2);
    drop(reader);
    let alone = open(&path, Access::Read).unwrap();
    assert_eq!(alone.unfinished("node", 0, 10).await.unwrap().len(), 2, "without a service");
    open(&path, Access::Serve).unwrap();
}

#[tokio::test]
async fn what_a_kill_has_left_is_read_and_served() {
    let bench = Bench::new().await;
    bench.admit("a", nothing()).await.unwrap();
    // As after a kill: the log is not in the file yet, and whoever shared memory is gone.
    for (name, access) in [("read", Access::Read), ("serve", Access::Serve)] {
        let copy = bench.folder.path().join(name);
        fs::copy(bench.path(), &copy).unwrap();
        let log = |path: &Path| PathBuf::from(format!("{}-wal", path.display()));
        assert!(fs::copy(log(&bench.path()), log(&copy)).unwrap() > 0);
        let store = open(&copy, access).unwrap();
        assert_eq!(store.unfinished("node", 0, 10).await.unwrap().len(), 1, "{name}");
    }
}

#[tokio::test]
async fn a_position_is_not_given_twice() {
    let bench = Bench::new().await;
    let end = Arc::new(hookflow_flow::End::Succeeded(serde_json::Value::Null));
    let ended = Some(crate::Ended { end, at: Timestamp::UNIX_EPOCH });
    let turn = async |store: &Bench, run: &str| match store
        .admit(run, Progress { ended: ended.clone(), ..nothing() })
        .await
    {
        Ok(Admitted::Kept { turn, .. }) => turn,
        other => panic!("{other:?}"),
    };
    let last = turn(&bench, "a").await;
    let nothing_stays = Retention { ended_since: Timestamp::MAX, bytes: u64::MAX, runs: u64::MAX };
    assert_eq!(bench.store.prune(&nothing_stays, 10).await, Ok(Pruned { runs: 1, more: false }));
    let Bench { store, folder, owner } = bench;
    drop(store);
    let store = open(&folder.path().join("data/hookflow.db"), Access::Serve).unwrap();
    let bench = Bench { store, owner, folder };
    assert!(turn(&bench, "b").await > last);
}

#[tokio::test]
async fn what_is_made_is_for_the_service_alone() {
    let bench = Bench::new().await;
    for (path, mode) in [(bench.folder.path().join("data"), 0o700), (bench.path(), 0o600)] {
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, mode, "{}", path.display());
    }
    assert_eq!(fs::read_to_string(bench.folder.path().join("data/.gitignore")).unwrap(), "*\n");
    assert!(
        why(&bench.folder.path().join("none/hookflow.db"), Access::Read).contains("nothing has been served")
    );
    assert!(!bench.folder.path().join("none").exists());
}

#[tokio::test]
async fn a_file_that_is_not_ours_is_left_alone() {
    let (folder, path) = wait_for_nobody(Bench::new().await);
    let text = folder.path().join("text.db");
    fs::write(&text, "no database at all, but long enough for a header of a hundred bytes ".repeat(4))
        .unwrap();
    assert!(why(&text, Access::Serve).contains("damaged"));
    assert!(why(&text, Access::Read).contains("damaged"));
    let others = folder.path().join("others.db");
    Connection::open(&others).unwrap().execute_batch("CREATE TABLE a (b)").unwrap();
    assert!(why(&others, Access::Serve).contains("another program's"));
    let empty = folder.path().join("empty.db");
    fs::write(&empty, "").unwrap();
    assert!(why(&empty, Access::Read).contains("empty"));
    open(&empty, Access::Serve).unwrap();
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    for access in [Access::Serve, Access::Read] {
        assert!(why(&path, access).contains("newer version"));
    }
}

#[tokio::test]
async fn a_file_that_was_cut_is_told() {
    let (_folder, path) = wait_for_nobody(Bench::new().await);
    let length = fs::metadata(&path).unwrap().len();
    fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(length / 2).unwrap();
    assert!(why(&path, Access::Serve).contains("damaged"));
    assert!(why(&path, Access::Read).contains("damaged"));
}
