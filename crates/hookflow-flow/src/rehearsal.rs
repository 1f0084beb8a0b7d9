//! A run without a world: effects are answered from a script, time stands still. What `hookflow try`, the documented
//! examples and the tests run, on the same machine as the service.

use crate::{Ask, Effect, End, Fact, Fault, Flow, HttpCall, LogLine, Outcome, Place, Reply, Run, Start};
use hookflow_text::Json;
use std::collections::VecDeque;
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
    /// The journal.
    pub facts: Vec<Fact>,
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
    let at = start.started_at;
    let (mut run, effects) = Run::begin(Arc::clone(&flow.plan), start);
    let mut todo = VecDeque::from(effects);
    let (mut log, mut calls, mut facts) = (Vec::new(), Vec::new(), Vec::new());
    while let Some(effect) = todo.pop_front() {
        match effect {
            Effect::Log(line) => log.push(line),
            Effect::Reply(_) => {}
            Effect::Call(ask, call) => {
                let outcome = outside(&ask, &call);
                calls.push((Arc::clone(&ask.step), *call));
                let fact = ask.fact(at, outcome);
                todo.extend(run.on(&fact));
                facts.push(fact);
            }
        }
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
    let answer = match (run.reply(), &end) {
        (_, _) if !flow.plan.is_sync() => Answer::Accepted(flow.ack().cloned()),
        (Some(reply), _) => Answer::Reply(reply.clone()),
        (None, Some(End::Failed(fault))) => Answer::Failed(fault.clone()),
        (None, _) => Answer::Completed,
    };
    Rehearsal { answer, end, steps, log, calls, facts }
}
