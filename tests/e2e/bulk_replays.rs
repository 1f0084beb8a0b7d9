//! Many runs replayed by a filter: looked at first, at a rate, each from the bytes that once came.

use super::service::{Folder, Service};
use super::sizes::{has_ended, opened, write};
use hookflow_runtime::Clock;
use hookflow_store::backends::Access;
use serde_json::{Value, json};
use std::time::Duration;

const SHOP: &str = "webhook: {auth: none, body: json}
queue: {workers: 4, capacity: 2000000, bytes: 10GiB}
steps: [{stop: '${ webhook.body.n }'}]";

/// Asks slice by slice until there is no next one.
fn all(service: &Service, mut asked: Value) -> Vec<Value> {
    let mut items = Vec::new();
    loop {
        let answer = service.ops_post("/api/runs/replay", &asked.to_string());
        assert_eq!(answer.status, 200, "{answer:?}");
        let mut page = answer.value();
        items.append(page["items"].as_array_mut().unwrap());
        if let Some(seconds) = page["retry_after"].as_u64() {
            std::thread::sleep(Duration::from_secs(seconds.min(5)));
        }
        if page["next"].is_null() {
            return items;
        }
        asked["before"] = page["next"].clone();
    }
}

/// Each new run beside the one that it replays: bytes, links, attempts.
#[tokio::main(flavor = "current_thread")]
async fn compare(folder: &Folder, items: &[Value]) {
    let store = opened(folder.path(), Access::Read);
    for item in items {
        let (old, new) = (item["run"].as_str().unwrap(), item["replayed_as"].as_str().unwrap());
        let (old, new) = (store.load(old).await.unwrap().run, store.load(new).await.unwrap().run);
        assert_eq!(old.event.to_record(), new.event.to_record(), "the original bytes");
        assert_eq!((new.replays.as_deref(), new.attempt), (Some(&*old.run), old.attempt + 1));
        assert!(old.run != new.run && new.seed != old.seed && new.started_at > old.started_at);
        let end = |run: hookflow_store::NewRun| run.progress.ended.unwrap().end;
        assert_eq!(end(old), end(new));
    }
}

fn bulk(size: usize, rate: u32) {
    // What was written is older than what is kept by itself.
    let folder = Folder::new().flow("shop", SHOP).config("retention: {age: 3650d}");
    write(&folder, ("shop", SHOP), size, has_ended);
    let service = Service::start(&folder);
    let dry = all(&service, json!({"flow": "shop", "status": "succeeded", "dry_run": true}));
    assert_eq!(dry.len(), size);
    let done = "hookflow_runs_total{flow=\"shop\",outcome=\"succeeded\"}";
    assert_eq!(service.metric(done).unwrap_or(0), 0, "a dry run runs nothing");
    let began = Clock::system().monotonic();
    let filter = json!({"flow": "shop", "status": "succeeded", "rate": format!("{rate}/s")});
    let items = all(&service, filter);
    let took = began.elapsed();
    let runs = |items: &[Value]| items.iter().map(|item| item["run"].clone()).collect::<Vec<_>>();
    assert_eq!(items.len(), size);
    assert!(runs(&items) == runs(&dry), "what was shown, and nothing twice");
    let count = u32::try_from(size).unwrap();
    assert!(took >= Duration::from_secs(1) * count / rate * 9 / 10, "{took:?} for {size} at {rate}/s");
    service.until_metric(done, size as u64);
    println!("{size} replayed at {rate}/s at most: {took:?}, {} KiB at most", service.peak_memory() >> 10);
    service.stop_sound();
    compare(&folder, &items);
}

#[test]
fn many_are_replayed_once_each_at_a_rate() {
    bulk(200, 100);
}

#[test]
#[ignore = "minutes"]
fn a_hundred_thousand_are_replayed_at_a_rate() {
    bulk(100_000, 10_000);
}
