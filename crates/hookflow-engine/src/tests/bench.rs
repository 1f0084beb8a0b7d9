//! An engine with flows, events for them, a store that misbehaves on demand, and a server to call.

use crate::{Admission, Conclusion, Engine, Limits, LiveFlow, Metrics, Parts, QueuePlace, Ticket};
use hookflow_flow::{Fact, Flow, Integrations, Place, Surroundings};
use hookflow_outbound::{Caller, Policy};
use hookflow_runtime::{Chance, Clock, Heartbeats, Tasks};
use hookflow_store::{
    AttemptCursor, AttemptFilter, AttemptLine, AttemptPage, Due, Erasure, FlowCount, Inbound, Journal, Life,
    NewRun, Owner, Page, Pending, Posted, Progress, Pruned, Recorded, Rejected, RejectedPage, Retention,
    RunFilter, RunLine, Settled, Store, StoreError, Told, UnfinishedRun, backends,
};
use hookflow_text::{Diagnostics, Json, SecretRef, SecretSource, Source, parse};
use hookflow_trigger::{
    Auth, BodySpec, Credentials, Event, Means, Params, Route, Sample, SampleBody, decode,
};
use jiff::Timestamp;
use prometheus_client::registry::Registry;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// A step of more than one slice: a run with it becomes a task, and in a runtime of one thread goes no further before its
/// test waits for something.
pub(super) const LONG: &str = "{for: a, in: '${ [0, 1, 2, 3, 4, 5, 6, 7, 8, 9] }', do: [{for: b, in: '${ [0, 1, 2, 3, 4, 5, 6, 7, 8, 9] }', do: [{for: c, in: '${ [0, 1, 2, 3, 4, 5, 6, 7, 8, 9] }', do: [{set: {x: 1}}]}]}]}";

pub(super) struct Bench {
    pub engine: Engine,
    pub clock: Clock,
    pub tasks: Tasks,
    pub store: Arc<Tampered>,
    registry: Registry,
    base: Arc<str>,
}

impl Bench {
    pub(super) async fn new(flows: &[&str]) -> Self {
        Self::with(Limits::default(), flows).await
    }

    pub(super) async fn with(limits: Limits, flows: &[&str]) -> Self {
        let bench = Self::on(Arc::default(), limits, flows).await;
        bench.engine.recover().await.unwrap();
        bench
    }

    /// The next life of the node, without anything that the former one had in memory.
    pub(super) async fn next_life(&self, flows: &[&str]) -> Self {
        let bench = Self::on(Arc::clone(&self.store), Limits::default(), flows).await;
        bench.clock.advance(self.clock.now().duration_since(bench.clock.now()).unsigned_abs());
        bench.engine.recover().await.unwrap();
        bench
    }

    async fn on(store: Arc<Tampered>, limits: Limits, flows: &[&str]) -> Self {
        let clock = Clock::turned("2026-11-20T12:00:00Z".parse().unwrap());
        let tasks = Tasks::new(clock.clone());
        let mut registry = Registry::default();
        let policy = Policy { allow: vec!["127.0.0.0/8".parse().unwrap()], ..Policy::default() };
        let parts = Parts {
            node: "node-1".into(),
            store: Arc::clone(&store) as Arc<dyn Store>,
            caller: Caller::new(policy, clock.clone()),
            clock: clock.clone(),
            chance: Chance::seeded(clock.clone(), store.lives.fetch_add(1, Ordering::Relaxed)),
            tasks: tasks.clone(),
            heartbeats: Heartbeats::new(clock.clone()),
            metrics: Arc::new(Metrics::new(&mut registry)),
            limits,
            stand_in: None,
        };
        let engine = Engine::new(parts).await.unwrap();
        let bench = Self { engine, clock, tasks, store, registry, base: "https://hooks.example".into() };
        bench.install(flows).await;
        bench
    }

    pub(super) async fn install(&self, flows: &[&str]) {
        let flows = flows.iter().map(|text| flow(text)).collect();
        self.engine.install(flows, Arc::clone(&self.base)).await.unwrap();
    }

