//! The engine with everything around it made up: flows by chance, callers that come and go, an outside that answers as
//! it likes, a store that is slow, away or the last thing that the process did, crashes, and a clock that is turned.
//! All of it follows from a seed, on one thread, so what went wrong goes wrong again.
//!
//! `cargo xtask simulate` runs as many seeds as it is told; the tests here run a few.

mod book;
mod dice;
mod flows;
mod outside;
mod store;
mod told;

use super::bench::event;
use crate::{Again, Engine, Limits, Metrics, Parts};
use book::Book;
use dice::Dice;
use hookflow_flow::Flow;
use hookflow_outbound::Caller;
use hookflow_runtime::{Chance, Clock, Heartbeats, Tasks};
use hookflow_store::{Store, backends};
use jiff::Timestamp;
use prometheus_client::registry::Registry;
use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use store::Life;
use tokio::sync::Notify;
use told::Told;

/// How often somebody does something.
const ACTIONS: u64 = 120;
/// More runs than a seed ever has.
const KEPT: usize = 100_000;
/// After how many turns of the clock at most everything has ended.
const TURNS: usize = 20_000;
/// After how many turns of the clock the operator looks at what is left.
const PATIENCE: usize = 3_000;
/// After how many operations and calls at most a process dies.
const LONGEST_LIFE: u64 = 400;

/// What came of a seed.
struct Outcome {
    hash: String,
    lines: Vec<String>,
    runs: usize,
    crashes: u64,
}

/// Runs a seed to its end.
///
/// # Panics
/// When something does not hold; the text names the seed.
fn simulate(seed: u64) -> Outcome {
    let idle = Arc::new(Notify::new());
    let parks = Arc::clone(&idle);
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    // The one thread has nothing to do: until the clock is turned nothing happens.
    let runtime = runtime.on_thread_park(move || parks.notify_waiters()).build().unwrap();
    runtime.block_on(async {
        let mut world = World::new(seed, idle).await;
        world.go().await;
        world.end().await
    })
}

struct World {
    seed: u64,
    dice: Dice,
    idle: Arc<Notify>,
    flows: Vec<Arc<Flow>>,
    inner: Arc<dyn Store>,
    book: Arc<Mutex<Book>>,
    told: Told,
    lives: u64,
    alive: Alive,
}

/// What outlives a process.
type Around<'w> = (&'w Arc<dyn Store>, &'w Arc<Mutex<Book>>, &'w [Arc<Flow>]);

/// A process.
struct Alive {
    engine: Engine,
    clock: Clock,
    life: Arc<Life>,
    tasks: Tasks,
    /// What outlasts the shutdown of the others: the store's writer.
    house: Tasks,
}

impl World {
    async fn new(seed: u64, idle: Arc<Notify>) -> Self {
        let (inner, book) = (backends::in_memory_keeping(KEPT), Arc::<Mutex<Book>>::default());
        let (flows, mut dice) = (flows::all(seed), Dice::new(seed));
        let at = "2026-11-20T12:00:00Z".parse().unwrap();
        let dies_after = dice.between(30, LONGEST_LIFE);
        let alive = Alive::begin((&inner, &book, &flows), at, Dice::new(seed), Some(dies_after)).await;
        let told = Told::default();
        let mut world = Self { seed, dice, idle, flows, inner, book, told, lives: 1, alive };
        world.recover().await;
        world
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap()
    }

    async fn go(&mut self) {
        for _ in 0..ACTIONS {
            self.act().await;
            self.settle().await;
            self.check_bounds();
        }
        self.alive.life.calm();
        self.settle().await;
    }

    async fn act(&mut self) {
        match self.dice.below(40) {
            0..20 => (0..self.dice.between(1, 4)).for_each(|_| self.knock()),
            20..26 => drop(self.alive.clock.turn()),
            26..34 => {
                let longest = *self.dice.pick(&[100, 2_000, 30_000]);
                self.alive.clock.advance(Duration::from_millis(self.dice.between(1, longest)));
            }
            34..37 => self.operate(),
            37 => self.restart().await,
            _ => {}
        }
        self.call_back();
    }

