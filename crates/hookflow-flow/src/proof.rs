//! Replay equals live: every flow that a test runs is also replayed from each prefix of its journal.

use crate::rehearsal::CallsOnly;
use crate::{
    Ask, Effect, Flow, HttpCall, Integrations, Outcome, Rehearsal, Run, Start, Surroundings, World,
    rehearse_in,
};
use hookflow_text::{Diagnostics, Source, parse};
use hookflow_trigger::{Credentials, Event};
use jiff::Timestamp;
use std::sync::Arc;

/// Reads a flow, or says what is wrong with it.
pub(crate) fn load(text: &str) -> (Option<Flow>, Diagnostics) {
    let mut diagnostics = Diagnostics::default();
    let surroundings = Surroundings {
        credentials: &Credentials::default(),
        integrations: &Integrations::of_examples(),
        body_limit: 1 << 20,
        read_file: &|path| Err(format!("there is no {path}")),
    };
    let flow = parse(&Source::new("flows/test.yaml", text), &mut diagnostics)
        .and_then(|root| Flow::load(&root, &surroundings, &mut diagnostics));
    (flow, diagnostics)
}

/// A flow that must be right.
pub(crate) fn flow(text: &str) -> Flow {
    let (flow, diagnostics) = load(text);
    flow.unwrap_or_else(|| panic!("{}", diagnostics.render(false)))
}

pub(crate) fn start(event: Event) -> Start {
    Start {
        run: "run-1".into(),
        started_at: Timestamp::UNIX_EPOCH,
        seed: *b"0123456789abcdef",
        event: Arc::new(event),
        attempt: 1,
        deadline: None,
    }
}

/// The event of a flow's own sample.
pub(crate) fn sample_event(flow: &Flow) -> Event {
    flow.sample_event("evt-1".into(), Timestamp::UNIX_EPOCH, "http://localhost").unwrap()
}

/// Answers a call by its step's name.
pub(crate) type Outside<'a> = &'a mut dyn FnMut(&Ask, &HttpCall) -> Outcome;

/// An answer of another service.
pub(crate) fn answer(call: &HttpCall, status: u16, body: &str) -> Outcome {
    let mut headers = http::HeaderMap::new();
    headers.insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    call.answered(http::StatusCode::from_u16(status).unwrap(), &headers, body.as_bytes())
}

/// Runs a flow on its sample, and proves that every replay of it is the same run.
pub(crate) fn prove(flow: &Flow, outside: Outside<'_>) -> Rehearsal {
    prove_in(flow, &mut CallsOnly(outside))
}

/// The same, in a world that also answers what is not a call.
pub(crate) fn prove_in(flow: &Flow, world: &mut dyn World) -> Rehearsal {
    let start = start(sample_event(flow));
    let rehearsal = rehearse_in(flow, start.clone(), world);
    let facts = &rehearsal.facts;
    // Live, fact by fact: what each step of the way wanted, and the end.
    let (mut live, first) = Run::begin(Arc::clone(&flow.plan), start.clone());
    let mut wanted = vec![first];
    wanted.extend(facts.iter().map(|fact| live.on(fact)));
    assert_eq!(live.end(), rehearsal.end.as_ref());

    for known in 0..=facts.len() {
        let (before, after) = facts.split_at(known);
        let (mut run, effects) = Run::replay(Arc::clone(&flow.plan), start.clone(), before).unwrap();
        let told = &wanted[known];
        let at_the_time = live_at(flow, &start, before);
        let asked = wanted[..=known].iter().flatten();
        let open = asked.filter(|effect| effect.ask().is_some_and(|ask| at_the_time.awaits(ask)));
        let tells = told.iter().filter(|effect| effect.ask().is_none());
        assert_eq!(lines(effects.iter()), lines(open.chain(tells)), "after {known} facts");
        for (fact, expected) in after.iter().zip(&wanted[known + 1..]) {
            assert_eq!(lines(run.on(fact).iter()), lines(expected.iter()));
        }
        assert_eq!(run.end(), rehearsal.end.as_ref());
        assert_eq!(run.reply(), live.reply());
        assert_eq!(run.results().count(), live.results().count());
        assert!(run.results().all(|(place, value)| live.results().any(|other| other == (place, value))));
    }
    rehearsal
}

fn live_at(flow: &Flow, start: &Start, facts: &[crate::Fact]) -> Run {
    let (mut run, _) = Run::begin(Arc::clone(&flow.plan), start.clone());
    for fact in facts {
        run.on(fact);
    }
    run
}

fn lines<'a>(effects: impl Iterator<Item = &'a Effect>) -> Vec<String> {
    let mut lines: Vec<_> = effects.map(|effect| format!("{effect:?}")).collect();
    lines.sort();
    lines
}