    pub(super) fn live(&self, flow: &str) -> Arc<LiveFlow> {
        Arc::clone(&self.engine.generation().flows[flow])
    }

    pub(super) fn place(&self, flow: &str) -> QueuePlace {
        self.engine.reserve(&self.live(flow), 100).unwrap()
    }

    /// An event of the flow, taken in.
    pub(super) async fn admit(&self, flow: &str, body: Json) -> Admission {
        self.engine.admit(&self.live(flow), event(flow, body), self.place(flow)).await
    }

    pub(super) async fn ticket(&self, flow: &str, body: Json) -> Ticket {
        match self.admit(flow, body).await {
            Admission::Waiting(ticket) => ticket,
            other => panic!("{other:?}"),
        }
    }

    pub(super) async fn queued(&self, flow: &str, body: Json) -> Arc<str> {
        match self.admit(flow, body).await {
            Admission::Queued { run } => run,
            other => panic!("{other:?}"),
        }
    }

    /// What the caller of an event hears.
    pub(super) async fn conclusion(&self, flow: &str, body: Json) -> Conclusion {
        self.ticket(flow, body).await.wait().await
    }

    /// A flow's latest runs.
    pub(super) async fn recent(&self, flow: &str, limit: usize) -> Vec<RunLine> {
        let filter = RunFilter { flow: Some(flow.into()), ..RunFilter::default() };
        self.store.find(&filter, None, limit).await.unwrap().runs
    }

    pub(super) async fn unfinished(&self) -> usize {
        self.store.unfinished("node-1", 0, usize::MAX).await.unwrap().len()
    }

    /// Waits until every event has ended.
    pub(super) async fn all_ended(&self) {
        self.until(async || self.unfinished().await == 0).await;
    }

    /// Waits for what comes by itself; a test that waits for nothing fails.
    pub(super) async fn until(&self, mut reached: impl AsyncFnMut() -> bool) {
        let system = Clock::system();
        let waiting = async {
            while !reached().await {
                system.sleep(Duration::from_millis(1)).await;
            }
        };
        system.timeout(Duration::from_secs(30), waiting).await.unwrap();
    }

    /// The value of a line of the metrics; 0 when there is none.
    pub(super) fn metric(&self, line: &str) -> u64 {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        let value = text.lines().find_map(|found| found.strip_prefix(line)?.strip_prefix(' '));
        value.map_or(0, |value| value.parse().unwrap())
    }
}

pub(super) fn flow(text: &str) -> Arc<Flow> {
    flow_beside(text, &Integrations::default())
}

/// A flow that calls integrations.
pub(super) fn flow_beside(text: &str, integrations: &Integrations) -> Arc<Flow> {
    let mut diagnostics = Diagnostics::default();
    let root = parse(&Source::new("flow.yaml", text), &mut diagnostics).unwrap();
    let credentials = credentials();
    let surroundings = Surroundings {
        credentials: &credentials,
        integrations,
        body_limit: 1 << 20,
        read_file: &|name| Err(format!("{name}: there is no file")),
    };
    let flow = Flow::load(&root, &surroundings, &mut diagnostics);
    Arc::new(flow.unwrap_or_else(|| panic!("{}", diagnostics.render(false))))
}

/// An integration, of its file's text.
pub(super) fn integrations(text: &str) -> Integrations {
    let (mut integrations, mut diagnostics) = (Integrations::default(), Diagnostics::default());
    let root = parse(&Source::new("integration.yaml", text), &mut diagnostics).unwrap();
    integrations.load(&root, &OneSecret, &mut diagnostics);
    assert!(!diagnostics.has_errors(), "{}", diagnostics.render(false));
    integrations
}

fn route(flow: &str) -> Route {
    Route { flow: flow.into(), suffix: String::new(), params: Params::default(), system: None }
}

pub(super) fn event(flow: &str, body: Json) -> Event {
    let sample = Sample { body: SampleBody::Value(body), ..Sample::default() };
    let at = "2026-11-20T12:00:00Z".parse().unwrap();
    Event::of_sample(sample, &BodySpec::auto(1 << 20), route(flow), "e1", at, "https://hooks.example".into())
        .unwrap()
}

