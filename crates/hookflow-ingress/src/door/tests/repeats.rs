//! An event that comes again: what its sender hears, and what happens once.

use super::bench::{Bench, Heard, Request, limits, memory, open_with};
use hookflow_runtime::Clock;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

const KEY: &str = "dedupe: {key: '${ webhook.body.id }', window: 1h}";

/// A server that answers when a test says so.
struct Target(TcpListener);

impl Target {
    async fn open() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    fn flow(&self, id: &str, webhook: &str) -> String {
        let url = format!("http://{}/", self.0.local_addr().unwrap());
        format!(
            "flow: {id}\nwebhook: {{auth: none, {webhook}}}\n\
             steps: [{{http: {{method: POST, url: '{url}'}}}}, {{respond: {{status: 201, json: {{run: '${{ run.id }}'}}}}}}]"
        )
    }

    /// The next call, which waits for its answer.
    async fn call(&self) -> TcpStream {
        let (mut stream, _) = self.0.accept().await.unwrap();
        let mut bytes = [0; 1024];
        assert!(stream.read(&mut bytes).await.unwrap() > 0);
        stream
    }

    async fn no_call(&self) {
        assert!(Clock::system().timeout(Duration::from_millis(50), self.0.accept()).await.is_err());
    }
}

async fn answer(mut call: TcpStream, status: u16) {
    let text = format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    call.write_all(text.as_bytes()).await.unwrap();
}

fn is_replayed(heard: &Heard) -> bool {
    heard.header("idempotent-replayed") == Some("true")
}

#[tokio::test]
async fn who_repeats_a_running_event_waits_for_the_first_answer() {
    let target = Target::open().await;
    let bench = open_with(&[&target.flow("once", KEY)], limits(), memory()).await;
    let request = Request::post("/hook/once", r#"{"id": "A-1"}"#);
    let answering = async {
        let call = target.call().await;
        // The second comes while the first waits.
        tokio::time::sleep(Duration::from_millis(100)).await;
        answer(call, 200).await;
    };
    let later = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        bench.send(&request).await
    };
    let (first, second, ()) = tokio::join!(bench.send(&request), later, answering);
    assert_eq!((first.status, is_replayed(&first)), (201, false));
    assert_eq!((second.status, &second.body, is_replayed(&second)), (201, &first.body, true));
    assert_eq!(first.header("x-run-id"), second.header("x-run-id"));
    // And who comes after the end hears it too.
    let third = bench.send(&request).await;
    assert_eq!((third.status, &third.body, is_replayed(&third)), (201, &first.body, true));
    target.no_call().await;
    let other = Request::post("/hook/once", r#"{"id": "A-2"}"#);
    let (other, ()) = tokio::join!(bench.send(&other), async { answer(target.call().await, 200).await });
    assert!(!is_replayed(&other) && other.body != first.body);
}

#[tokio::test]
async fn who_waits_for_anothers_answer_waits_no_longer_than_its_own_time() {
    let target = Target::open().await;
    let bench =
        open_with(&[&target.flow("once", &format!("timeout: 200ms, {KEY}"))], limits(), memory()).await;
    let request = Request::post("/hook/once", r#"{"id": "A-1"}"#);
    let ask = async || bench.send(&request).await;
    let later = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        ask().await
    };
    let (first, second, _call) = tokio::join!(ask(), later, target.call());
    for heard in [&first, &second] {
        assert_eq!((heard.status, heard.code().as_str()), (504, "flow-timeout"));
    }
    assert_eq!(first.run(), second.run(), "the run that goes on is the first one");
    target.no_call().await;
}

#[tokio::test]
async fn a_run_that_failed_is_no_reason_to_refuse_another_try() {
    let target = Target::open().await;
    let bench = open_with(&[&target.flow("once", KEY)], limits(), memory()).await;
    let request = Request::post("/hook/once", r#"{"id": "A-1"}"#);
    let ask = async || bench.send(&request).await;
    let later = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        ask().await
    };
    let failing = async {
        let call = target.call().await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        answer(call, 500).await;
    };
    let (first, second, ()) = tokio::join!(ask(), later, failing);
    for heard in [&first, &second] {
        assert_eq!((heard.status, heard.code().as_str()), (500, "flow-failed"));
    }
    assert_eq!(first.run(), second.run());
    let (third, ()) = tokio::join!(ask(), async { answer(target.call().await, 200).await });
    assert_eq!((third.status, is_replayed(&third)), (201, false));
}

#[tokio::test]
async fn without_respond_the_first_run_is_named_again() {
    let flow = format!("flow: notes\nwebhook: {{auth: none, {KEY}}}\nsteps: [{{set: {{a: 1}}}}]");
    let bench = open_with(&[&flow], limits(), memory()).await;
    let ask = async |body: &str| bench.send(&Request::post("/hook/notes", body)).await;
    let (first, second) = (ask(r#"{"id": 1}"#).await, ask(r#"{"id": 1}"#).await);
    assert_eq!((first.status, second.status), (202, 202));
    assert_eq!(first.run(), second.run());
    // Without a key every event is one of its own.
    let mut runs = Vec::new();
    for body in ["{}", r#"{"id": null}"#, r#"{"id": ""}"#] {
        runs.extend([ask(body).await.run(), ask(body).await.run()]);
    }
    runs.sort();
    runs.dedup();
    assert_eq!(runs.len(), 6);
    let counted = |name: &str| bench.counted(&format!("hookflow_events_{name}_total{{flow=\"notes\"}}"));
    assert_eq!((counted("without_key"), counted("accepted")), (Some("6".into()), Some("7".into())));
}

const TIMED: &str = "flow: timed
webhook: {auth: timed}
steps: [{respond: {status: 200, json: '${ run.id }'}}]";

#[tokio::test]
async fn a_signature_with_a_time_is_good_for_one_event() {
    let bench = open_with(&[TIMED], limits(), memory()).await;
    let now = Clock::system().now();
    let at = |at| Request::post("/hook/timed", "{}").signed_at(&bench, "timed", at);
    let ask = async |request: &Request| bench.send(request).await;
    let first = ask(&at(now)).await;
    let again = ask(&at(now)).await;
    assert_eq!((again.status, &again.body, is_replayed(&again)), (200, &first.body, true));
    // The same signature in other letters is the same signature.
    let mut shouted = at(now);
    for (name, value) in &mut shouted.headers {
        if *name == "x-signature" {
            *value = value.to_uppercase();
        }
    }
    assert_eq!(ask(&shouted).await.body, first.body);
    let later = ask(&at(now + Duration::from_secs(1))).await;
    assert!(later.status == 200 && later.body != first.body);
    // A forged request with a known time burns nothing.
    let forged = Request { body: "[]".into(), ..at(now + Duration::from_secs(2)) };
    assert_eq!(ask(&forged).await.status, 401);
    assert!(!is_replayed(&ask(&at(now + Duration::from_secs(2))).await));
}

#[tokio::test]
async fn what_was_refused_may_come_again() {
    let paused = TIMED.replace("webhook:", "enabled: paused\nwebhook:");
    let bench: Bench = open_with(&[&paused], limits(), memory()).await;
    let request = Request::post("/hook/timed", "{}").signed_by(&bench, "timed");
    assert_eq!(bench.send(&request).await.status, 503);
    bench.install(&[TIMED]).await;
    let heard = bench.send(&request).await;
    assert_eq!((heard.status, is_replayed(&heard)), (200, false));
}
