use super::*;
use crate::Reloaded;
use hookflow_store::{Rejected, Store, backends};
use hookflow_text::Json;
use jiff::Timestamp;
use prometheus_client::metrics::counter::Counter;
use serde_json::json;
use std::pin::Pin;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

struct Bench {
    addr: SocketAddr,
    clock: Clock,
    tasks: Tasks,
    heartbeats: Heartbeats,
    writable: Arc<AtomicBool>,
}

/// A folder that is sound at first, then has a mistake, then cannot be read.
struct Folder(Mutex<u8>);

impl InForce for Folder {
    fn flows(&self) -> Vec<Json> {
        vec![json!({"flow": "shop", "version": "ab"})]
    }

    fn generation(&self) -> Json {
        json!({"generation": 7})
    }

    fn reload(&self) -> Pin<Box<dyn Future<Output = Reloaded> + Send>> {
        let mut asked = self.0.lock().unwrap();
        *asked += 1;
        let reloaded = match *asked {
            1 => Reloaded::Swapped(json!({"generation": 8})),
            2 => Reloaded::Refused(json!({"diagnostics": [{"code": "yaml.type"}]})),
            _ => Reloaded::Impossible("the folder is gone".into()),
        };
        Box::pin(std::future::ready(reloaded))
    }
}

fn parts(listen: &str, token: Option<&str>) -> ConsoleParts {
    let clock = Clock::turned(Timestamp::UNIX_EPOCH);
    let mut registry = Registry::default();
    let events: Counter = Counter::default();
    registry.register("events", "Events", events.clone());
    events.inc_by(7);
    ConsoleParts {
        listen: listen.parse().unwrap(),
        hosts: vec!["ops.example".into()],
        token: token.and_then(|token| Secret::new(token.into())),
        version: "1.2.3",
        conditions: Vec::new(),
        registry: Arc::new(registry),
        in_force: Arc::new(Folder(Mutex::default())),
        history: History::new(store(), Tasks::new(clock.clone())),
        engine: Arc::default(),
        tasks: Tasks::new(clock.clone()),
        heartbeats: Heartbeats::new(clock.clone()),
        clock,
    }
}

/// A store with two requests that were refused.
fn store() -> Arc<dyn Store> {
    let store = backends::in_memory();
    let rejected = |flow: &str| Rejected {
        at: Timestamp::UNIX_EPOCH,
        flow: Some(flow.into()),
        told: json!({"flow": flow}),
    };
    drop(store.keep_rejected(vec![rejected("shop"), rejected("a b")]));
    store
}

async fn open(token: Option<&str>) -> Bench {
    let mut parts = parts("127.0.0.1:0", token);
    let writable = Arc::new(AtomicBool::new(true));
    let look = Arc::clone(&writable);
    parts.conditions = vec![
        Condition::new("store", move || {
            if look.load(Ordering::Relaxed) { Ok(String::new()) } else { Err("the disk is full".into()) }
        }),
        Condition::new("flows", || Ok("generation 3, 2 flows".into())),
    ];
    let (clock, tasks, heartbeats) = (parts.clock.clone(), parts.tasks.clone(), parts.heartbeats.clone());
    let bound = Console::new(parts).unwrap().bind().await.unwrap();
    let addr = bound.addr;
    tasks.spawn("console", bound.serve());
    Bench { addr, clock, tasks, heartbeats, writable }
}

impl Bench {
    /// Sends a head as it is; the status and the rest of the answer.
    async fn send(&self, head: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.addr).await.unwrap();
        stream.write_all(format!("{head}\r\nConnection: close\r\n\r\n").as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        (answer.get(9..12).unwrap().parse().unwrap(), answer)
    }

