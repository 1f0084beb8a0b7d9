//! What callers are told is what is.

use super::case::Case;
use std::collections::{BTreeMap, BTreeSet};

/// All good answers to an event are the same: the reply where the flow gives one, and everywhere the run. One more for
/// each run of the event that has failed or was set aside.
pub(super) fn replies(case: &Case) -> Vec<String> {
    let runs_of = case.runs_of();
    let mut found = Vec::new();
    for (name, event) in &case.events {
        let runs = runs_of.get(&**name).map(Vec::as_slice).unwrap_or_default();
        let failed = runs.iter().filter(|(_, run)| run.has_failed()).count();
        let given_back = failed + case.given_up(name, runs).0;
        let good = || event.tries.iter().filter(|one| one.is_good());
        let told: BTreeSet<_> = good().map(|one| one.run.as_deref()).collect();
        if told.contains(&None) {
            found.push(format!("the event {name} was accepted and no run was named"));
        }
        let replies: BTreeSet<_> = good().map(|one| (one.status, one.body.as_deref())).collect();
        if told.len() > 1 + given_back || event.replies && replies.len() > 1 + given_back {
            found.push(format!("the event {name} has got different answers"));
        }
        let strange = |reply: &&str| !reply.contains(&format!("\"{name}\""));
        if event.replies && good().filter_map(|one| one.body.as_deref()).any(|reply| strange(&reply)) {
            found.push(format!("the event {name} has got the reply to another"));
        }
    }
    found
}

/// A run that waits goes on with the one call that was taken, and with none that was refused.
pub(super) fn callbacks(case: &Case) -> Vec<String> {
    let mut by_run: BTreeMap<&str, BTreeMap<&str, Vec<Option<u64>>>> = BTreeMap::new();
    for callback in &case.callbacks {
        let calls = by_run.entry(&callback.run).or_default();
        calls.entry(&callback.name).or_default().push(callback.status);
    }
    let mut found = Vec::new();
    for (run, calls) in by_run {
        let is_taken = |status: &Option<u64>| status.is_some_and(|status| (200..300).contains(&status));
        let is_refused = |status: &Option<u64>| status.is_some_and(|status| (400..500).contains(&status));
        let taken: Vec<_> =
            calls.iter().filter(|(_, tries)| tries.iter().any(is_taken)).map(|(name, _)| *name).collect();
        if taken.len() > 1 {
            found.push(format!("the run {run} has taken the calls {}", taken.join(" and ")));
        }
        let ends = case.runs.get(run).map(|run| run.ends.as_slice()).unwrap_or_default();
        for end in ends.iter().filter(|end| end.says("how") == "ok") {
            let heard = end.says("callback");
            let refused = calls.get(heard).is_some_and(|tries| tries.iter().all(is_refused));
            let unknown = heard != "none" && !calls.contains_key(heard);
            let other = taken.first().is_some_and(|taken| *taken != heard);
            if refused || unknown || other {
                found.push(format!("the run {run} has gone on with {heard}, and was to with {taken:?}"));
            }
        }
    }
    found
}
