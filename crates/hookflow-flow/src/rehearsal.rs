//! A run without a world: effects are answered from a script, and time passes only for what waits. What the documented
//! examples and the tests run, on the same machine as the service.

use crate::{
    Ask, Effect, Emission, End, Fact, Fault, FaultKind, Flow, HttpCall, LogLine, Outcome, Place, Reply, Run,
    Start, SubRun, Waiting,
};
use hookflow_text::Json;
use serde_json::json;
use std::sync::Arc;

/// What came of a rehearsal.
#[derive(Debug)]
pub struct Rehearsal {
    /// What the caller would get.
    pub answer: Answer,
    /// How the run ended; `None` when it asked for more than the script gives.
    pub end: Option<End>,
    /// The steps that have a result, in the order of the file.
    pub steps: Vec<StepTrace>,
    /// What was logged.
    pub log: Vec<LogLine>,
    /// Every call, with its step's name.
    pub calls: Vec<(Arc<str>, HttpCall)>,
    /// What was emitted.
    pub emitted: Vec<Emission>,
    /// What was made up because there is no world: the step's name, and one sentence.
    pub invented: Vec<(Arc<str>, String)>,
    /// The journal.
    pub facts: Vec<Fact>,
}

/// What answers a run that is rehearsed.
pub trait World {
    /// The outcome of a try of a call.
    fn call(&mut self, ask: &Ask, call: &HttpCall) -> Outcome;

    /// The call of a `wait` step's URL; `None` for a made-up one.
    fn resume(&mut self, ask: &Ask, waiting: &Waiting) -> Option<Outcome> {
        let (_, _) = (ask, waiting);
        None
    }

    /// The end of another flow's run; `None` for a made-up one.
    fn run(&mut self, ask: &Ask, child: &SubRun) -> Option<Outcome> {
        let (_, _) = (ask, child);
        None
    }
}

/// A closure answers calls, and everything else is made up.
pub(crate) struct CallsOnly<'w>(pub &'w mut dyn FnMut(&Ask, &HttpCall) -> Outcome);

impl World for CallsOnly<'_> {
    fn call(&mut self, ask: &Ask, call: &HttpCall) -> Outcome {
        (self.0)(ask, call)
    }
}

/// What a caller would get.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// The flow has no `respond`: its `ack`, or 202 with the run's ID.
    Accepted(Option<Reply>),
    /// As written.
    Reply(Reply),
    /// The flow has a `respond` and ended well without reaching it: 200 with the run's ID.
    Completed,
    /// The run failed before it answered.
    Failed(Fault),
}

/// A step and its result.
#[derive(Debug, Clone, PartialEq)]
pub struct StepTrace {
    /// Its ID, or its path.
    pub name: Arc<str>,
    /// Its verb.
    pub verb: &'static str,
    /// Its place.
    pub place: Place,
    /// Its result.
    pub value: Arc<Json>,
}

/// Runs `flow` to its end. `outside` answers each call.
pub fn rehearse(flow: &Flow, start: Start, outside: &mut dyn FnMut(&Ask, &HttpCall) -> Outcome) -> Rehearsal {
    rehearse_in(flow, start, &mut CallsOnly(outside))
}

/// Runs `flow` to its end in a world. What waits is over at once, the soonest first.
pub fn rehearse_in(flow: &Flow, start: Start, world: &mut dyn World) -> Rehearsal {
    let (mut at, event, mut reply) = (start.started_at, Arc::clone(&start.event), None);
    let (mut run, effects) = Run::begin(Arc::clone(&flow.plan), start);
    let (mut log, mut calls, mut facts) = (Vec::new(), Vec::new(), Vec::new());
    let (mut emitted, mut invented, mut open) = (Vec::new(), Vec::new(), Vec::new());
    let mut effects = effects;
    loop {
        for effect in effects {
            match effect {
                Effect::Log(line) => log.push(line),
                Effect::Emit(emission) => emitted.push(emission),
                Effect::Reply(given, None) => drop(reply.get_or_insert(Ok(given))),
                Effect::Reply(given, Some(file)) => {
                    reply.get_or_insert_with(|| given.filled(&file, &event));
                }
                asking => open.push(asking),
            }
        }
        open.retain(|effect: &Effect| effect.ask().is_some_and(|ask| run.awaits(ask)));
        let soonest = (0..open.len()).min_by_key(|n| open.get(*n).and_then(Effect::ask)?.not_before);
        let Some(effect) = soonest.map(|soonest| open.remove(soonest)) else { break };
        let Some(ask) = effect.ask().cloned() else { break };
        let due = ask.not_before.map_or(at, |due| due.max(at));
        at = ask.deadline.map_or(due, |deadline| due.min(deadline.max(at)));
        let outcome = if at < due {
            Outcome::Failed { kind: FaultKind::Timeout, message: "its time was over".into() }
        } else {
            let (outcome, note) = outcome(&effect, &ask, world);
            invented.extend(note.map(|note| (Arc::clone(&ask.step), note)));
            outcome
        };
        if let Effect::Call(ask, call) = effect {
            calls.push((ask.step, *call));
        }
        let fact = ask.fact(at, outcome);
        effects = run.on(&fact);
        facts.push(fact);
    }
    let mut steps: Vec<_> = run
        .results()
        .filter_map(|(place, value)| {
            let info = flow.plan.step(place.step)?;
            Some(StepTrace {
                name: Arc::clone(&info.name),
                verb: info.verb,
                place: place.clone(),
                value: Arc::clone(value),
            })
        })
        .collect();
    steps.sort_by(|a, b| a.place.cmp(&b.place));
    let end = run.end().cloned();
    let answer = match (reply, &end) {
        (_, _) if !flow.plan.is_sync() => Answer::Accepted(flow.ack().cloned()),
        (Some(Ok(reply)), _) => Answer::Reply(reply),
        (Some(Err(fault)), _) => Answer::Failed(fault),
        (None, Some(End::Failed(fault))) => Answer::Failed(fault.clone()),
        (None, _) => Answer::Completed,
    };
    Rehearsal { answer, end, steps, log, calls, emitted, invented, facts }
}

/// What comes of an ask, and what had to be made up for it.
fn outcome(effect: &Effect, ask: &Ask, world: &mut dyn World) -> (Outcome, Option<String>) {
    let (told, invented, note) = match effect {
        Effect::Call(_, call) => return (world.call(ask, call), None),
        Effect::Sleep(_) => {
            let note = ask.not_before.map(|due| format!("slept until {due} at once"));
            return (Outcome::Slept, note);
        }
        Effect::Wait(_, waiting) => {
            let nothing = || serde_json::Map::new();
            let call = Outcome::Resumed {
                method: "POST".into(),
                headers: nothing(),
                query: Json::Object(nothing()),
                body: Json::Null,
                files: json!([]),
            };
            (
                world.resume(ask, waiting),
                call,
                "nobody called its URL; went on as after a POST without a body".into(),
            )
        }
        Effect::Run(_, child) => {
            let end = Outcome::Ended(End::Succeeded(Json::Null));
            (world.run(ask, child), end, format!("`{}` was not run; its value is null", child.flow))
        }
        Effect::Emit(_) | Effect::Reply(..) | Effect::Log(_) => {
            return (Outcome::Slept, None);
        }
    };
    match told {
        Some(outcome) => (outcome, None),
        None => (invented, Some(note)),
    }
}
