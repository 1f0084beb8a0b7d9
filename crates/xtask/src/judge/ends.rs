//! Every event that was taken in ends, once.

use super::calls;
use super::case::{Case, Event};

/// An accepted event, and every run that was heard of, ends.
pub(super) fn lost(case: &Case) -> Vec<String> {
    let runs_of = case.runs_of();
    let ended = |name: &str| case.runs.get(name).is_some_and(|run| !run.ends.is_empty());
    let mut found = Vec::new();
    for (name, event) in case.events.iter().filter(|(_, event)| event.is_accepted() && !event.ends_with_reply)
    {
        let runs = runs_of.get(&**name).map(Vec::as_slice).unwrap_or_default();
        if !runs.iter().any(|(_, run)| !run.ends.is_empty()) {
            found.push(format!("the event {name} was accepted and has not ended"));
        }
        let told = event.tries.iter().filter(|one| one.is_good()).filter_map(|one| one.run.as_deref());
        for run in told.filter(|run| !ended(run) && !case.set_aside.contains(*run)) {
            found.push(format!("the run {run} of {name} was promised and has not ended"));
        }
    }
    let heard = case.runs.iter().filter(|(name, _)| !ended(name) && !case.set_aside.contains(*name));
    found.extend(
        heard.map(|(name, run)| format!("the run {name} of {} was heard of and has not ended", run.event)),
    );
    found.sort();
    found.dedup();
    found
}

/// An event ends once, and a run ends in one way. A second run of an event needs a first that has failed or was set aside,
/// which has given its key back, or an operator who runs it again. Who was set aside may have come as far as its end.
pub(super) fn one_end(case: &Case) -> Vec<String> {
    let mut found = Vec::new();
    for (name, run) in &case.runs {
        let (Some(first), Some(last)) = (run.ends.first(), run.ends.last()) else { continue };
        if run.ends.iter().any(|end| end.says != first.says) {
            found.push(format!("the run {name} of {} ends in two ways", run.event));
        }
        if run.ends.len() > 1 + case.deaths(first.at, last.at) {
            found.push(format!("the run {name} of {} tells of its end {} times", run.event, run.ends.len()));
        }
    }
    for (event, runs) in case.runs_of() {
        let (set_aside, again) = case.given_up(event, &runs);
        let succeeded = runs.iter().filter(|(_, run)| run.has_succeeded()).count();
        if succeeded > 1 + set_aside + again {
            found.push(format!("the event {event} has ended {succeeded} times"));
        }
        for ((former, first), (name, second)) in runs.iter().zip(runs.iter().skip(1)) {
            let over = first.ends.iter().any(|end| end.says("how") == "failed" && end.at <= second.first());
            if !over && set_aside == 0 {
                found.push(format!("the event {event} is carried out by {name} while {former} is"));
            }
        }
    }
    found
}

/// A run fails only because of deaths of the service: one interrupted a call, or they cost a call with an ID the tries
/// that it had left.
pub(super) fn failures(case: &Case) -> Vec<String> {
    let mut found = Vec::new();
    for (name, run) in &case.runs {
        for end in run.ends.iter().filter(|end| end.says("how") != "ok") {
            let why = end.says("why");
            let since = case.events.get(&run.event).map_or(0, Event::first_sent);
            let explained = match why {
                "interrupted" => case.deaths(since, end.at) > 0,
                "status" => calls::used_up(case, run, end.at),
                _ => false,
            };
            if !explained {
                found.push(format!("the run {name} of {} failed: {why} ({})", run.event, end.says("at")));
            }
        }
    }
    found
}

/// Of what was refused nothing is heard again.
pub(super) fn refused(case: &Case) -> Vec<String> {
    let mut found = Vec::new();
    for (name, run) in &case.runs {
        match case.events.get(&run.event) {
            None => {
                found.push(format!("the run {name} is of the event {}, which nobody has sent", run.event));
            }
            Some(event) if event.is_refused() => {
                found.push(format!("the event {} was refused, and its run {name} is heard of", run.event));
            }
            Some(_) => {}
        }
    }
    found
}
