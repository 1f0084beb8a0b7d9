//! The service, put together: every part is made here, once, and handed to the parts that need it.

use crate::config::Config;
use crate::environment::Environment;
use crate::in_force::{Board, Standing};
use crate::outlets;
use crate::project::Project;
use crate::reload::{Origin, ReloadMetrics, Reloader};
use anyhow::{Context as _, bail};
use hookflow_console::{Condition, Console, ConsoleParts, History};
use hookflow_engine::{Engine, Limits, Metrics, Parts};
use hookflow_ingress::{CERTIFICATE_BYTES, Door, DoorLimits, DoorParts, Rejections, Tls, TrustedProxies};
use hookflow_outbound::{Caller, Policy};
use hookflow_runtime::{Chance, Clock, Heartbeats, Tasks};
use hookflow_store::Store;
use hookflow_store::backends::{self, Access, Opened, Opening};
use hookflow_store::blobs::BlobFolder;
use hookflow_trigger::Blobs;
use prometheus_client::registry::Registry;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// The node's name in the store. There is one node until the store can be shared.
const NODE: &str = "local";

/// The service with both its addresses, not yet serving.
pub(crate) struct Service {
    pub(crate) public: hookflow_ingress::Bound,
    pub(crate) ops: hookflow_console::Bound,
    pub(crate) engine: Engine,
    pub(crate) reloader: Reloader,
    pub(crate) tasks: Tasks,
    /// The root of all public URLs.
    pub(crate) base_url: Arc<str>,
    /// Where large bodies are.
    pub(crate) blobs: Arc<BlobFolder>,
    /// What is refused, on its way to the store.
    pub(crate) rejections: Arc<Rejections>,
}

impl Service {
    /// Makes all parts, takes both addresses and puts the flows in force.
    pub(crate) async fn assemble(
        project: &Project,
        folder: &Path,
        environment: &Environment,
    ) -> anyhow::Result<Self> {
        let (config, tls) = (&project.config, project.tls.clone());
        let clock = Clock::system();
        let (tasks, heartbeats) = (Tasks::new(clock.clone()), Heartbeats::new(clock.clone()));
        let chance = Chance::system(clock.clone());
        let mut registry = Registry::default();
        let metrics = Arc::new(Metrics::new(&mut registry));
        let reload_metrics = ReloadMetrics::new(&mut registry);
        let Opened { store, blobs } = open_store(config, folder, Access::Serve, &chance)?;

        let rejections = Arc::new(Rejections::new(Arc::clone(&store), Arc::clone(&metrics), clock.clone()));
        let (board, asked) = Board::new(clock.clone());
        let engine_once = Arc::<OnceLock<Engine>>::default();
        let console = Console::new(ConsoleParts {
            listen: config.ops.listen,
            hosts: config.ops.hosts.clone(),
            token: config.ops.token.clone(),
            version: env!("CARGO_PKG_VERSION"),
            conditions: conditions(&store, &board, tls.as_ref()),
            registry: Arc::new(registry),
            in_force: Arc::clone(&board) as _,
            history: History::new(Arc::clone(&store), tasks.clone()),
            engine: Arc::clone(&engine_once),
            clock: clock.clone(),
            tasks: tasks.clone(),
            heartbeats: heartbeats.clone(),
        })?;
        let ops = console.bind().await?;

        let listen = public_address(project).map_err(|error| cannot_listen(config, error))?;
        let policy = policy(config, listen, ops.addr);
        // What strangers can make us fetch is small.
        let small = Policy { response_bytes: CERTIFICATE_BYTES, ..policy.clone() };
        let caller = Caller::new(policy.clone(), clock.clone());
        let ground = (&clock, &chance, &tasks, &heartbeats);
        let engine = engine(config, &store, caller, ground, &metrics).await?;
        let parts = DoorParts {
            engine: engine.clone(),
            clock: clock.clone(),
            chance,
            tasks: tasks.clone(),
            heartbeats: heartbeats.clone(),
            metrics,
            trusted_proxies: TrustedProxies::new(config.public.trusted_proxies.clone()),
            tls,
            rejections: Arc::clone(&rejections),
            outside: Arc::new(Caller::new(small, clock.clone())),
            blobs: Arc::clone(&blobs) as Arc<dyn Blobs>,
        };
        let door = Door::new(parts, door_limits(config));
        let public = door.bind(listen).await.map_err(|error| cannot_listen(config, error))?;

        let base_url: Arc<str> = config.public.root(public.addr).into();
        let policy = Policy { public_listeners: vec![public.addr], ..policy };
        outlets::put_in_force(&engine, project, &policy, &clock);
        let number = begin(&engine, project, &base_url).await?;
        engine_once.get_or_init(|| engine.clone());
        let (keeping, beats, soft) = (Arc::clone(&rejections), heartbeats.clone(), tasks.soft());
        tasks.spawn("rejections", async move { keeping.keep_on(&beats, soft).await });
        // Whoever looked before saw a service that is not ready.
        board.stand(Standing::new(number, clock.now(), project, &base_url));
        let reloader = Reloader {
            origin: Origin::new(project, folder, environment),
            public: public.addr,
            policy,
            engine: engine.clone(),
            clock,
            tasks: tasks.clone(),
            heartbeats,
            metrics: reload_metrics,
            board,
            asked,
        };
        Ok(Self { public, ops, engine, reloader, tasks, base_url, blobs, rejections })
    }
}