    /// An event comes.
    fn knock(&mut self) {
        let name = format!("flow-{}", self.dice.below(flows::CALLED));
        let serving = Arc::clone(&self.alive.engine.generation().flows[&*name]);
        let bytes = self.dice.between(50, 200);
        let Ok(place) = self.alive.engine.reserve(&serving, bytes) else {
            return self.book().line(&format!("{name} is full"));
        };
        let event = event(&name, flows::body(&mut self.dice));
        let (engine, told, life) =
            (self.alive.engine.clone(), self.told.clone(), Arc::clone(&self.alive.life));
        let (clock, dice) = (self.alive.clock.clone(), Dice::new(self.dice.throw()));
        self.alive.tasks.spawn("caller", async move {
            let admission = engine.admit(&serving, event, place).await;
            told.hear(&life, &clock, dice, admission).await;
        });
    }

    /// An operator cancels a run or has its event run again.
    fn operate(&mut self) {
        let runs: Vec<_> = self.book().runs.keys().cloned().collect();
        if runs.is_empty() {
            return;
        }
        let run = Arc::clone(self.dice.pick(&runs));
        let cancels = self.dice.one_in(2);
        let (engine, life) = (self.alive.engine.clone(), Arc::clone(&self.alive.life));
        self.alive.tasks.spawn("operator", async move {
            let answer = if cancels {
                format!("{:?}", engine.cancel(&run).await)
            } else {
                format!("{:?}", engine.replay(&run, &Again::default()).await)
            };
            life.book(|book| book.line(&format!("operator: {run} cancels: {cancels} {answer}")));
        });
    }

    /// Who was given a URL and whose moment has come calls it.
    fn call_back(&mut self) {
        let now = self.alive.clock.now();
        let due: Vec<_> = self.book().callbacks.extract_if(.., |(at, _)| *at <= now).collect();
        for (_, token) in due {
            let (engine, life) = (self.alive.engine.clone(), Arc::clone(&self.alive.life));
            self.alive.tasks.spawn("called back", async move {
                let answer = match engine.waiting(&token).await {
                    Ok(point) => format!("{:?}", engine.resume(&point, &event("flow-0", 1.into())).await),
                    Err(refusal) => format!("{refusal:?}"),
                };
                life.book(|book| book.line(&format!("called back: {answer}")));
            });
        }
    }

    /// Goes on until nothing happens any more before the clock is turned. A process that dies begins its next life.
    async fn settle(&mut self) {
        loop {
            let died = {
                let (life, idle) = (Arc::clone(&self.alive.life), Arc::clone(&self.idle));
                tokio::select! {
                    biased;
                    () = life.died.notified() => true,
                    () = idle.notified() => false,
                }
            };
            if !died {
                return;
            }
            self.book().crashes += 1;
            self.next_life().await;
            self.recover().await;
        }
    }

    /// Nothing of the process is left but what the store has.
    async fn next_life(&mut self) {
        let calm = self.alive.life.is_calm();
        self.alive.tasks.drain(Duration::ZERO).await;
        self.alive.house.drain(Duration::ZERO).await;
        // What was dropped has to be seen to be.
        self.idle.notified().await;
        self.lives += 1;
        self.book().lives += 1;
        let dies_after = (!calm).then(|| self.dice.between(5, LONGEST_LIFE));
        let (at, dice) = (self.alive.clock.now(), Dice::new(self.seed ^ self.lives));
        self.alive = Alive::begin((&self.inner, &self.book, &self.flows), at, dice, dies_after).await;
    }

    /// A process may die while it starts, too.
    async fn recover(&mut self) {
        loop {
            let (engine, life) = (self.alive.engine.clone(), Arc::clone(&self.alive.life));
            let mut recovering = pin!(engine.recover());
            let recovered = loop {
                tokio::select! {
                    biased;
                    () = life.died.notified() => break None,
                    recovered = &mut recovering => break Some(recovered),
                    // A run is set aside, and the writer takes its time.
                    () = self.idle.notified() => assert!(self.alive.clock.turn(), "the start waits for nothing"),
                }
            };
            if let Some(recovered) = recovered {
                recovered.unwrap();
                let begun = format!("life {} has begun", self.lives);
                self.book().line(&begun);
                return life.started();
            }
            self.book().crashes += 1;
            self.next_life().await;
        }
    }

