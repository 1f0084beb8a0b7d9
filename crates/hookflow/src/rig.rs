//! Flows as they serve, without a world: the real door and the real engine over a store in memory, a clock that is
//! turned whenever nobody has anything to do, and a script in the place of everybody who would be called. Or, where that
//! is asked for, with the world and its time.

mod request;
mod script;

use crate::outlets;
use crate::project::{LoadedFlow, Project};
use anyhow::Context as _;
use bytes::Bytes;
use hookflow_engine::{Admission, Engine, Limits, Metrics, Parts};
use hookflow_flow::{Flow, Integrations, Mock, Retraced, Start, TestCase, TestRequest, retrace};
use hookflow_ingress::{Door, DoorLimits, DoorParts, Rejections, TrustedProxies};
use hookflow_outbound::{Caller, Policy};
use hookflow_runtime::{Chance, Clock, Heartbeats, Tasks};
use hookflow_store::blobs::{BLOB_BYTES, BlobFolder};
use hookflow_store::{Ended, Journal, RunFilter, Store, backends};
use hookflow_trigger::Event;
use http::Response;
use jiff::Timestamp;
use prometheus_client::registry::Registry;
use request::Call;
use script::Script;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// How often the clock may be turned in one test.
const MAX_TURNS: usize = 100_000;
/// How far it may be turned.
const MAX_TIME: Duration = Duration::from_hours(400 * 24);
/// How many runs of a test are looked at.
const MAX_RUNS: usize = 1_000;
/// How long a run may take in the world's own time.
const MAX_REAL_TIME: Duration = Duration::from_mins(10);
/// How often is looked whether it has ended.
const LOOK: Duration = Duration::from_millis(10);
/// When a test begins that does not say.
const BEGINNING: i64 = 1_767_225_600;
const NODE: &str = "test";

/// A request to a flow, and what stands in for the world.
pub(crate) struct Play<'p> {
    pub(crate) flow: &'p Arc<Flow>,
    /// When the request comes; in the world's own time it comes now.
    pub(crate) at: Timestamp,
    pub(crate) request: &'p TestRequest,
    /// By the name of a step, or `flow/step`.
    pub(crate) mocks: &'p [(Arc<str>, Vec<Mock>)],
    pub(crate) unmocked: Unmocked,
}

/// What becomes of a call that has no mock.
#[derive(Clone)]
pub(crate) enum Unmocked {
    /// It fails.
    Fails,
    /// The run ends there.
    Ends,
    /// It is made as the service would, and time is the world's own.
    Made(Box<Policy>),
}

/// What came of a request.
pub(crate) struct Ran {
    /// What the caller heard; a flow that nobody calls has none.
    pub(crate) answer: Option<Response<Bytes>>,
    /// The run of the request, if there was one.
    pub(crate) own: Option<RanRun>,
    /// The runs that came of it.
    pub(crate) others: Vec<RanRun>,
    /// What stopped the test itself, or the run, for want of a mock.
    pub(crate) problems: Vec<String>,
    /// Why the request is not signed as its sender would.
    pub(crate) unsigned: Option<String>,
}

/// A run as it went.
pub(crate) struct RanRun {
    pub(crate) flow: Arc<Flow>,
    pub(crate) event: Arc<Event>,
    /// When its request came.
    pub(crate) came: Timestamp,
    pub(crate) retraced: Retraced,
    pub(crate) ended: Option<Ended>,
    /// Whether it has answered its caller itself.
    pub(crate) replied: bool,
    /// From its request to its end.
    pub(crate) took: Duration,
}

/// What every test of a folder shares.
pub(crate) struct Rig<'p> {
    project: &'p Project,
    base_url: Arc<str>,
    blobs: Arc<BlobFolder>,
}

impl<'p> Rig<'p> {
    pub(crate) fn new(project: &'p Project) -> Self {
        let public = &project.config.public;
        let chance = Chance::system(Clock::system());
        let blobs = Arc::new(BlobFolder::of_process(&std::env::temp_dir(), BLOB_BYTES, chance));
        Self { project, base_url: public.root(public.listen).into(), blobs }
    }