struct OneSecret;

impl SecretSource for OneSecret {
    fn resolve(&self, _: &SecretRef) -> Result<Vec<u8>, String> {
        Ok(b"whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=".to_vec())
    }
}

fn credentials() -> Credentials {
    let mut diagnostics = Diagnostics::default();
    let text = "partner: {type: hmac, preset: gitlab_signing, secret: {env: S}}";
    let root = parse(&Source::new("credentials.yaml", text), &mut diagnostics).unwrap();
    let credentials = Credentials::load(&root, &OneSecret, &mut diagnostics);
    assert!(!diagnostics.has_errors(), "{}", diagnostics.render(false));
    credentials
}

/// An event with the sender's own signed ID.
pub(super) fn signed_event(flow: &str, id: &'static str) -> Event {
    let mut diagnostics = Diagnostics::default();
    let credentials = credentials();
    let name = parse(&Source::new("flow.yaml", "partner"), &mut diagnostics).unwrap();
    let auth = Auth::load(&name, &credentials, &mut diagnostics).unwrap();
    let at: Timestamp = "2026-11-20T12:00:00Z".parse().unwrap();
    let spec = BodySpec::auto(1 << 20);
    let mut sample = Sample { body: SampleBody::Value("x".into()), ..Sample::default() };
    sample.headers.insert("webhook-id", id.parse().unwrap());
    let mut received =
        sample.into_received(&spec, format!("/hook/{flow}"), at, "https://hooks.example".into());
    credentials.get("partner").unwrap().sign(&mut received.head, received.body.held().unwrap(), at).unwrap();
    decode(auth.verify(received, at).unwrap(), &spec, route(flow), "e1", &mut Means::memory()).unwrap()
}

/// The store in memory, spoiled at will.
#[derive(Debug)]
pub(super) struct Tampered {
    inner: Arc<dyn Store>,
    /// It cannot be written to.
    pub away: AtomicBool,
    /// Recording is a bug.
    pub broken: AtomicBool,
    /// The next outcome is one too many for its run.
    pub full: AtomicBool,
    /// Admissions wait for [`Tampered::commit`].
    pub slow: AtomicBool,
    waiting: Mutex<Vec<Waiting>>,
    /// Ends that are handed in wait for [`Tampered::commit`].
    pub slow_ends: AtomicBool,
    ends: Mutex<Vec<Handed>>,
    /// What is kept of this run cannot be read.
    pub unreadable: Mutex<Option<Arc<str>>>,
    /// How many writes there were.
    pub writes: AtomicUsize,
    /// How many journals were read.
    pub loads: AtomicUsize,
    /// How many runs were suspected of a crash.
    pub suspected: AtomicUsize,
    lives: AtomicU64,
}

struct Waiting(Owner, Timestamp, Vec<(NewRun, Settled)>);

impl std::fmt::Debug for Waiting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} rows", self.2.len())
    }
}

/// What was handed in, and by whom for which run.
struct Handed(Owner, Arc<str>, Progress, Told);

impl std::fmt::Debug for Handed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.1)
    }
}

impl Default for Tampered {
    fn default() -> Self {
        Self {
            inner: backends::in_memory(),
            away: AtomicBool::default(),
            broken: AtomicBool::default(),
            full: AtomicBool::default(),
            slow: AtomicBool::default(),
            waiting: Mutex::default(),
            slow_ends: AtomicBool::default(),
            ends: Mutex::default(),
            unreadable: Mutex::default(),
            writes: AtomicUsize::default(),
            loads: AtomicUsize::default(),
            suspected: AtomicUsize::default(),
            lives: AtomicU64::new(1),
        }
    }
}

impl Tampered {
    fn is_away(&self) -> bool {
        self.away.load(Ordering::Relaxed)
    }

