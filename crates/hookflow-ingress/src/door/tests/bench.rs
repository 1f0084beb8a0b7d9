//! A door with a real engine behind it, and a caller who writes bytes.

use crate::door::Doorway;
use crate::memory::Memory;
use crate::outside::shelf::Shelf;
use crate::{Bound, Door, DoorLimits, DoorParts, Outside, Rejections, Tls, TrustedProxies};
use hookflow_engine::{Engine, Limits, Metrics, Parts};
use hookflow_flow::{Flow, Surroundings};
use hookflow_outbound::{Caller, Policy};
use hookflow_runtime::{Chance, Clock, Heartbeats, Tasks};
use hookflow_store::blobs::BlobFolder;
use hookflow_store::{Store, backends};
use hookflow_text::{Diagnostics, SecretRef, SecretSource, Source, parse};
use hookflow_trigger::{Blobs, Credentials};
use ipnet::IpNet;
use jiff::Timestamp;
use prometheus_client::registry::Registry;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const CREDENTIALS: &str = "
partner: {type: basic, username: acme, password: {env: PASSWORD}}
mobile: {type: api_key, header: X-Api-Key, keys: [{env: KEY}]}
inovector: {type: hmac, preset: inovector, secret: {env: SECRET}}
x: {type: hmac, preset: x, secret: {env: SECRET}, handshake: x}
slack: {type: hmac, preset: slack, secret: {env: SECRET}, handshake: slack}
xero: {type: hmac, preset: xero, secret: {env: SECRET}, handshake: xero}
asana: {type: hmac, header: X-Signature, secret: {env: SECRET}, handshake: asana}
woo: {type: hmac, preset: woocommerce, secret: {env: SECRET}, handshake: woocommerce}
meta: {type: hmac, preset: meta, secret: {env: SECRET}, handshake: meta, verify_token: {env: TOKEN}}
sns: {type: hmac, preset: aws_sns, secret: {env: TOPIC}, handshake: aws_sns}
paypal: {type: hmac, preset: paypal, secret: {env: WEBHOOK}}
timed: {type: hmac, header: X-Signature, timestamp: {header: X-Time}, content: '{timestamp}.{body}', secret: {env: SECRET}}
";

const FLOWS: &[&str] = &[
    "flow: quiet
webhook: {auth: none, methods: [POST, PUT]}
steps: [{set: {a: 1}}]",
    "flow: thanks
webhook: {auth: none, ack: {status: 203, headers: {X-Run-Id: mine}, json: {message: thank you}}}
steps: [{set: {a: 1}}]",
    "flow: echo
webhook: {auth: none, methods: [POST, GET, DELETE], path: '/of/{name}'}
steps:
  - respond:
      status: 201
      headers: {X-Got: '${ webhook.params.name }', X-Request-Id: mine}
      json: {body: '${ webhook.body }', name: '${ webhook.params.name }', ip: '${ webhook.ip }', url: '${ webhook.url }'}",
    "flow: nothing
webhook: {auth: none}
steps: [{respond: {status: 204}}]",
    "flow: silent
webhook: {auth: none}
steps: [{if: false, then: [{respond: {status: 200}}]}]",
    "flow: broken
webhook: {auth: none}
steps: [{fail: the reason is a secret, when: not webhook.query}, {respond: {status: 200}}]",
    "flow: teapot
webhook: {auth: none}
steps: [{fail: no, status: 418, when: not webhook.query}, {respond: {status: 200}}]",
    "flow: invalid
webhook: {auth: none}
steps: [{fail: no, kind: validation, when: not webhook.query}, {respond: {status: 200}}]",
    "flow: partner
webhook: {auth: partner, body: json, body_limit: 1KiB}
steps: [{respond: {status: 200}}]",
    "flow: signed
webhook: {auth: [inovector, mobile], body: json, body_limit: 1KiB}
steps: [{respond: {status: 200}}]",
    "flow: off
enabled: false
webhook: {auth: none}
steps: [{respond: {status: 200}}]",
    "flow: inner
steps: [{set: {a: 1}}]",
    "flow: held
enabled: paused
webhook: {auth: none}
steps: [{set: {a: 1}}]",
    "flow: stopped
enabled: paused
webhook: {auth: none}
steps: [{respond: {status: 200}}]",
    "flow: full
enabled: paused
webhook: {auth: partner, body: json, body_limit: 1KiB}
queue: {capacity: 1}
steps: [{set: {a: 1}}]",
    "flow: full503
enabled: paused
webhook: {auth: none}
queue: {capacity: 1, on_full: 503}
steps: [{set: {a: 1}}]",
];