    /// The service goes down as it should, and comes again.
    async fn restart(&mut self) {
        self.book().line("shutdown");
        let Alive { engine, tasks, clock, life, .. } = &self.alive;
        let (over, idle) = (Arc::new(Notify::new()), Arc::clone(&self.idle));
        let (ended, engine, tasks) = (Arc::clone(&over), engine.clone(), tasks.clone());
        self.alive.house.spawn("shutdown", async move {
            tasks.drain(Duration::from_secs(30)).await;
            engine.close().await;
            ended.notify_one();
        });
        let (clock, life) = (clock.clone(), Arc::clone(life));
        loop {
            tokio::select! {
                biased;
                () = life.died.notified() => {
                    self.book().crashes += 1;
                    break;
                }
                () = over.notified() => break,
                () = idle.notified() => assert!(clock.turn(), "the shutdown waits for nothing"),
            }
        }
        self.next_life().await;
        self.recover().await;
    }

    /// What must hold whenever the process rests.
    fn check_bounds(&self) {
        for (name, live) in &self.alive.engine.generation().flows {
            let (items, queue) = (live.queue.items(), &live.flow.queue);
            // What was under way when a process died waits once more, beside a queue that may be full.
            let again = if self.lives > 1 { queue.workers as u64 } else { 0 };
            if items > queue.capacity + again {
                self.book().wrong(format!("{name} holds {items} events of {}", queue.capacity));
            }
        }
        let book = self.book();
        assert!(book.wrong.is_empty(), "seed {}: {:?}\n{}", self.seed, book.wrong, book.story());
    }

    /// Everything ends, and nothing is left.
    async fn end(mut self) -> Outcome {
        let mut turns = 0;
        while !self.rests() {
            self.call_back();
            self.alive.clock.turn();
            self.settle().await;
            turns += 1;
            if turns % PATIENCE == 0 {
                self.cancel_orphans();
            }
            if turns == TURNS {
                let (left, book) = (self.left(), self.book());
                panic!("seed {}: {left}\n{}", self.seed, book.story());
            }
        }
        self.check_bounds();
        assert_eq!(self.left(), "", "seed {}", self.seed);
        let book = std::mem::take(&mut *self.book());
        let mut wrong = self.told.check(&self.inner, &book).await;
        wrong.extend(told::check_replays(&self.inner, &book, &self.flows).await);
        assert!(wrong.is_empty(), "seed {}: {wrong:#?}", self.seed);
        assert_eq!((self.alive.tasks.panics(), self.alive.house.panics()), (0, 0), "seed {}", self.seed);
        Outcome { hash: book.hash(), lines: book.lines, runs: book.runs.len(), crashes: book.crashes }
    }

    /// The node may die just after it has set a run aside: then the run's children are left to the operator.
    fn cancel_orphans(&self) {
        let book = self.book();
        let orphans = book.unended().into_iter().filter(|(_, kept)| book.poisoned && *kept.flow == *"child");
        for run in orphans.map(|(run, _)| Arc::clone(run)) {
            let engine = self.alive.engine.clone();
            self.alive.tasks.spawn("operator", async move { drop(engine.cancel(&run).await) });
        }
    }

    fn rests(&self) -> bool {
        let book = self.book();
        book.callbacks.is_empty() && book.unended().is_empty() && self.left().is_empty()
    }

    /// What is left that should not be, when nothing is under way.
    fn left(&self) -> String {
        let mut left = Vec::new();
        let generation = self.alive.engine.generation();
        for (name, live) in &generation.flows {
            left.extend(live.queue.left().map(|what| format!("{name}: {what}")));
        }
        let inner = &self.alive.engine.0;
        left.extend((inner.hands.len() > 0).then(|| format!("{} runs in hand", inner.hands.len())));
        let (free, all) = (inner.in_flight.available_permits(), inner.limits.runs_in_flight);
        left.extend((free != all).then(|| format!("{free} of {all} runs may start")));
        left.extend((inner.overall_bytes() > 0).then(|| format!("{} bytes", inner.overall_bytes())));
        let callers = self.alive.tasks.running().get("caller").copied().unwrap_or_default();
        left.extend((callers > 0).then(|| format!("{callers} callers")));
        left.sort();
        left.join(", ")
    }
}

