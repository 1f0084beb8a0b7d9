//! The judge of a service that was killed: whether what callers, the target and the operator saw can be, if every
//! promise was kept. It reads three files of one JSON object a line and nothing else.
//!
//! - `callers.ndjson`: events that were sent, and calls of runs that wait, with what was answered or that nothing was.
//! - `target.ndjson`: what the flows' calls said, when they came. Each names its event and its run. `end` is a run's end,
//!   `ok` or `failed`; it comes by a call that may be repeated. So does what a run has emitted, by its delivery.
//! - `operator.ndjson`: when the service died, when a flow was paused and resumed, and which runs the service has said
//!   it sets aside (`run.poison`), which the operator then runs again.
//!
//! An event is *accepted* when an answer to it was a 2xx, *refused* when all were 4xx. What got 5xx or no answer may
//! have been taken in or not; but once a call of its run was heard, it was.
//!
//! A run that fails is an end too, if it says that a call was interrupted and the service had died meanwhile: a call
//! without an ID, of which nobody knows whether it has arrived, is not sent again. Such a run gives its dedupe key
//! back, so a sender's next try begins another run. The same holds for one that is set aside, however far it has come.
//!
//! What a run has emitted before a call of it was heard (the call says so: `shouted`) is kept, so it is delivered to every
//! subscription, whatever becomes of the run.

mod answers;
mod calls;
mod case;
mod deliveries;
mod ends;
mod order;
pub mod plants;

pub use case::Case;

use std::fmt;

/// The last line of a judge who has found nothing.
pub const SOUND: &str = "nothing is lost, and nothing was done twice\n";

/// A promise, and how it is looked whether it was kept.
pub struct Rule {
    /// What it is called.
    pub name: &'static str,
    /// What it says.
    pub about: &'static str,
    check: fn(&Case) -> Vec<String>,
}

/// Every rule, in the order of their names.
pub const RULES: &[Rule] = &[
    Rule {
        name: "all-steps",
        about: "a run that says it has succeeded has made all its calls, and what it began apart from it is made too",
        check: calls::all_steps,
    },
    Rule { name: "bodies", about: "a large body comes out as it went in", check: calls::bodies },
    Rule {
        name: "callbacks",
        about: "a run that waits goes on with the one call that was taken, and with none that was refused",
        check: answers::callbacks,
    },
    Rule {
        name: "delivered",
        about: "what a run has emitted is taken at every subscription",
        check: deliveries::delivered,
    },
    Rule {
        name: "emitted",
        about: "what is delivered was emitted by a run, and each step of a run emits once",
        check: deliveries::emitted,
    },
    Rule {
        name: "failures",
        about: "a run fails only because deaths of the service interrupted a call or used its tries up",
        check: ends::failures,
    },
    Rule {
        name: "lost",
        about: "an accepted event, and every run that was heard of, ends",
        check: ends::lost,
    },
    Rule { name: "naps", about: "a run that sleeps does not wake early", check: order::naps },
    Rule {
        name: "once",
        about: "a call without an ID is made once; one that may be repeated, at most once more for each death",
        check: calls::once,
    },
    Rule { name: "one-end", about: "an event ends once, and a run ends in one way", check: ends::one_end },
    Rule {
        name: "order",
        about: "events of a key are carried out one after the other, as they came",
        check: order::order,
    },
    Rule {
        name: "paused",
        about: "what comes while a flow is paused waits until it is resumed",
        check: order::paused,
    },
    Rule { name: "refused", about: "of what was refused nothing is heard again", check: ends::refused },
    Rule { name: "replies", about: "all good answers to an event are the same", check: answers::replies },
    Rule {
        name: "same-delivery",
        about: "a delivery comes with the same body each time, and after it was taken only because of a death",
        check: deliveries::same_delivery,
    },
    Rule {
        name: "same-id",
        about: "all tries of a step carry the same ID, no other step carries it, and there are at most four, and one more for each death",
        check: calls::same_id,
    },
];

/// A promise that was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The rule's name.
    pub rule: &'static str,
    what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}] {}", self.rule, self.what)
    }
}

/// Everything that cannot be.
pub fn judge(case: &Case) -> Vec<Finding> {
    let found = |rule: &Rule| {
        let name = rule.name;
        (rule.check)(case).into_iter().map(move |what| Finding { rule: name, what }).collect::<Vec<_>>()
    };
    RULES.iter().flat_map(found).collect()
}

#[cfg(test)]
mod tests;