async fn engine(
    config: &Config,
    store: &Arc<dyn Store>,
    caller: Caller,
    (clock, chance, tasks, heartbeats): (&Clock, &Chance, &Tasks, &Heartbeats),
    metrics: &Arc<Metrics>,
) -> anyhow::Result<Engine> {
    let engine = Engine::new(Parts {
        node: NODE.into(),
        store: Arc::clone(store),
        caller,
        clock: clock.clone(),
        chance: chance.clone(),
        tasks: tasks.clone(),
        heartbeats: heartbeats.clone(),
        metrics: Arc::clone(metrics),
        limits: engine_limits(config),
        stand_in: None,
    });
    engine.await.context("the store cannot be used")
}

/// Puts the first flows in force and takes up what the store holds. Returns the generation's number.
async fn begin(engine: &Engine, project: &Project, base_url: &Arc<str>) -> anyhow::Result<u64> {
    let flows = project.flows.iter().map(|loaded| Arc::clone(&loaded.flow)).collect();
    engine.trust(Arc::clone(&project.credentials)).await;
    let generation = engine.install(flows, Arc::clone(base_url)).await;
    let number = generation.context("the flows cannot be put in force")?.number;
    engine.recover().await.context("what the store holds cannot be taken up")?;
    engine.retain(project.config.retention);
    Ok(number)
}

/// The store that the configuration names.
pub(crate) fn open_store(
    config: &Config,
    folder: &Path,
    access: Access,
    chance: &Chance,
) -> anyhow::Result<Opened> {
    let Some(backend) = backends::ALL.iter().find(|backend| backend.name == config.store.backend) else {
        bail!("this build has no store `{}`", config.store.backend);
    };
    let (path, blob_bytes) = (config.store.path(folder), config.store.blob_bytes);
    let opening = Opening { path, access, blob_bytes, chance: chance.clone() };
    Ok((backend.open)(&opening)?)
}

/// What must hold before the service is ready.
fn conditions(store: &Arc<dyn Store>, board: &Arc<Board>, tls: Option<&Arc<Tls>>) -> Vec<Condition> {
    let (store, flows_of, reloads_of) = (Arc::clone(store), Arc::clone(board), Arc::clone(board));
    let flows = move || match flows_of.standing() {
        standing if standing.generation == 0 => Err("not loaded yet".into()),
        standing => Ok(format!("{} in generation {}", standing.inventory.flows.len(), standing.generation)),
    };
    let writable = move || {
        // A store knows how its last write went; one that has to look is not ready.
        match pin!(store.check()).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(())) => Ok(String::new()),
            Poll::Ready(Err(error)) => Err(error.to_string()),
            Poll::Pending => Err("it does not answer".into()),
        }
    };
    let mut conditions = vec![
        Condition::new("flows", flows),
        Condition::new("reload", move || Ok(reloads_of.last_reload())),
        Condition::new("store", writable),
    ];
    if let Some(tls) = tls.cloned() {
        // The former certificate is still good, so new files that are not make nothing unready.
        let told = move || {
            Ok(tls.fault().map_or_else(String::new, |why| format!("the former certificate is used: {why}")))
        };
        conditions.push(Condition::new("tls", told));
    }
    conditions
}

/// The address to listen on. Where calls could reach our own listener, its port must be known before the first call is
/// possible, so a free one is looked for here instead of by the door.
fn public_address(project: &Project) -> io::Result<SocketAddr> {
    let config = &project.config;
    let listen = config.public.listen;
    if listen.port() == 0 && (!config.outbound.allow.is_empty() || outlets::reach_private(project)) {
        return TcpListener::bind(listen)?.local_addr();
    }
    Ok(listen)
}

fn cannot_listen(config: &Config, error: io::Error) -> anyhow::Error {
    let listen = config.public.listen;
    match error.kind() {
        ErrorKind::AddrInUse => {
            anyhow::anyhow!("the public listener cannot listen at {listen}: it is in use")
        }
        _ => anyhow::Error::new(error).context(format!("the public listener cannot listen at {listen}")),
    }
}

/// Where calls may go, and what they may bring back.
pub(crate) fn policy(config: &Config, public: SocketAddr, ops: SocketAddr) -> Policy {
    Policy {
        allow: config.outbound.allow.clone(),
        public_listeners: vec![public],
        ops_listeners: vec![ops],
        response_bytes: config.outbound.response,
        proxy: config.outbound.proxy.as_ref().map(outlets::proxy),
        idle: config.outbound.idle,
        idle_timeout: config.outbound.idle_timeout,
        ..Policy::default()
    }
}

fn engine_limits(config: &Config) -> Limits {
    // A tenth of the grace is left for the last answers to leave.
    let grace = config.shutdown.grace;
    let patience = grace.saturating_sub((grace / 10).max(Duration::from_millis(100)));
    let (queued_bytes, call_timeout) = (config.public.limits.memory, Some(config.outbound.timeout));
    Limits { queued_bytes, patience, call_timeout, ..Limits::default() }
}

fn door_limits(config: &Config) -> DoorLimits {
    let limits = config.public.limits;
    DoorLimits {
        connections: limits.connections,
        connections_per_address: limits.connections_per_address,
        header_bytes: limits.headers,
        header_count: limits.header_count,
        memory: limits.memory,
        header_timeout: limits.header_timeout,
        body_timeout: limits.body_timeout,
        body_rate: limits.body_rate,
        body_grace: limits.body_grace,
        quick_refusals: limits.quick_refusals,
        refusal_delay: limits.refusal_delay,
    }
}