/// The room for blobs: for one body, and little more.
pub(super) const BLOBS: u64 = BODY + (64 << 10);

struct Fixed;
impl SecretSource for Fixed {
    fn resolve(&self, reference: &SecretRef) -> Result<Vec<u8>, String> {
        match reference {
            SecretRef::Env(name) => Ok(format!("the secret of {name}").into_bytes()),
            SecretRef::File { .. } => Err("there are no files".into()),
        }
    }
}

/// A door with an engine behind it.
pub(super) struct Bench {
    pub(super) addr: SocketAddr,
    pub(super) tasks: Tasks,
    pub(super) credentials: Credentials,
    registry: Registry,
    engine: Engine,
    pub(super) rejections: Arc<Rejections>,
    /// What is held of bodies at the door.
    pub(super) memory: Arc<Memory>,
    pub(super) doorway: Arc<Doorway>,
    /// What is spooled.
    pub(super) blobs: Arc<BlobFolder>,
    _folder: TempDir,
}

/// `public.limits.body`.
const BODY: u64 = 1 << 20;

pub(super) fn limits() -> DoorLimits {
    DoorLimits::default()
}

pub(super) async fn open() -> Bench {
    open_with(&[], limits(), memory()).await
}

pub(super) fn memory() -> Arc<dyn Store> {
    backends::in_memory()
}

pub(super) async fn open_with(more: &[&str], limits: DoorLimits, store: Arc<dyn Store>) -> Bench {
    open_whole((&[], None, nowhere()), more, limits, store).await
}

/// A door behind proxies.
pub(super) async fn open_behind(proxies: &[IpNet], more: &[&str]) -> Bench {
    open_whole((proxies, None, nowhere()), more, limits(), memory()).await
}

/// A door that speaks TLS.
pub(super) async fn open_secured(tls: &Arc<Tls>, limits: DoorLimits) -> Bench {
    open_whole((&[], Some(Arc::clone(tls)), nowhere()), &[], limits, memory()).await
}

/// A door that asks somebody for certificates.
pub(super) async fn open_toward(outside: Arc<dyn Outside>, more: &[&str]) -> Bench {
    open_whole((&[], None, outside), more, limits(), memory()).await
}

/// Nobody is there.
fn nowhere() -> Arc<dyn Outside> {
    Shelf::new()
}

