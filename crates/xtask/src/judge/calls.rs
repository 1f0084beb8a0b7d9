//! What left the house: no call is made twice that must not be, and none is missing.

use super::case::{Call, Case, Run};
use std::collections::BTreeMap;

/// The most tries of a step.
const TRIES: usize = 4;

fn by_step(run: &Run) -> BTreeMap<&str, Vec<&Call>> {
    let mut steps: BTreeMap<&str, Vec<&Call>> = BTreeMap::new();
    for call in &run.calls {
        steps.entry(&call.step).or_default().push(call);
    }
    steps
}

/// How often the service died while a step was made.
fn deaths(case: &Case, calls: &[&Call]) -> usize {
    let at = |call: &&Call| call.at;
    case.deaths(
        calls.iter().map(at).min().unwrap_or_default(),
        calls.iter().map(at).max().unwrap_or_default(),
    )
}

/// Whether a call with an ID has no try left: a death may have cost one that never arrived.
pub(super) fn used_up(case: &Case, run: &Run, end: u64) -> bool {
    by_step(run).values().any(|calls| {
        let first = calls.iter().map(|call| call.at).min().unwrap_or_default();
        calls.iter().all(|call| call.id.is_some()) && calls.len() + case.deaths(first, end) >= TRIES
    })
}

/// A call without an ID is made once; one that may be repeated, at most once more for each death.
pub(super) fn once(case: &Case) -> Vec<String> {
    let mut found = Vec::new();
    for (name, run) in &case.runs {
        for (step, calls) in
            by_step(run).into_iter().filter(|(_, calls)| calls.iter().all(|call| call.id.is_none()))
        {
            let is_safe = calls.iter().all(|call| call.is_safe);
            let most = if is_safe { 1 + deaths(case, &calls) } else { 1 };
            if calls.len() > most {
                found.push(format!(
                    "the run {name} of {} has made the call {step} {} times",
                    run.event,
                    calls.len()
                ));
            }
        }
    }
    found
}

/// All tries of a step carry the same ID, and no other step carries it.
pub(super) fn same_id(case: &Case) -> Vec<String> {
    let (mut found, mut known) = (Vec::new(), BTreeMap::new());
    for (name, run) in &case.runs {
        for (step, calls) in
            by_step(run).into_iter().filter(|(_, calls)| calls.iter().any(|call| call.id.is_some()))
        {
            let Some(first) = calls.first().and_then(|call| call.id.as_deref()) else { continue };
            if calls.iter().any(|call| call.id.as_deref() != Some(first)) {
                found.push(format!("the run {name} of {} has given the call {step} two IDs", run.event));
            }
            if calls.len() > TRIES {
                found.push(format!(
                    "the run {name} of {} has tried the call {step} {} times",
                    run.event,
                    calls.len()
                ));
            }
            if let Some((other, at)) = known.insert(first, (name, step)) {
                found
                    .push(format!("the call {step} of {name} and the call {at} of {other} have the same ID"));
            }
        }
    }
    found
}

/// A run that says it has succeeded has made all its calls.
pub(super) fn all_steps(case: &Case) -> Vec<String> {
    let mut found = Vec::new();
    for (name, run) in &case.runs {
        let steps = by_step(run);
        for end in run.ends.iter().filter(|end| end.says("how") == "ok") {
            let made =
                |step: &str| steps.get(step).is_some_and(|calls| calls.iter().any(|call| call.at <= end.at));
            let missing = end.says("steps").split_whitespace().find(|step| !made(step));
            // What was begun apart from the run may come later.
            let later = end.says("later").split_whitespace().find(|step| !steps.contains_key(step));
            if let Some(step) = missing.or(later) {
                found.push(format!(
                    "the run {name} of {} has ended, and its call {step} was not made",
                    run.event
                ));
            }
        }
    }
    found
}

/// A large body comes out as it went in.
pub(super) fn bodies(case: &Case) -> Vec<String> {
    let mut found = Vec::new();
    for (name, run) in &case.runs {
        let sent = case.events.get(&run.event).and_then(|event| event.sha.as_ref());
        let calls = run.calls.iter().filter(|call| call.sha.is_some());
        if calls.into_iter().any(|call| call.sha.as_ref() != sent) {
            found.push(format!("the run {name} of {} has passed on another body", run.event));
        }
    }
    found
}