    /// What calls go by.
    pub(crate) fn integrations(&self) -> &'p Integrations {
        &self.project.integrations
    }

    /// Runs one test of a flow, in a world of its own.
    pub(crate) fn run(&self, loaded: &LoadedFlow, case: &TestCase) -> anyhow::Result<Ran> {
        let beginning = Timestamp::from_second(BEGINNING).unwrap_or_default();
        self.play(&Play {
            flow: &loaded.flow,
            at: case.at.unwrap_or(beginning),
            request: &case.request,
            mocks: &case.mocks,
            unmocked: Unmocked::Fails,
        })
    }

    /// Sends a request to a flow.
    pub(crate) fn play(&self, play: &Play<'_>) -> anyhow::Result<Ran> {
        let idle = Arc::new(Notify::new());
        let parked = Arc::clone(&idle);
        let mut builder = tokio::runtime::Builder::new_current_thread();
        if play.is_real() {
            builder.enable_all();
        } else {
            builder.on_thread_park(move || parked.notify_one());
        }
        let runtime = builder.build().context("the system has no thread left")?;
        let ran = runtime.block_on(self.play_on(play, &idle));
        runtime.shutdown_background();
        ran
    }

    async fn play_on(&self, play: &Play<'_>, idle: &Notify) -> anyhow::Result<Ran> {
        let clock = if play.is_real() { Clock::system() } else { Clock::turned(play.at) };
        let flows = self.flows(play.flow);
        let script = Arc::new(Script::new(play, &flows, &self.project.integrations));
        let stage = Stage::build(self, &clock, &flows, (play, &script)).await?;
        let call = Call::of(play.flow, play.request, clock.now(), &self.base_url)?;
        let unsigned = match &call {
            Call::Event(_, why) => Some(why.clone()),
            Call::Request(..) | Call::Inner(_) => None,
        };
        let heard = Arc::<Mutex<Option<Heard>>>::default();
        stage.call(play.flow, call, &heard);
        let stuck = if play.is_real() {
            stage.until_ended(&heard).await?
        } else {
            stage.until_quiet(&heard, idle).await?
        };
        let mut problems = script.problems();
        problems.extend(stuck);
        let heard = heard.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or_default();
        problems.extend(heard.problem);
        let (mut own, mut others) = (None, Vec::new());
        for (id, run) in stage.runs(&flows).await? {
            if Some(&*id) == heard.run.as_deref() {
                own = Some(run);
            } else {
                others.push(run);
            }
        }
        Ok(Ran { answer: heard.answer, own, others, problems, unsigned })
    }

    /// The flow, and those that it and they run.
    fn flows(&self, flow: &Arc<Flow>) -> BTreeMap<Arc<str>, Arc<Flow>> {
        let mut flows = BTreeMap::new();
        let mut todo = vec![Arc::clone(flow)];
        while let Some(flow) = todo.pop() {
            let below = flow.plan.runs().filter_map(|(id, _)| self.project.flow(id));
            todo.extend(
                below.filter(|it| !flows.contains_key(&it.flow.id)).map(|loaded| Arc::clone(&loaded.flow)),
            );
            flows.insert(Arc::clone(&flow.id), flow);
        }
        flows
    }
}

impl Play<'_> {
    /// Whether time and the world are real.
    fn is_real(&self) -> bool {
        matches!(self.unmocked, Unmocked::Made(_))
    }
}

/// What the caller heard.
#[derive(Default)]
struct Heard {
    answer: Option<Response<Bytes>>,
    run: Option<String>,
    problem: Option<String>,
}

/// The service of one test.
struct Stage {
    clock: Clock,
    tasks: Tasks,
    store: Arc<dyn Store>,
    engine: Engine,
    door: Arc<Door>,
}