impl Alive {
    async fn begin(
        (inner, book, flows): Around<'_>,
        at: Timestamp,
        mut dice: Dice,
        dies_after: Option<u64>,
    ) -> Self {
        let clock = Clock::turned(at);
        let (tasks, house) = (Tasks::new(clock.clone()), Tasks::new(clock.clone()));
        let (chance, outside) = (Chance::seeded(clock.clone(), dice.throw()), dice.throw());
        let life = Life::begin(Arc::clone(inner), Arc::clone(book), clock.clone(), dice, dies_after);
        life.write(&house);
        let engine = Engine::new(Parts {
            stand_in: None,
            node: "node-1".into(),
            store: Arc::clone(&life) as Arc<dyn Store>,
            caller: Caller::scripted(outside::script(&life, clock.clone(), outside), clock.clone()),
            clock: clock.clone(),
            chance,
            tasks: tasks.clone(),
            heartbeats: Heartbeats::new(clock.clone()),
            metrics: Arc::new(Metrics::new(&mut Registry::default())),
            limits: Limits { runs_in_flight: 6, ..Limits::default() },
        });
        let engine = engine.await.unwrap();
        engine.install(flows.to_vec(), "https://hooks.example").await.unwrap();
        Self { engine, clock, life, tasks, house }
    }
}

#[test]
fn the_same_seed_is_the_same_simulation() {
    for seed in [1, 2] {
        let (once, again) = (simulate(seed), simulate(seed));
        let other = once.lines.iter().zip(&again.lines).find(|(line, other)| line != other);
        assert_eq!(other, None, "seed {seed}");
        assert_eq!(once.hash, again.hash, "seed {seed}");
    }
    assert_ne!(simulate(1).hash, simulate(2).hash);
}

#[test]
fn every_event_ends_once_whatever_goes_wrong() {
    let (mut runs, mut crashes) = (0, 0);
    for seed in 100..112 {
        let outcome = simulate(seed);
        assert!(outcome.lines.len() > 100, "seed {seed} is a dull one");
        (runs, crashes) = (runs + outcome.runs, crashes + outcome.crashes);
    }
    assert!(runs > 500 && crashes > 10, "{runs} runs and {crashes} crashes say little");
}

/// For `cargo xtask simulate`, which says how many, and from which on.
#[test]
#[ignore = "as long as one likes"]
fn as_many_seeds_as_one_likes() {
    #[expect(clippy::disallowed_methods, reason = "the command has no other way to a test")]
    let number = |name: &str, otherwise| std::env::var(name).map_or(otherwise, |text| text.parse().unwrap());
    let (first, seeds) = (number("SIMULATION_SEED", 1), number("SIMULATION_SEEDS", 1_000));
    let (mut runs, mut crashes) = (0, 0);
    for seed in first..first + seeds {
        println!("seed {seed}");
        let outcome = simulate(seed);
        println!("  trace {}, {} lines", outcome.hash, outcome.lines.len());
        (runs, crashes) = (runs + outcome.runs, crashes + outcome.crashes);
    }
    println!("{seeds} seeds: {runs} runs, {crashes} crashes, every event ended once");
}

#[test]
fn the_generator_knows_every_verb() {
    // A `call` is the same effect as `http`, with an address that a file of integrations gives.
    let known = hookflow_flow::step_kinds::ALL.iter().map(|kind| kind.verb).filter(|verb| *verb != "call");
    let known: BTreeSet<_> = known.collect();
    assert_eq!(flows::VERBS.iter().copied().collect::<BTreeSet<_>>(), known);
    let written: String = (0..200).flat_map(flows::documents).map(|document| document.to_string()).collect();
    for verb in flows::VERBS {
        assert!(written.contains(&format!("\"{verb}\":")), "{verb} is never written");
    }
}
