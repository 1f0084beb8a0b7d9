//! The bytes of one connection, at a real door with a real engine behind it. Every connection is heard and ends, and
//! nobody gets into a flow that wants a proof.

use super::{Always, RIGHT};
use hookflow_engine::{Engine, Limits, Metrics, Parts};
use hookflow_flow::{Flow, Integrations, Surroundings};
use hookflow_ingress::{Door, DoorLimits, DoorParts, Rejections, TrustedProxies};
use hookflow_outbound::{Caller, Policy};
use hookflow_runtime::{Chance, Clock, Heartbeats, Tasks};
use hookflow_store::backends;
use hookflow_store::blobs::{BLOB_BYTES, BlobFolder};
use hookflow_text::{Diagnostics, Source, parse};
use hookflow_trigger::Credentials;
use prometheus_client::registry::Registry;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};

const CREDENTIALS: &str = "
partner: {type: basic, username: acme, password: {env: A}}
mobile: {type: api_key, header: X-Api-Key, keys: [{env: A}]}
link: {type: api_key, query: key, keys: [{env: A}]}
github: {type: hmac, preset: github, secret: {env: A}}
slack: {type: hmac, preset: slack, secret: {env: A}, handshake: slack}
x: {type: hmac, preset: x, secret: {env: A}, handshake: x}
meta: {type: hmac, preset: meta, secret: {env: A}, handshake: meta, verify_token: {env: A}}
woo: {type: hmac, preset: woocommerce, secret: {env: A}, handshake: woocommerce}
standard: {type: hmac, preset: standard_webhooks, secret: {env: A}}
";

const FLOWS: [&str; 4] = [
    "flow: quiet\nwebhook: {auth: none, methods: [POST, PUT]}\nsteps: [{set: {a: '${ webhook.body }'}}]",
    "flow: echo\nwebhook: {auth: none, methods: [POST, GET, DELETE], path: '/of/{name}'}\nsteps:\n  - respond:\n      headers: {X-Got: '${ webhook.params.name }'}\n      json: {body: '${ webhook.body }', url: '${ webhook.url }', headers: '${ webhook.headers }', files: '${ webhook.files }'}",
    "flow: strict\nwebhook:\n  auth: none\n  expects: {strict: true, body: {id: string}}\n  dedupe: {key: '${ webhook.body.id }'}\nsteps: [{respond: {json: 1}}]",
    "flow: shut\nwebhook: {auth: [partner, mobile, link, github, slack, x, meta, woo, standard], methods: [POST, GET, PUT]}\nsteps: [{respond: {text: it-was-let-in}}]",
];

/// What the flow says that nobody may reach.
const IN: &[u8] = b"it-was-let-in";
const ACCEPTED: &str = "hookflow_events_accepted_total{flow=\"shut\"}";
/// A caller who is silent for longer is cut off.
const PATIENCE: Duration = Duration::from_millis(500);
/// A connection that lives longer hangs: the patience and what a last word takes, on a machine that is busy.
const HANGS: Duration = Duration::from_secs(20);

/// See the module.
pub fn run(data: &[u8]) {
    thread_local! {
        static HOUSE: House = House::open();
    }
    HOUSE.with(|house| {
        let heard = house.say(data);
        // An input may hold these words, and the flow `echo` repeat them.
        if heard.windows(IN.len()).any(|window| window == IN) {
            assert!(!house.let_somebody_in(), "somebody was let in");
        }
        if heard.starts_with(b"HTTP/1") {
            let status = heard.get(9..12).and_then(|digits| std::str::from_utf8(digits).ok());
            let status: u16 = status.and_then(|digits| digits.parse().ok()).expect("an answer has a status");
            assert!((100..504).contains(&status), "{status}");
        }
    });
}

struct House {
    runtime: Runtime,
    addr: SocketAddr,
    registry: Registry,
}