async fn open_whole(
    (proxies, tls, outside): (&[IpNet], Option<Arc<Tls>>, Arc<dyn Outside>),
    more: &[&str],
    limits: DoorLimits,
    store: Arc<dyn Store>,
) -> Bench {
    let clock = Clock::system();
    let chance = Chance::system(clock.clone());
    let (tasks, heartbeats) = (Tasks::new(clock.clone()), Heartbeats::new(clock.clone()));
    let mut registry = Registry::default();
    let metrics = Arc::new(Metrics::new(&mut registry));
    let policy = Policy { allow: vec!["127.0.0.0/8".parse().unwrap()], ..Policy::default() };
    let rejections = Arc::new(Rejections::new(Arc::clone(&store), Arc::clone(&metrics), clock.clone()));
    let engine = Engine::new(Parts {
        node: "here".into(),
        store,
        caller: Caller::new(policy, clock.clone()),
        clock: clock.clone(),
        chance: chance.clone(),
        tasks: tasks.clone(),
        heartbeats: heartbeats.clone(),
        metrics: Arc::clone(&metrics),
        limits: Limits { patience: Duration::from_millis(100), ..Limits::default() },
        stand_in: None,
    });
    let engine = engine.await.unwrap();
    let mut diagnostics = Diagnostics::default();
    let root = parse(&Source::new("credentials.yaml", CREDENTIALS), &mut diagnostics).unwrap();
    let credentials = Credentials::load(&root, &Fixed, &mut diagnostics);
    let all: Vec<_> = FLOWS.iter().chain(more).copied().collect();
    engine.install(load(&all, &credentials, BODY), "https://hooks.example").await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let blobs = Arc::new(BlobFolder::open(folder.path(), BLOBS, chance.clone()).unwrap());
    let parts = DoorParts {
        engine: engine.clone(),
        clock,
        chance,
        tasks: tasks.clone(),
        heartbeats,
        metrics,
        trusted_proxies: TrustedProxies::new(proxies.to_vec()),
        tls,
        rejections: Arc::clone(&rejections),
        outside,
        blobs: Arc::clone(&blobs) as Arc<dyn Blobs>,
    };
    let bound: Bound = Door::new(parts, limits).bind("127.0.0.1:0").await.unwrap();
    let (addr, doorway) = (bound.addr, Arc::clone(&bound.doorway));
    let memory = Arc::clone(&doorway.memory);
    tasks.spawn("door", bound.serve());
    Bench { addr, tasks, credentials, registry, engine, rejections, memory, doorway, blobs, _folder: folder }
}

fn load(flows: &[&str], credentials: &Credentials, body_limit: u64) -> Vec<Arc<Flow>> {
    let mut diagnostics = Diagnostics::default();
    let surroundings = Surroundings {
        credentials,
        integrations: &hookflow_flow::Integrations::default(),
        body_limit,
        read_file: &|_| Err("there are no files".into()),
    };
    let load = |text: &&str| {
        let root = parse(&Source::new("flow.yaml", *text), &mut diagnostics).unwrap();
        let flow = Flow::load(&root, &surroundings, &mut diagnostics);
        Arc::new(flow.unwrap_or_else(|| panic!("{}", diagnostics.render(false))))
    };
    flows.iter().map(load).collect()
}

impl Bench {
    /// Puts these flows in force in place of all others.
    pub(super) async fn install(&self, flows: &[&str]) {
        let flows = load(flows, &self.credentials, BODY);
        self.engine.install(flows, "https://hooks.example").await.unwrap();
    }

    pub(super) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.addr).await.unwrap()
    }

    /// Sends a request on a connection of its own.
    pub(super) async fn send(&self, request: &Request) -> Heard {
        self.say(request.to_string().as_bytes()).await
    }

    /// Sends bytes and hears the answer up to the end of the connection.
    pub(super) async fn say(&self, bytes: &[u8]) -> Heard {
        let mut stream = self.connect().await;
        // A refused caller may be cut off while it still speaks.
        drop(stream.write_all(bytes).await);
        hear(&mut stream).await
    }

    /// What the metrics show of a series.
    pub(super) fn counted(&self, series: &str) -> Option<String> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        text.lines().find_map(|line| line.strip_prefix(series)).map(|rest| rest.trim().to_owned())
    }
}

/// A request that is right unless a test says otherwise.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) method: &'static str,
    pub(super) path: String,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: String,
    pub(super) length: Option<usize>,
}

impl Request {
    pub(super) fn post(path: &str, body: &str) -> Self {
        let headers = vec![("Host", "x".into()), ("Content-Type", "application/json".into())];
        Self { method: "POST", path: path.into(), headers, body: body.into(), length: Some(body.len()) }
    }

