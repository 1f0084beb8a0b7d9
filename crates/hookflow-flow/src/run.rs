//! The machine: facts in, effects out.
//!
//! A [`Run`] is plain data and a plan. It never waits, never reads a clock, never rolls dice: its time is the `at` of the
//! last fact, its chance a function of the seed and the place. So the same facts always give the same effects, and
//! recovering after a crash is [`Run::replay`]: begin again and fold in the facts that are on disk.

mod execute;
mod fiber;
mod forks;
mod scope;
mod unwind;

use crate::arm::{Made, Seen, Watch, Way};
use crate::plan::Pc;
use crate::{Ask, Effect, End, Fact, Fault, FaultKind, Place, Plan, Reply, StepNumber};
use fiber::{Exit, Fiber, Fork, State};
use hookflow_expr::Env;
use hookflow_text::{Code, Json, weight};
use hookflow_trigger::Event;
use jiff::Timestamp;
use scope::{Places, Results, View};
use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use thiserror::Error;

/// How many instructions a run may execute.
const MAX_INSTRUCTIONS: u64 = 1_000_000;
/// How many instructions a slice has.
const SLICE: u64 = 1_000;
/// How many effects a run may ask for; its journal holds no more facts than this.
const MAX_EFFECTS: u64 = 10_000;
/// How many bytes the results of a run may hold.
const MAX_RESULT_BYTES: usize = 32 << 20;

/// All that a run begins with. Stored with the event, so that a replay begins the same.
#[derive(Debug, Clone)]
pub struct Start {
    /// The run's ID.
    pub run: Arc<str>,
    /// `now()` for the whole run.
    pub started_at: Timestamp,
    /// The source of all chance in the run.
    pub seed: [u8; 16],
    /// What came in.
    pub event: Arc<Event>,
    /// 1, or more when an operator replays the event.
    pub attempt: u32,
    /// When the run that waits for this one waits no longer: nothing that is asked for goes on beyond it.
    pub deadline: Option<Timestamp>,
}

/// A run: the state of one execution of a plan.
#[derive(Debug)]
pub struct Run {
    plan: Arc<Plan>,
    start: Arc<Start>,
    at: Timestamp,
    fibers: Vec<Fiber>,
    ready: VecDeque<usize>,
    forks: Vec<Fork>,
    open: Places<Open>,
    results: Arc<Results>,
    /// The facts that a replay will fold in: these tries are not evaluated again.
    known: HashSet<(Place, u32)>,
    effects: Vec<Effect>,
    reply: Option<Reply>,
    ignored_replies: u32,
    ignored_facts: u32,
    failing: Option<Fault>,
    end: Option<End>,
    instructions: u64,
    /// After so many instructions the run lets others go first.
    slice: u64,
    asked: u64,
    bytes: usize,
    /// What it does, when somebody looks at it.
    watch: Option<Box<Watch>>,
}

/// An ask that waits for its fact.
#[derive(Debug)]
struct Open {
    fiber: usize,
    verb: &'static str,
    attempt: u32,
}

/// A journal that does not fit its plan. Nothing is guessed: the run is set aside.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the journal does not fit the plan: {0}")]
pub struct Diverged(String);

impl Run {
    /// Begins a run and returns what it wants done first.
    pub fn begin(plan: Arc<Plan>, start: Start) -> (Self, Vec<Effect>) {
        let mut run = Self::new(plan, start);
        run.advance();
        let effects = std::mem::take(&mut run.effects);
        (run, effects)
    }

    /// The same, but [`Run::begin`], [`Run::on`] and [`Run::go_on`] return after some 1,000 instructions, so that a long
    /// computation holds up nobody: as long as [`Run::is_ready`], the run is to go on.
    pub fn begin_in_slices(plan: Arc<Plan>, start: Start) -> (Self, Vec<Effect>) {
        let mut run = Self::new(plan, start);
        run.slice = SLICE;
        let effects = run.go_on();
        (run, effects)
    }

    /// The same as [`Run::begin`], and what it does is kept for [`Run::take_seen`].
    pub fn begin_seen(plan: Arc<Plan>, start: Start) -> (Self, Vec<Effect>) {
        let mut run = Self::new(plan, start);
        run.watch = Some(Box::new(Watch::new(&run.plan)));
        let effects = run.go_on();
        (run, effects)
    }