    /// The writer's turn: commits what has gathered, from a thread of its own.
    pub(super) fn commit(self: &Arc<Self>, tasks: &Tasks) {
        let this = Arc::clone(self);
        tasks
            .thread("writer", move || {
                for Waiting(owner, now, batch) in std::mem::take(&mut *this.waiting.lock().unwrap()) {
                    this.inner.admit(&owner, now, batch);
                }
                for Handed(owner, run, progress, told) in std::mem::take(&mut *this.ends.lock().unwrap()) {
                    if this.is_away() {
                        told(Err(away()));
                    } else {
                        this.inner.hand_in(&owner, &run, progress, told);
                    }
                }
            })
            .unwrap();
    }

    /// How many ends wait for [`Self::commit`].
    pub(super) fn ends(&self) -> usize {
        self.ends.lock().unwrap().len()
    }
}

fn away() -> StoreError {
    StoreError::Unavailable("the disk is full".into())
}

impl Store for Tampered {
    fn is_durable(&self) -> bool {
        false
    }

    fn outbox(&self) -> &dyn hookflow_store::Outbox {
        self.inner.outbox()
    }

    fn check(&self) -> Pending<()> {
        self.inner.check()
    }

    fn register(&self, node: &Arc<str>) -> Pending<Life> {
        self.inner.register(node)
    }

    fn keep_version(&self, flow: &Arc<str>, version: &Arc<str>, document: &Arc<str>) -> Pending<()> {
        if self.is_away() {
            Pending::now(Err(away()))
        } else {
            self.inner.keep_version(flow, version, document)
        }
    }

    fn version(&self, flow: &str, version: &str) -> Pending<Option<Arc<str>>> {
        self.inner.version(flow, version)
    }

    fn set_state(&self, key: &str, value: Option<&str>) -> Pending<()> {
        if self.is_away() { Pending::now(Err(away())) } else { self.inner.set_state(key, value) }
    }

    fn states(&self, prefix: &str) -> Pending<BTreeMap<Arc<str>, Arc<str>>> {
        self.inner.states(prefix)
    }

    fn admit(&self, owner: &Owner, now: Timestamp, batch: Vec<(NewRun, Settled)>) {
        self.writes.fetch_add(1, Ordering::Relaxed);
        if self.is_away() {
            for (_, settled) in batch {
                settled(Err(away()));
            }
        } else if self.slow.load(Ordering::Relaxed) {
            self.waiting.lock().unwrap().push(Waiting(owner.clone(), now, batch));
        } else {
            self.inner.admit(owner, now, batch);
        }
    }

    fn record(&self, owner: &Owner, run: &Arc<str>, progress: Progress) -> Pending<Recorded> {
        self.writes.fetch_add(1, Ordering::Relaxed);
        assert!(!self.broken.swap(false, Ordering::Relaxed), "the store is broken");
        if !progress.facts.is_empty() && self.full.swap(false, Ordering::Relaxed) {
            return Pending::now(Err(StoreError::JournalFull));
        }
        if self.is_away() { Pending::now(Err(away())) } else { self.inner.record(owner, run, progress) }
    }

    fn hand_in(&self, owner: &Owner, run: &Arc<str>, progress: Progress, told: Told) {
        self.writes.fetch_add(1, Ordering::Relaxed);
        if self.slow_ends.load(Ordering::Relaxed) {
            self.ends.lock().unwrap().push(Handed(owner.clone(), Arc::clone(run), progress, told));
        } else if self.is_away() {
            told(Err(away()));
        } else {
            self.inner.hand_in(owner, run, progress, told);
        }
    }

    fn load(&self, run: &str) -> Pending<Journal> {
        self.loads.fetch_add(1, Ordering::Relaxed);
        if self.unreadable.lock().unwrap().as_deref() == Some(run) {
            return Pending::now(Err(StoreError::Damaged("its event is gone".into())));
        }
        self.inner.load(run)
    }

    fn seed(&self, run: &str) -> Pending<[u8; 16]> {
        self.inner.seed(run)
    }

    fn unfinished(&self, node: &str, after: u64, limit: usize) -> Pending<Vec<UnfinishedRun>> {
        self.inner.unfinished(node, after, limit)
    }

