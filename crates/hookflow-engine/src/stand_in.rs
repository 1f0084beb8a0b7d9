//! What takes the place of the world when flows are tested or tried: everything else is as it serves.

use crate::engine::Inner;
use crate::ticket::Accepted;
use hookflow_flow::{Ask, Effect, Fact, FaultKind, Outcome};
use std::sync::Arc;
use std::time::Duration;

/// Takes the place of the world: it is asked before anything leaves.
pub trait StandIn: Send + Sync {
    /// How long an ask of a run takes, and what comes of it; `None`: the world is asked. The same ask may come again.
    fn outcome(&self, flow: &str, run: &str, effect: &Effect) -> Option<(Duration, Outcome)>;
}

impl Inner {
    /// What stands in for an ask.
    pub(crate) fn stood_in(
        self: &Arc<Self>,
        accepted: &Accepted,
        effect: &Effect,
    ) -> Option<(Duration, Outcome)> {
        effect.ask()?;
        self.stand_in.as_ref()?.outcome(&accepted.flow, &accepted.run, effect)
    }
}

/// One try, from its earliest moment to the outcome that was made up for it; its deadlines hold.
pub(crate) async fn made_up(engine: &Inner, ask: Ask, (takes, outcome): (Duration, Outcome)) -> Fact {
    let clock = &engine.clock;
    if let Some(due) = ask.not_before {
        clock.sleep_until(due).await;
    }
    let left = ask.deadline.map_or(Duration::MAX, |deadline| {
        Duration::try_from(deadline.duration_since(clock.now())).unwrap_or_default()
    });
    if !takes.is_zero() {
        clock.sleep(takes.min(left)).await;
    }
    let outcome = if takes > left {
        Outcome::Failed { kind: FaultKind::Timeout, message: "no complete answer in its time".into() }
    } else {
        outcome
    };
    ask.fact(clock.now(), outcome)
}