    /// What it has done, when it was begun to be looked at.
    pub fn take_seen(&mut self) -> Seen {
        self.watch.take().map(|watch| watch.seen(&self.plan)).unwrap_or_default()
    }

    /// Whether the run has more to do without a fact.
    pub fn is_ready(&self) -> bool {
        self.end.is_none() && !self.ready.is_empty()
    }

    /// Goes on where the last slice ended.
    pub fn go_on(&mut self) -> Vec<Effect> {
        self.advance();
        std::mem::take(&mut self.effects)
    }

    /// Folds in a fact and returns what the run wants done next. A fact for a place that is not open is ignored.
    pub fn on(&mut self, fact: &Fact) -> Vec<Effect> {
        if fact.at > self.at {
            self.at = fact.at;
        }
        match self.open.get(&fact.place).filter(|open| open.attempt == fact.attempt).map(|open| open.fiber) {
            None => self.ignored_facts += 1,
            Some(fiber) => {
                self.open.remove(&fact.place);
                self.settle(fiber, fact);
                self.advance();
            }
        }
        std::mem::take(&mut self.effects)
    }

    /// Brings a run back to where its journal ends: the run, and what it wants done that the journal has no fact for.
    ///
    /// # Errors
    /// When a fact has no open ask of its verb.
    pub fn replay(plan: Arc<Plan>, start: Start, facts: &[Fact]) -> Result<(Self, Vec<Effect>), Diverged> {
        let mut run = Self::new(plan, start);
        run.known = facts.iter().map(|fact| (fact.place.clone(), fact.attempt)).collect();
        run.advance();
        let mut effects = std::mem::take(&mut run.effects);
        for fact in facts {
            match run.open.get(&fact.place) {
                Some(open) if open.verb == fact.verb && open.attempt == fact.attempt => {}
                Some(open) => {
                    return Err(Diverged(format!(
                        "place {} asks `{}` (try {}), the fact is of `{}` (try {})",
                        fact.place, open.verb, open.attempt, fact.verb, fact.attempt
                    )));
                }
                None => return Err(Diverged(format!("nobody asks at place {}", fact.place))),
            }
            // What was told before this fact has been told.
            effects.retain(|effect| effect.ask().is_some());
            run.known.remove(&(fact.place.clone(), fact.attempt));
            effects.append(&mut run.on(fact));
        }
        effects.retain(|effect| effect.ask().is_none_or(|ask| run.awaits(ask)));
        Ok((run, effects))
    }

    fn new(plan: Arc<Plan>, start: Start) -> Self {
        Self {
            plan,
            at: start.started_at,
            fibers: vec![Fiber::main(start.deadline)],
            start: Arc::new(start),
            ready: VecDeque::from([0]),
            forks: Vec::new(),
            open: Places::default(),
            results: Arc::default(),
            known: HashSet::new(),
            effects: Vec::new(),
            reply: None,
            ignored_replies: 0,
            ignored_facts: 0,
            failing: None,
            end: None,
            instructions: 0,
            slice: u64::MAX,
            asked: 0,
            bytes: 0,
            watch: None,
        }
    }

    /// Whether the run still waits for the outcome of an ask.
    pub fn awaits(&self, ask: &Ask) -> bool {
        self.end.is_none() && self.open.get(&ask.place).is_some_and(|open| open.attempt == ask.attempt)
    }

    /// How the run ended, once it has.
    pub fn end(&self) -> Option<&End> {
        self.end.as_ref()
    }

    /// The answer to the caller, once the run has given it; without its body where that is a file.
    pub fn reply(&self) -> Option<&Reply> {
        self.reply.as_ref()
    }

    /// What it began with.
    pub fn start(&self) -> &Start {
        &self.start
    }

    /// Its plan.
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// How many `respond` steps came too late, and how many facts nobody waited for.
    pub fn ignored(&self) -> (u32, u32) {
        (self.ignored_replies, self.ignored_facts)
    }

    /// Every result so far, by place.
    pub fn results(&self) -> impl Iterator<Item = (&Place, &Arc<Json>)> {
        self.results.iter()
    }

