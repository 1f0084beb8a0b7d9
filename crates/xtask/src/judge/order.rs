//! What comes after what.

use super::case::{Case, Event, Run};
use std::collections::BTreeMap;

/// An event's place among those with its key, its name, and its runs.
type Turn<'c> = (u64, &'c str, Vec<&'c Run>);

/// Events of a key are carried out one after the other, as they came.
pub(super) fn order(case: &Case) -> Vec<String> {
    let mut keys: BTreeMap<&str, Vec<Turn<'_>>> = BTreeMap::new();
    for (name, runs) in case.runs_of() {
        let Some(event) = case.events.get(name) else { continue };
        if let (Some(key), Some(turn)) = (&event.key, event.turn) {
            keys.entry(key).or_default().push((turn, name, runs.into_iter().map(|(_, run)| run).collect()));
        }
    }
    let mut found = Vec::new();
    for (key, mut events) in keys {
        events.sort_by_key(|(turn, ..)| *turn);
        for ((_, name, runs), (_, next, later)) in events.iter().zip(events.iter().skip(1)) {
            // The sender's second try of an event whose run has failed comes after the next one.
            let first = runs.first().into_iter().flat_map(|run| {
                run.calls.iter().map(|call| call.at).chain(run.ends.iter().map(|end| end.at))
            });
            let (last, first) = (first.max(), later.iter().map(|run| run.first()).min());
            if first.is_some_and(|first| last > Some(first)) {
                found.push(format!("with the key {key}, {next} has begun before {name} had ended"));
            }
        }
    }
    found
}

/// What comes while a flow is paused waits until it is resumed.
pub(super) fn paused(case: &Case) -> Vec<String> {
    let runs_of = case.runs_of();
    let held = |event: &&Event| event.scene == "held";
    let mut found = Vec::new();
    for (name, event) in case.events.iter().filter(|(_, event)| held(event)) {
        let heard = runs_of.get(&**name).into_iter().flatten().map(|(_, run)| run.first()).min();
        let early = case.pauses.iter().any(|(paused, resumed)| {
            event.first_sent() > *paused && heard.is_some_and(|heard| (*paused..*resumed).contains(&heard))
        });
        if early {
            found.push(format!("the event {name} came to a paused flow and was carried out"));
        }
    }
    found
}

/// A run that sleeps does not wake early.
pub(super) fn naps(case: &Case) -> Vec<String> {
    let mut found = Vec::new();
    for (name, run) in &case.runs {
        let Some(began) = run.calls.iter().map(|call| call.at).min() else { continue };
        for end in &run.ends {
            let Ok(millis) = end.says("napped").parse::<u64>() else { continue };
            if end.at < began + millis * 1_000 {
                found.push(format!("the run {name} of {} has slept too short", run.event));
            }
        }
    }
    found
}