    async fn get(&self, path: &str) -> (u16, String) {
        let (status, answer) = self.send(&format!("GET {path} HTTP/1.1\r\nHost: localhost")).await;
        (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
    }
}

#[tokio::test]
async fn health_is_that_every_loop_turns() {
    let bench = open(None).await;
    assert_eq!(bench.get("/healthz").await, (200, "ok\n".into()));
    let stuck = bench.heartbeats.register("writer");
    bench.clock.advance(Duration::from_secs(31));
    let (status, body) = bench.get("/healthz").await;
    assert_eq!(status, 503);
    assert!(body.starts_with("not turning: ") && body.contains("writer"), "{body}");
    stuck.beat();
    assert!(!bench.get("/healthz").await.1.contains("writer"));
}

#[tokio::test]
async fn readiness_names_what_is_missing() {
    let bench = open(None).await;
    assert_eq!(bench.get("/readyz").await, (200, "ready\n".into()));
    let all = "ready\n+ running\n+ store\n+ flows generation 3, 2 flows\n";
    assert_eq!(bench.get("/readyz?verbose").await, (200, all.into()));
    bench.writable.store(false, Ordering::Relaxed);
    assert_eq!(bench.get("/readyz").await, (503, "not ready: store\n".into()));
    let (_, body) = bench.get("/readyz?verbose").await;
    assert!(body.contains("\n- store the disk is full\n") && body.contains("\n+ flows "), "{body}");
    bench.writable.store(true, Ordering::Relaxed);
    // While the service drains the console still answers, and says so; a connection that idles is let go.
    let mut idle = TcpStream::connect(bench.addr).await.unwrap();
    idle.write_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let tasks = bench.tasks.clone();
    let draining = tasks.drain(Duration::from_hours(1));
    let asking = async {
        tokio::task::yield_now().await;
        idle.read_to_string(&mut String::new()).await.unwrap();
        let answer = bench.get("/readyz").await;
        assert_eq!(bench.tasks.running().into_keys().collect::<Vec<_>>(), ["console"]);
        tasks.drain(Duration::ZERO).await;
        answer
    };
    assert_eq!(tokio::join!(draining, asking).1, (503, "not ready: running\n".into()));
}

#[tokio::test]
async fn metrics_and_the_version_are_shown() {
    let bench = open(None).await;
    let (status, body) = bench.get("/metrics").await;
    assert_eq!(status, 200);
    assert!(body.contains("events_total 7\n") && body.ends_with("# EOF\n"), "{body}");
    assert_eq!(bench.get("/version").await, (200, r#"{"name":"hookflow","version":"1.2.3"}"#.into()));
}

#[tokio::test]
async fn what_is_not_there_is_a_problem() {
    let bench = open(None).await;
    let (status, body) = bench.get("/hook/shop").await;
    assert_eq!(status, 404);
    assert!(body.contains(r#""code":"ops.unknown""#), "{body}");
    let (status, answer) = bench.send("POST /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0").await;
    assert_eq!(status, 405);
    assert!(answer.contains("allow: GET,HEAD") && answer.contains(r#""code":"ops.method""#), "{answer}");
}

#[tokio::test]
async fn another_host_is_refused_before_anything_else() {
    let bench = open(Some("0123456789abcdef")).await;
    let own = format!("Host: {}", bench.addr);
    for host in ["Host: evil.example", "Host:", "X: y", "Host: localhost\r\nHost: localhost"] {
        let (status, answer) = bench.send(&format!("GET /healthz HTTP/1.1\r\n{host}")).await;
        assert_eq!(status, 421, "{host}: {answer}");
        assert!(
            answer.contains("application/problem+json") && answer.contains(r#""code":"ops.host""#),
            "{answer}"
        );
    }
    let (status, _) = bench.send("GET http://evil.example/healthz HTTP/1.1\r\nHost: localhost").await;
    assert_eq!(status, 421);
    for host in [&own, "Host: localhost:1", "Host: OPS.example"] {
        assert_eq!(bench.send(&format!("GET /healthz HTTP/1.1\r\n{host}")).await.0, 401, "{host}");
    }
}

#[tokio::test]
async fn the_token_opens_and_nothing_else_does() {
    let bench = open(Some("0123456789abcdef")).await;
    let with = async |header: &str| {
        bench.send(&format!("GET /version HTTP/1.1\r\nHost: localhost\r\n{header}")).await
    };
    for good in ["Authorization: Bearer 0123456789abcdef", "authorization: bearer  0123456789abcdef"] {
        assert_eq!(with(good).await.0, 200, "{good}");
    }
    for bad in [
        "X: y",
        "Authorization: Bearer 0123456789abcdeF",
        "Authorization: Bearer 0123456789abcde",
        "Authorization: Bearer",
        "Authorization: Bearer ",
        "Authorization: Basic 0123456789abcdef",
        "Authorization: Bearer 0123456789abcdef\r\nAuthorization: Bearer 0123456789abcdef",
        "Authorization: \u{e9}",
    ] {
        let (status, answer) = with(bad).await;
        assert_eq!(status, 401, "{bad}");
        assert!(
            answer.contains("www-authenticate: Bearer") && answer.contains(r#""code":"ops.token""#),
            "{answer}"
        );
    }
    assert_eq!(bench.get("/nothing").await.0, 401, "not even what there is can be learned");
}

#[tokio::test]
async fn another_site_changes_nothing() {
    let bench = open(None).await;
    let post = async |origin: &str| {
        bench
            .send(&format!("POST /version HTTP/1.1\r\nHost: localhost:8081\r\n{origin}\r\nContent-Length: 0"))
            .await
            .0
    };
    assert_eq!(post("Origin: https://evil.example").await, 403);
    assert_eq!(post("Origin: null").await, 403);
    assert_eq!(post("Origin: http://localhost:9999").await, 403);
    assert_eq!(post("Origin: http://localhost:8081").await, 405, "through the gate");
    assert_eq!(post("X: y").await, 405, "through the gate");
}

#[test]
fn a_console_in_public_needs_a_token() {
    for listen in ["0.0.0.0:0", "[::]:0", "10.0.0.1:8081"] {
        let refused = Console::new(parts(listen, None)).err().unwrap();
        assert!(refused.to_string().contains("needs `ops.token`"), "{refused}");
        assert!(Console::new(parts(listen, Some("0123456789abcdef"))).is_ok());
    }
    for listen in ["127.0.0.1:0", "127.9.9.9:0", "[::1]:0"] {
        assert!(Console::new(parts(listen, None)).is_ok(), "{listen}");
    }
}

#[tokio::test]
async fn what_was_refused_is_listed() {
    let bench = open(None).await;
    for (query, items, next) in [
        ("", r#"{"flow":"a b"},{"flow":"shop"}"#, "null"),
        ("?flow=shop&limit=7", r#"{"flow":"shop"}"#, "null"),
        ("?flow=a%20b", r#"{"flow":"a b"}"#, "null"),
        ("?limit=1", r#"{"flow":"a b"}"#, r#""2""#),
        ("?limit=1&before=2", r#"{"flow":"shop"}"#, "null"),
    ] {
        let expected = format!("{{\"items\":[{items}],\"next\":{next}}}");
        assert_eq!(bench.get(&format!("/api/rejected{query}")).await, (200, expected));
    }
    let (status, body) = bench.get("/api/rejected?limit=many").await;
    assert!(status == 400 && body.contains("ops.query"), "{body}");
}

#[tokio::test]
async fn what_is_in_force_is_told_and_read_again() {
    let bench = open(None).await;
    let flows = r#"{"items":[{"flow":"shop","version":"ab"}],"next":null}"#;
    assert_eq!(bench.get("/api/flows").await, (200, flows.into()));
    assert_eq!(bench.get("/api/generation").await, (200, r#"{"generation":7}"#.into()));
    assert_eq!(bench.get("/api/reload").await.0, 405, "what is only looked at changes nothing");
    let reload = async |origin: &str| {
        bench
            .send(&format!("POST /api/reload HTTP/1.1\r\nHost: localhost:1\r\n{origin}Content-Length: 0"))
            .await
    };
    assert_eq!(reload("Origin: https://evil.example\r\n").await.0, 403);
    let (status, answer) = reload("").await;
    assert!(status == 200 && answer.ends_with(r#"{"generation":8}"#), "{answer}");
    let (status, answer) = reload("").await;
    assert!(status == 422 && answer.contains(r#""code":"reload.refused""#), "{answer}");
    assert!(answer.ends_with(r#""diagnostics":[{"code":"yaml.type"}]}"#), "{answer}");
    let (status, answer) = reload("").await;
    assert!(status == 503 && answer.contains(r#""code":"reload.impossible""#), "{answer}");
    assert!(answer.ends_with(r#""detail":"the folder is gone"}"#), "{answer}");
}