    fn counts(&self, node: &str) -> Pending<Vec<FlowCount>> {
        self.inner.counts(node)
    }

    fn retire(&self, owner: &Owner) -> Pending<()> {
        self.inner.retire(owner)
    }

    fn ready(&self, node: &str, flow: &str, after: u64, limit: usize) -> Pending<Vec<UnfinishedRun>> {
        self.inner.ready(node, flow, after, limit)
    }

    fn due(&self, node: &str, now: Timestamp, limit: usize) -> Pending<Due> {
        self.inner.due(node, now, limit)
    }

    fn post(&self, run: &str, inbound: Inbound) -> Pending<Posted> {
        self.inner.post(run, inbound)
    }

    fn close(&self, owner: &Owner, run: &Arc<str>, place: &Place) -> Pending<Option<Arc<Fact>>> {
        self.inner.close(owner, run, place)
    }

    fn suspect(&self, owner: &Owner, runs: Vec<Arc<str>>) -> Pending<Vec<u32>> {
        self.suspected.fetch_add(runs.len(), Ordering::Relaxed);
        self.inner.suspect(owner, runs)
    }

    fn alone(&self, owner: &Owner, run: Option<&Arc<str>>) -> Pending<()> {
        self.inner.alone(owner, run)
    }

    fn attempt(&self, run: &str, number: u64) -> Pending<Option<AttemptLine>> {
        self.inner.attempt(run, number)
    }

    fn attempts(
        &self,
        filter: &AttemptFilter,
        before: Option<AttemptCursor>,
        limit: usize,
    ) -> Pending<AttemptPage> {
        self.inner.attempts(filter, before, limit)
    }

    fn find(&self, filter: &RunFilter, before: Option<u64>, limit: usize) -> Pending<Page> {
        self.inner.find(filter, before, limit)
    }

    fn prune(&self, keep: &Retention, limit: usize) -> Pending<Pruned> {
        self.inner.prune(keep, limit)
    }

    fn erase(&self, what: &Erasure, limit: usize) -> Pending<Pruned> {
        self.inner.erase(what, limit)
    }

    fn keep_rejected(&self, rejected: Vec<Rejected>) -> Pending<()> {
        self.inner.keep_rejected(rejected)
    }

    fn rejected(&self, flow: Option<&str>, before: Option<u64>, limit: usize) -> Pending<RejectedPage> {
        self.inner.rejected(flow, before, limit)
    }

    fn forget_rejected(&self, flow: Option<&str>, before: Timestamp) -> Pending<u64> {
        self.inner.forget_rejected(flow, before)
    }
}

/// A server that answers `{"n": 1}`, but only when told so.
pub(super) struct Server {
    pub url: String,
    pub hits: Arc<AtomicUsize>,
    answers: Arc<tokio::sync::Semaphore>,
}

impl Server {
    pub(super) async fn open(tasks: &Tasks) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let (hits, answers) = (Arc::new(AtomicUsize::new(0)), Arc::new(tokio::sync::Semaphore::new(0)));
        let (spawner, counted, allowed) = (tasks.clone(), Arc::clone(&hits), Arc::clone(&answers));
        tasks.spawn("server", async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let (counted, allowed) = (Arc::clone(&counted), Arc::clone(&allowed));
                spawner.spawn("server", async move {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        match stream.read_u8().await {
                            Ok(byte) => head.push(byte),
                            Err(_) => return,
                        }
                    }
                    counted.fetch_add(1, Ordering::SeqCst);
                    allowed.acquire().await.unwrap().forget();
                    let answer = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\
                                  content-length: 7\r\n\r\n{\"n\":1}";
                    drop(stream.write_all(answer.as_bytes()).await);
                });
            }
        });
        Self { url, hits, answers }
    }

    /// So many more calls are answered.
    pub(super) fn answer(&self, calls: usize) {
        self.answers.add_permits(calls);
    }

    pub(super) fn hits(&self) -> usize {
        self.hits.load(Ordering::SeqCst)
    }
}
