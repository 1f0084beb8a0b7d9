//! What runs have emitted reaches everybody who has subscribed, as it was emitted.

use super::case::{Case, Delivery, Event};
use std::collections::{BTreeMap, BTreeSet};

/// Who has subscribed, as far as anything has come.
fn subscriptions(case: &Case) -> BTreeSet<&str> {
    case.deliveries.iter().map(|delivery| &*delivery.to).collect()
}

/// What a run has emitted is taken at every subscription.
pub(super) fn delivered(case: &Case) -> Vec<String> {
    let taken: BTreeSet<_> =
        case.deliveries.iter().filter(|it| it.taken).map(|it| (&*it.run, &*it.step, &*it.to)).collect();
    let (mut found, subscriptions) = (Vec::new(), subscriptions(case));
    for (run, step) in &case.shouted {
        if subscriptions.is_empty() {
            found.push(format!("the run {run} has emitted at {step}, and nothing was delivered to anybody"));
        }
        for to in subscriptions.iter().filter(|to| !taken.contains(&(&**run, &**step, **to))) {
            found.push(format!("the run {run} has emitted at {step}, and {to} has not taken it"));
        }
    }
    found
}

/// What is delivered was emitted by a run of an event that was not refused, and each step of a run emits once.
pub(super) fn emitted(case: &Case) -> Vec<String> {
    let (mut found, mut steps) = (Vec::new(), BTreeMap::new());
    for Delivery { to, emitted, event, run, step, .. } in &case.deliveries {
        if case.events.get(event).is_none_or(Event::is_refused) {
            found.push(format!(
                "{to} was delivered {emitted} of the event {event}, which nobody has taken in"
            ));
        } else if !case.runs.contains_key(run) && !case.set_aside.contains(run) {
            found.push(format!(
                "{to} was delivered {emitted} of the run {run}, of which nothing else was heard"
            ));
        }
        let first = *steps.entry((run, step)).or_insert(emitted);
        if first != emitted {
            found.push(format!("the run {run} has emitted at {step} both {first} and {emitted}"));
        }
    }
    found
}

/// A delivery comes with the same body each time, and after it was taken at most once more for each death.
pub(super) fn same_delivery(case: &Case) -> Vec<String> {
    let mut by_id: BTreeMap<&str, Vec<&Delivery>> = BTreeMap::new();
    for delivery in &case.deliveries {
        by_id.entry(&delivery.id).or_default().push(delivery);
    }
    let mut found = Vec::new();
    for (id, tries) in by_id {
        let told = |it: &&Delivery| (it.to.clone(), it.emitted.clone(), it.sha.clone());
        if tries.iter().map(told).collect::<BTreeSet<_>>().len() > 1 {
            found.push(format!("the delivery {id} has come with different bodies"));
        }
        let taken = || tries.iter().filter(|it| it.taken).map(|it| it.at);
        let (Some(first), Some(last)) = (taken().min(), taken().max()) else { continue };
        if taken().count() > 1 + case.deaths(first, last) {
            found.push(format!("the delivery {id} was taken {} times", taken().count()));
        }
    }
    found
}