impl House {
    fn open() -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let mut registry = Registry::default();
        let addr = runtime.block_on(open(&mut registry));
        Self { runtime, addr, registry }
    }

    fn let_somebody_in(&self) -> bool {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).expect("metrics are text");
        let accepted = text.lines().find_map(|line| line.strip_prefix(ACCEPTED));
        accepted.expect("the flow has a count").trim() != "0"
    }

    /// Says the bytes and no more, and hears the connection to its end.
    fn say(&self, bytes: &[u8]) -> Vec<u8> {
        self.runtime.block_on(async {
            let stream = TcpStream::connect(self.addr).await.expect("a connection");
            let (mut read, mut write) = stream.into_split();
            // Who is refused may be cut off while still speaking or listening.
            let saying = async {
                drop(write.write_all(bytes).await);
                drop(write.shutdown().await);
            };
            let mut heard = Vec::new();
            let hearing = async { drop(read.read_to_end(&mut heard).await) };
            let both = async { tokio::join!(saying, hearing) };
            tokio::time::timeout(HANGS, both).await.expect("the connection hangs");
            heard
        })
    }
}

async fn open(registry: &mut Registry) -> SocketAddr {
    let clock = Clock::system();
    let (tasks, heartbeats) = (Tasks::new(clock.clone()), Heartbeats::new(clock.clone()));
    let chance = Chance::seeded(clock.clone(), 7);
    let metrics = Arc::new(Metrics::new(registry));
    let store = backends::in_memory();
    let limits = DoorLimits {
        header_timeout: PATIENCE,
        body_timeout: PATIENCE,
        body_grace: PATIENCE,
        ..DoorLimits::default()
    };
    let engine = Engine::new(Parts {
        node: "here".into(),
        store: Arc::clone(&store),
        caller: Caller::new(Policy::default(), clock.clone()),
        clock: clock.clone(),
        chance: chance.clone(),
        tasks: tasks.clone(),
        heartbeats: heartbeats.clone(),
        metrics: Arc::clone(&metrics),
        limits: Limits::default(),
        stand_in: None,
    });
    let engine = engine.await.expect("an engine");
    let blobs = Arc::new(BlobFolder::of_process(&std::env::temp_dir(), BLOB_BYTES, chance.clone()));
    let outside = Arc::new(Caller::new(Policy::default(), clock.clone()));
    engine.install(flows(64 << 10), "https://hooks.example").await.expect("flows");
    let rejections = Arc::new(Rejections::new(store, Arc::clone(&metrics), clock.clone()));
    let parts = DoorParts {
        engine,
        clock,
        chance,
        tasks: tasks.clone(),
        heartbeats,
        metrics,
        trusted_proxies: TrustedProxies::new(vec!["127.0.0.0/8".parse().expect("a network")]),
        tls: None,
        rejections,
        outside,
        blobs,
    };
    let bound = Door::new(parts, limits).bind("127.0.0.1:0").await.expect("a port");
    let addr = bound.addr;
    tasks.spawn("door", bound.serve());
    addr
}

fn flows(body_limit: u64) -> Vec<Arc<Flow>> {
    let mut diagnostics = Diagnostics::default();
    let root = parse(&Source::new("credentials.yaml", CREDENTIALS), &mut diagnostics).expect("YAML");
    let credentials = Credentials::load(&root, &Always(RIGHT), &mut diagnostics);
    let integrations = Integrations::default();
    let read_file = |path: &str| Err(format!("there is no `{path}`"));
    let surroundings = Surroundings {
        credentials: &credentials,
        integrations: &integrations,
        body_limit,
        read_file: &read_file,
    };
    FLOWS
        .iter()
        .map(|text| {
            let root = parse(&Source::new("flow.yaml", *text), &mut diagnostics).expect("YAML");
            let flow = Flow::load(&root, &surroundings, &mut diagnostics);
            Arc::new(flow.unwrap_or_else(|| panic!("{}", diagnostics.render(false))))
        })
        .collect()
}