impl Stage {
    async fn build(
        rig: &Rig<'_>,
        clock: &Clock,
        flows: &BTreeMap<Arc<str>, Arc<Flow>>,
        (play, script): (&Play<'_>, &Arc<Script>),
    ) -> anyhow::Result<Self> {
        let (tasks, heartbeats) = (Tasks::new(clock.clone()), Heartbeats::new(clock.clone()));
        let metrics = Arc::new(Metrics::new(&mut Registry::default()));
        let (policy, chance) = match &play.unmocked {
            // Who is really called must not hear the IDs of a former run.
            Unmocked::Made(policy) => (Policy::clone(policy), Chance::system(clock.clone())),
            // The same test goes the same way every time.
            Unmocked::Fails | Unmocked::Ends => (Policy::default(), Chance::seeded(clock.clone(), 0)),
        };
        let (store, caller) = (backends::in_memory(), Caller::new(policy.clone(), clock.clone()));
        let engine = Engine::new(Parts {
            node: NODE.into(),
            store: Arc::clone(&store),
            caller: caller.clone(),
            clock: clock.clone(),
            chance: chance.clone(),
            tasks: tasks.clone(),
            heartbeats: heartbeats.clone(),
            metrics: Arc::clone(&metrics),
            limits: Limits::default(),
            stand_in: Some(Arc::clone(script) as _),
        });
        let engine = engine.await?;
        engine.trust(Arc::clone(&rig.project.credentials)).await;
        engine.integrate(outlets::of(rig.project, &policy, clock));
        engine.install(flows.values().cloned().collect(), Arc::clone(&rig.base_url)).await?;
        engine.recover().await?;
        let rejections = Rejections::new(Arc::clone(&store), Arc::clone(&metrics), clock.clone());
        let parts = DoorParts {
            engine: engine.clone(),
            clock: clock.clone(),
            chance,
            tasks: tasks.clone(),
            heartbeats,
            metrics,
            trusted_proxies: TrustedProxies::new(Vec::new()),
            tls: None,
            rejections: Arc::new(rejections),
            outside: Arc::new(caller),
            blobs: Arc::clone(&rig.blobs) as _,
        };
        let door = Arc::new(Door::new(parts, DoorLimits::default()));
        Ok(Self { clock: clock.clone(), tasks, store, engine, door })
    }

    /// Sends the request, as a task of its own.
    fn call(&self, flow: &Arc<Flow>, call: Call, heard: &Arc<Mutex<Option<Heard>>>) {
        let (door, engine, heard) = (Arc::clone(&self.door), self.engine.clone(), Arc::clone(heard));
        let flow = Arc::clone(&flow.id);
        self.tasks.spawn("test request", async move {
            let answer = match call {
                Call::Request(request, ip) => Ok(door.take(*request, ip).await),
                Call::Event(event, _) => Ok(door.take_event(event).await),
                Call::Inner(event) => Err(admit(&engine, &flow, event).await),
            };
            let told = match answer {
                Ok(answer) => {
                    let run = answer.headers().get("x-run-id");
                    let run = run.and_then(|run| run.to_str().ok()).map(str::to_owned);
                    Heard { answer: Some(answer), run, problem: None }
                }
                Err(told) => told,
            };
            *heard.lock().unwrap_or_else(PoisonError::into_inner) = Some(told);
        });
    }

    /// Turns the clock until the caller has heard and every run has ended. Returns why that does not come.
    async fn until_quiet(
        &self,
        heard: &Mutex<Option<Heard>>,
        idle: &Notify,
    ) -> anyhow::Result<Option<String>> {
        let began = self.clock.monotonic();
        for _ in 0..MAX_TURNS {
            idle.notified().await;
            if self.tasks.works_beside() {
                continue;
            }
            let is_answered = heard.lock().unwrap_or_else(PoisonError::into_inner).is_some();
            if is_answered && self.store.unfinished(NODE, 0, 1).await?.is_empty() {
                return Ok(None);
            }
            if self.clock.monotonic().saturating_duration_since(began) > MAX_TIME {
                let days = MAX_TIME.as_secs() / 86_400;
                return Ok(Some(format!("the run has not ended after {days} days on the turned clock")));
            }
            if !self.clock.turn() {
                return Ok(Some("the run waits for something that never comes".into()));
            }
        }
        Ok(Some(format!("the run has not ended after {MAX_TURNS} turns of the clock")))
    }

    /// Waits until the caller has heard and every run has ended. Returns why that does not come.
    async fn until_ended(&self, heard: &Mutex<Option<Heard>>) -> anyhow::Result<Option<String>> {
        let began = self.clock.monotonic();
        loop {
            let is_answered = heard.lock().unwrap_or_else(PoisonError::into_inner).is_some();
            if is_answered && self.store.unfinished(NODE, 0, 1).await?.is_empty() {
                return Ok(None);
            }
            if self.clock.monotonic().saturating_duration_since(began) > MAX_REAL_TIME {
                return Ok(Some(format!("the run has not ended after {MAX_REAL_TIME:?}")));
            }
            self.clock.sleep(LOOK).await;
        }
    }

    /// Every run that there was, as it went.
    async fn runs(&self, flows: &BTreeMap<Arc<str>, Arc<Flow>>) -> anyhow::Result<Vec<(Arc<str>, RanRun)>> {
        let page = self.store.find(&RunFilter::default(), None, MAX_RUNS).await?;
        let mut runs = Vec::new();
        for line in page.runs {
            let Some(flow) = flows.get(&line.flow) else { continue };
            runs.push((Arc::clone(&line.run), went(&self.store.load(&line.run).await?, flow)));
        }
        Ok(runs)
    }
}

/// An event of a flow that only others run.
async fn admit(engine: &Engine, flow: &str, event: Event) -> Heard {
    let mut heard = Heard::default();
    let Some(live) = engine.generation().flows.get(flow).cloned() else { return heard };
    let Ok(place) = engine.reserve(&live, event.body_weight() as u64) else { return heard };
    match engine.admit(&live, event, place).await {
        Admission::Queued { run } => heard.run = Some(run.to_string()),
        Admission::Waiting(mut ticket) => {
            heard.run = Some(ticket.run.to_string());
            drop(ticket.wait().await);
        }
        other => heard.problem = Some(format!("the run was not taken in: {other:?}")),
    }
    heard
}

fn went(journal: &Journal, flow: &Arc<Flow>) -> RanRun {
    let (run, progress) = (&journal.run, &journal.run.progress);
    let start = Start {
        run: Arc::clone(&run.run),
        started_at: progress.begun_at.unwrap_or(run.started_at),
        seed: run.seed,
        event: Arc::clone(&run.event),
        attempt: run.attempt,
        deadline: None,
    };
    let ended = progress.ended.clone();
    let took = ended.as_ref().and_then(|ended| ended.at.duration_since(run.started_at).try_into().ok());
    let retraced = retrace(Arc::clone(&flow.plan), start, &progress.facts);
    RanRun {
        flow: Arc::clone(flow),
        event: Arc::clone(&run.event),
        came: run.started_at,
        retraced,
        ended,
        replied: progress.reply.is_some(),
        took: took.unwrap_or_default(),
    }
}