    pub(super) fn method(self, method: &'static str) -> Self {
        Self { method, ..self }
    }

    pub(super) fn header(self, name: &'static str, value: &str) -> Self {
        let mut request = self.without(name);
        request.headers.push((name, value.into()));
        request
    }

    pub(super) fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(other, _)| !other.eq_ignore_ascii_case(name));
        self
    }

    /// As the partner proves who it is.
    pub(super) fn by_partner(self) -> Self {
        self.header("Authorization", "Basic YWNtZTp0aGUgc2VjcmV0IG9mIFBBU1NXT1JE")
    }

    /// As Inovector signs.
    pub(super) fn signed(self, bench: &Bench) -> Self {
        self.signed_at(bench, "inovector", Timestamp::UNIX_EPOCH)
    }

    /// As the sender of a credential signs now.
    pub(super) fn signed_by(self, bench: &Bench, credential: &str) -> Self {
        self.signed_at(bench, credential, Clock::system().now())
    }

    /// As the sender of a credential signs at that time.
    pub(super) fn signed_at(mut self, bench: &Bench, credential: &str, at: Timestamp) -> Self {
        const NAMES: [&str; 5] =
            ["x-signature", "x-slack-signature", "x-slack-request-timestamp", "x-time", "x-xero-signature"];
        let mut head = hookflow_trigger::Head {
            method: http::Method::POST,
            path: self.path.clone(),
            query: None,
            headers: http::HeaderMap::new(),
            ip: [127, 0, 0, 1].into(),
            received_at: at,
            base_url: "https://hooks.example".into(),
        };
        let credential = bench.credentials.get(credential).unwrap();
        credential.sign(&mut head, self.body.as_bytes(), at).unwrap();
        for (name, value) in &head.headers {
            let name = NAMES.into_iter().find(|known| name == known).unwrap();
            self = self.header(name, value.to_str().unwrap());
        }
        self
    }
}

impl std::fmt::Display for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { method, path, headers, body, length } = self;
        write!(f, "{method} {path} HTTP/1.1\r\nConnection: close\r\n")?;
        for (name, value) in headers {
            write!(f, "{name}: {value}\r\n")?;
        }
        match length {
            Some(length) => write!(f, "Content-Length: {length}\r\n\r\n{body}"),
            None => write!(f, "Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n", body.len()),
        }
    }
}

/// An answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Heard {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: String,
}

impl Heard {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let line = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        line.filter(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
    }

    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("{self:?}"))
    }

    /// The code of a problem, whose form is checked on the way.
    pub(super) fn code(&self) -> String {
        let json = self.json();
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        assert_eq!(json["status"], self.status, "{self:?}");
        assert_eq!(json["request_id"].as_str(), self.header("x-request-id"), "{self:?}");
        let code = json["code"].as_str().unwrap().to_owned();
        assert_eq!(json["type"], format!("https://hookflow.dev/errors/{code}"));
        assert!(!json["title"].as_str().unwrap().is_empty());
        code
    }

    /// The run's ID, which the header and the body agree on.
    pub(super) fn run(&self) -> String {
        let run = self.header("x-run-id").unwrap_or_else(|| panic!("{self:?}")).to_owned();
        assert_eq!(self.json()["run_id"], *run, "{self:?}");
        run
    }
}

/// Hears an answer up to the end of the connection.
pub(super) async fn hear(stream: &mut TcpStream) -> Heard {
    let mut bytes = Vec::new();
    let reading = stream.read_to_end(&mut bytes);
    let ended = Clock::system().timeout(Duration::from_secs(10), reading).await;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    assert!(ended.is_ok(), "the connection stays open after {text:?}");
    let (head, body) =
        text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer, {ended:?}: {text:?}"));
    let status = head.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)).unwrap().parse().unwrap();
    Heard { status, head: head.to_owned(), body: body.to_owned() }
}