    /// Runs every fiber until it waits or is done.
    fn advance(&mut self) {
        let plan = Arc::clone(&self.plan);
        let pause = self.instructions.saturating_add(self.slice);
        while self.end.is_none() {
            let Some(fiber) = self.ready.pop_front() else { break };
            // An entry may be stale: the fiber has gone on, or its place holds another.
            if self.fibers.get(fiber).is_none_or(|fiber| fiber.state != State::Ready) {
                continue;
            }
            if self.is_doomed(fiber) {
                self.unwind(fiber, Exit::Doomed);
            }
            while self.end.is_none()
                && self.fibers.get(fiber).is_some_and(|fiber| fiber.state == State::Ready)
            {
                if self.instructions >= pause {
                    self.ready.push_front(fiber);
                    return;
                }
                self.instructions += 1;
                if self.instructions > MAX_INSTRUCTIONS {
                    let message = format!("the run executed more than {MAX_INSTRUCTIONS} instructions");
                    self.end = Some(End::Failed(Fault::new(FaultKind::Limit, Code("run.limit"), message)));
                    return;
                }
                let Some(instruction) = self.fibers.get(fiber).and_then(|fiber| plan.code.get(fiber.pc))
                else {
                    self.unwind(fiber, Exit::Ended(Arc::default()));
                    continue;
                };
                if self.watch.is_some() {
                    self.look(fiber);
                }
                if let Err((step, stop)) = self.execute(fiber, instruction) {
                    self.raise(fiber, step, stop);
                }
            }
        }
    }

    /// Somebody looks on: an instruction is about to be executed.
    fn look(&mut self, fiber: usize) {
        let pc = self.fibers.get(fiber).map_or(0, |fiber| fiber.pc);
        let begun = self.watch.as_mut().map(|watch| watch.execute(pc)).unwrap_or_default();
        for step in begun {
            let (place, at) = (self.place(fiber, step), self.at);
            if let Some(watch) = &mut self.watch {
                watch.begins(place, at);
            }
        }
    }

    /// A choice was made at `at`.
    fn choose(
        &mut self,
        fiber: usize,
        at: Pc,
        way: impl FnOnce() -> Way,
        made: impl FnOnce(Vec<u32>) -> Made,
    ) {
        if let Some(watch) = &mut self.watch {
            let turns = || self.fibers.get(fiber).map(|it| it.place_turns(usize::MAX)).unwrap_or_default();
            watch.choose(at, way(), || made(turns()));
        }
    }

    fn keep(&mut self, fiber: usize, step: StepNumber, value: Arc<Json>) -> Result<(), Fault> {
        self.spend(weight(&value))?;
        let place = self.place(fiber, step);
        if let Some(watch) = &mut self.watch {
            watch.ends(&place, self.at);
        }
        Arc::make_mut(&mut self.results).insert(place, value);
        Ok(())
    }

    /// Counts bytes that the run holds.
    fn spend(&mut self, bytes: usize) -> Result<(), Fault> {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes > MAX_RESULT_BYTES {
            let message = format!("the results of the run hold more than {} MiB", MAX_RESULT_BYTES >> 20);
            return Err(Fault::new(FaultKind::Limit, Code("run.limit"), message));
        }
        Ok(())
    }

    /// Goes to `to`, or to the next instruction.
    fn go(&mut self, fiber: usize, to: Option<Pc>) {
        self.with(fiber, |fiber| fiber.pc = to.unwrap_or(fiber.pc + 1));
    }

    fn with(&mut self, fiber: usize, change: impl FnOnce(&mut Fiber)) {
        if let Some(fiber) = self.fibers.get_mut(fiber) {
            change(fiber);
        }
    }

    fn name(&self, step: StepNumber) -> Arc<str> {
        self.plan.step(step).map_or_else(|| "".into(), |info| Arc::clone(&info.name))
    }

    /// Where in the run this step of this fiber is.
    fn place(&self, fiber: usize, step: StepNumber) -> Place {
        let depth = self.plan.step(step).map_or(0, |info| info.depth);
        let turns = self.fibers.get(fiber).map(|fiber| fiber.place_turns(depth)).unwrap_or_default();
        Place { step, turns }
    }

    fn env(&self, fiber: usize, step: StepNumber) -> Env {
        let (turns, error) = self
            .fibers
            .get(fiber)
            .map_or_else(|| (Arc::from([]), None), |fiber| (Arc::clone(&fiber.turns), fiber.error.clone()));
        let chance = scope::chance(&self.start.seed, step, &turns);
        let view = View::new(
            Arc::clone(&self.plan),
            Arc::clone(&self.start),
            Arc::clone(&self.results),
            step,
            turns,
            error,
        );
        Env { scope: Arc::new(view), now: self.start.started_at, chance }
    }
}

#[cfg(test)]
mod tests;
