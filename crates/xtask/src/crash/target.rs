//! The outside service that the flows call. It writes down what it hears before it answers.

use super::chance::Chance;
use super::evidence::{Evidence, held};
use super::http::{Received, query, receive};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::io::{self, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::Scope;

/// How often a call is answered 503 at most: fewer than it has tries.
const SORRIES: u32 = 2;

/// Where deliveries of what flows emit come in, each subscription's under its name.
pub(super) const DELIVERIES: &str = "/delivered/";
/// Who gets them.
pub(super) const SUBSCRIPTIONS: [&str; 2] = ["loud", "quiet"];

pub(super) struct Target<'p> {
    evidence: &'p Evidence,
    listener: TcpListener,
    chance: Mutex<Chance>,
    answers: AtomicU64,
    ended: AtomicBool,
    /// How often a call was answered 503, by its ID.
    sorries: Mutex<HashMap<String, u32>>,
    /// Runs that wait, for whoever calls back.
    urls: Mutex<Vec<Waiting>>,
}

/// A run that goes on when its URL is called.
pub(super) struct Waiting {
    pub(super) event: String,
    pub(super) run: String,
    pub(super) path: String,
}

impl<'p> Target<'p> {
    pub(super) fn new(evidence: &'p Evidence, chance: Chance) -> io::Result<Self> {
        Ok(Self {
            evidence,
            listener: TcpListener::bind("127.0.0.1:0")?,
            chance: Mutex::new(chance),
            answers: AtomicU64::new(0),
            ended: AtomicBool::new(false),
            sorries: Mutex::default(),
            urls: Mutex::default(),
        })
    }

    pub(super) fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// What has been told since it was last asked.
    pub(super) fn urls(&self) -> Vec<Waiting> {
        std::mem::take(&mut *held(&self.urls))
    }

    /// Answers until it is ended. Its connections end with the service.
    pub(super) fn serve<'s>(&'s self, scope: &'s Scope<'s, '_>) {
        for stream in self.listener.incoming() {
            if self.ended.load(Ordering::Relaxed) {
                return;
            }
            let Ok(stream) = stream else { continue };
            // Who dies half way through a call is what this is about.
            scope.spawn(move || drop(self.converse(&stream)));
        }
    }

    pub(super) fn end(&self) {
        self.ended.store(true, Ordering::Relaxed);
        // Wakes who accepts.
        drop(self.address().and_then(TcpStream::connect));
    }

    fn converse(&self, mut stream: &TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut reader = BufReader::new(stream);
        loop {
            let received = receive(&mut reader)?;
            let (status, pause) = self.hear(&received);
            std::thread::sleep(pause);
            let body = json!({"n": self.answers.fetch_add(1, Ordering::Relaxed)}).to_string();
            let length = body.len();
            write!(
                stream,
                "HTTP/1.1 {status} x\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
            )?;
        }
    }

    /// A delivery says in its data which step of which run has emitted it. It may come again. Some are not taken at first.
    fn take(&self, to: &str, received: &Received) -> (u16, std::time::Duration) {
        let body: Value = serde_json::from_slice(&received.body).unwrap_or_default();
        let at = |place: &str| body.pointer(place).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (run, step) = (at("/data/run"), at("/data/step"));
        let id = received.header("webhook-id").unwrap_or_default();
        let mut chance = held(&self.chance);
        let unwilling = chance.one_in(10) && held(&self.sorries).insert(id.to_owned(), SORRIES).is_none();
        let (status, pause) = (if unwilling { 503 } else { 204 }, chance.millis(0, 15));
        drop(chance);
        if !unwilling {
            self.evidence.pay(delivery(&run, &step, to));
        }
        self.evidence.target(&json!({
            "kind": "delivery",
            "to": to,
            "id": id,
            "emitted": at("/id"),
            "event": at("/data/id"),
            "run": run,
            "step": step,
            "sha": digest(&received.body),
            "answered": status,
            "at": self.evidence.at(),
        }));
        (status, pause)
    }

    /// What is to be heard of after this, and what need not be any more.
    fn reckon(&self, kind: &str, line: &Map<String, Value>) {
        let (evidence, run) = (self.evidence, text(line, "run"));
        for step in text(line, "shouted").split_whitespace() {
            for to in SUBSCRIPTIONS {
                evidence.owe(delivery(&run, step, to));
            }
        }
        if kind != "end" {
            evidence.pay(format!("{run} {}", text(line, "step")));
            return evidence.owe(run);
        }
        for step in text(line, "later").split_whitespace() {
            evidence.owe(format!("{run} {step}"));
        }
        evidence.pay(text(line, "event"));
        evidence.pay(run);
    }

    /// Writes down what came; what is answered, and when.
    fn hear(&self, received: &Received) -> (u16, std::time::Duration) {
        if let Some(to) = received.target.strip_prefix(DELIVERIES) {
            return self.take(to, received);
        }
        let kind = received.target.split('?').next().unwrap_or_default().trim_start_matches('/').to_owned();
        let mut line: Map<String, Value> =
            query(&received.target).into_iter().map(|(name, value)| (name, value.into())).collect();
        let url = text(&line, "url");
        if let Some(path) = url.find("/resume/").and_then(|at| url.get(at..)) {
            // Whoever holds the URL may call it, so it stays out of the evidence.
            line.remove("url");
            let (event, run) = (text(&line, "event"), text(&line, "run"));
            held(&self.urls).push(Waiting { event, run, path: path.to_owned() });
        }
        self.reckon(&kind, &line);
        if let Some(id) = received.header("idempotency-key") {
            line.insert("id".into(), id.into());
        }
        if !received.body.is_empty() {
            line.insert("sha".into(), digest(&received.body).into());
        }
        let mut chance = held(&self.chance);
        // Never so often in a row that the tries are used up.
        let sorry = match line.get("id").and_then(Value::as_str) {
            Some(id) if chance.one_in(3) => {
                let mut sorries = held(&self.sorries);
                let sorries = sorries.entry(id.to_owned()).or_insert(0);
                *sorries += 1;
                *sorries <= SORRIES
            }
            _ => false,
        };
        let status = if sorry { 503 } else { 200 };
        let pause = if chance.one_in(20) { chance.millis(50, 250) } else { chance.millis(0, 15) };
        drop(chance);
        for (name, value) in [
            ("kind", kind.into()),
            ("method", received.method.clone().into()),
            ("answered", status.into()),
            ("at", self.evidence.at().into()),
        ] {
            line.insert(name.into(), value);
        }
        self.evidence.target(&line.into());
        (status, pause)
    }
}

/// What is to be heard of: what a step has emitted, at a subscription.
fn delivery(run: &str, step: &str, to: &str) -> String {
    format!("{run} {step} {to}")
}

fn text(line: &Map<String, Value>, name: &str) -> String {
    line.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// SHA-256 in hex.
pub(super) fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
}
