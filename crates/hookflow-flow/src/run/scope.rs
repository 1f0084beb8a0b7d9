//! What an expression of a run sees: `webhook`, `steps`, `run`, `error`, `loop`, the items of the loops around it, and what
//! a call is known by.

use super::Start;
use super::fiber::Turn;
use crate::lowering::{CALL, RUN};
use crate::place_code::transactional_id;
use crate::{Place, Plan, StepNumber, WaitToken};
use hookflow_expr::{Found, Lookup};
use hookflow_text::Json;
use serde_json::json;
use std::collections::HashMap;
use std::sync::Arc;

/// By place. Places are ours, so no caller can make them collide, and a quick hash does.
pub(super) type Places<V> = HashMap<Place, V, foldhash::fast::RandomState>;
/// The results of steps.
pub(super) type Results = Places<Arc<Json>>;

/// The whole scope.
#[derive(Debug)]
pub(super) struct View(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    plan: Arc<Plan>,
    start: Arc<Start>,
    results: Arc<Results>,
    /// Where the expression stands.
    step: StepNumber,
    turns: Arc<[Turn]>,
    error: Option<Arc<Json>>,
}

impl Inner {
    /// A step in the turn that stands here.
    fn place(&self, step: StepNumber) -> Option<Place> {
        let depth = self.plan.step(step)?.depth;
        let turns = self.turns.iter().take(depth);
        let turns = turns.map(|turn| u32::try_from(turn.index).unwrap_or(u32::MAX)).collect();
        Some(Place { step, turns })
    }
}

impl View {
    pub fn new(
        plan: Arc<Plan>,
        start: Arc<Start>,
        results: Arc<Results>,
        step: StepNumber,
        turns: Arc<[Turn]>,
        error: Option<Arc<Json>>,
    ) -> Self {
        Self(Arc::new(Inner { plan, start, results, step, turns, error }))
    }
}

impl Lookup for View {
    fn get(&self, name: &str) -> Option<Found> {
        let inner = &self.0;
        match name {
            "webhook" => Some(Found::Part(Arc::clone(&inner.start.event) as Arc<dyn Lookup>)),
            "steps" => Some(Found::Part(Arc::new(Steps(Arc::clone(inner))))),
            "run" => Some(Found::Part(Arc::new(RunPart(Arc::clone(inner))))),
            "WebhookRequest" => Some(Found::Part(Arc::new(CallPart(Arc::clone(inner))))),
            "wait_url" => Some(Found::Part(Arc::new(WaitUrls(Arc::clone(inner))))),
            "error" => inner.error.clone().map(Found::Value),
            "loop" => {
                let turn = inner.turns.last()?;
                let last = turn.index + 1 == turn.count;
                let value = json!({"index": turn.index, "first": turn.index == 0, "last": last});
                Some(Found::Value(Arc::new(value)))
            }
            // The innermost loop wins when two items have the same name.
            name => inner
                .turns
                .iter()
                .rev()
                .find(|turn| *turn.name == *name)
                .map(|turn| Found::Value(Arc::clone(&turn.item))),
        }
    }

    fn names(&self) -> Vec<Arc<str>> {
        let fixed = ["webhook", "steps", "run"].into_iter().map(Arc::from);
        let error = self.0.error.iter().map(|_| Arc::from("error"));
        let turns = self.0.turns.iter().map(|turn| Arc::clone(&turn.name));
        fixed.chain(error).chain(turns).collect()
    }
}

#[derive(Debug)]
struct Steps(Arc<Inner>);

impl Lookup for Steps {
    fn get(&self, name: &str) -> Option<Found> {
        let step = *self.0.plan.by_id.get(name)?;
        let result = self.0.results.get(&self.0.place(step)?);
        Some(result.map_or(Found::DidNotRun, |value| Found::Value(Arc::clone(value))))
    }

    fn names(&self) -> Vec<Arc<str>> {
        self.0.plan.steps.iter().filter_map(|step| step.id.clone()).collect()
    }
}

/// `wait_url('approval')`: the URL of a `wait` step, in the turn that stands here.
#[derive(Debug)]
struct WaitUrls(Arc<Inner>);

impl Lookup for WaitUrls {
    fn get(&self, name: &str) -> Option<Found> {
        let Inner { plan, start, .. } = &*self.0;
        let step = *plan.by_id.get(name)?;
        let depth = plan.waiting(step).and(plan.step(step))?.depth;
        let place = self.0.place(step)?;
        // In which of its turns the step will be is not known outside of its loop.
        if place.turns.len() < depth {
            return None;
        }
        let token = WaitToken::mint(&start.run, &start.seed, &place);
        let base_url = &start.event.head().base_url;
        let url = format!("{}/resume/{token}", base_url.trim_end_matches('/'));
        Some(Found::Value(Arc::new(Json::String(url))))
    }

    fn names(&self) -> Vec<Arc<str>> {
        let steps = self.0.plan.by_id.iter();
        steps
            .filter(|(_, step)| self.0.plan.waiting(**step).is_some())
            .map(|(id, _)| Arc::clone(id))
            .collect()
    }
}

/// What a call says of itself.
#[derive(Debug)]
struct CallPart(Arc<Inner>);

impl Lookup for CallPart {
    fn get(&self, name: &str) -> Option<Found> {
        let Inner { start, step, .. } = &*self.0;
        let id = match name {
            "TransactionalId" => transactional_id(&start.run, &start.seed, &self.0.place(*step)?),
            _ => return None,
        };
        Some(Found::Value(Arc::new(Json::String(id))))
    }

    fn names(&self) -> Vec<Arc<str>> {
        CALL.iter().map(|name| Arc::from(*name)).collect()
    }
}

#[derive(Debug)]
struct RunPart(Arc<Inner>);

impl Lookup for RunPart {
    fn get(&self, name: &str) -> Option<Found> {
        let Inner { plan, start, .. } = &*self.0;
        let value = match name {
            "id" => json!(start.run),
            "flow" => json!(plan.flow),
            "version" => json!(plan.version),
            "attempt" => json!(start.attempt),
            "started_at" => json!(start.started_at.to_string()),
            _ => return None,
        };
        Some(Found::Value(Arc::new(value)))
    }

    fn names(&self) -> Vec<Arc<str>> {
        RUN.iter().map(|name| Arc::from(*name)).collect()
    }
}

/// The chance of one place: a function of the seed and the place, never of the order of things.
pub(super) fn chance(seed: &[u8; 16], step: StepNumber, turns: &[Turn]) -> [u8; 32] {
    // FNV-1a over the turns: what it lacks in quality, the hash in the functions that use it makes up for.
    let turns = turns.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, turn| {
        (hash ^ (turn.index as u64 + 1)).wrapping_mul(0x0100_0000_01b3)
    });
    // The seed, the step, the turns and zeros, in this order.
    let place = u128::from(step.0) << 96 | u128::from(turns) << 32;
    <[u8; 32]>::try_from([*seed, place.to_be_bytes()].as_flattened()).unwrap_or_default()
}

/// What a value is, in words for a message.
pub(super) fn kind(value: &Json) -> &'static str {
    match value {
        Json::Null => "null",
        Json::Bool(_) => "true or false",
        Json::Number(_) => "a number",
        Json::String(_) => "text",
        Json::Array(_) => "a list",
        Json::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chance_of_a_place_is_what_it_was_in_every_version() {
        let turn = Turn { name: "item".into(), index: 2, count: 3, item: Arc::default() };
        let mut expected = [0; 32];
        expected[..16].copy_from_slice(&[7; 16]);
        expected[16..20].copy_from_slice(&[0, 0, 1, 2]);
        expected[20..28].copy_from_slice(&0xcbf2_9ce4_8422_2325_u64.to_be_bytes());
        assert_eq!(chance(&[7; 16], StepNumber(0x102), &[]), expected);
        let turns = (0xcbf2_9ce4_8422_2325_u64 ^ 3).wrapping_mul(0x0100_0000_01b3);
        expected[20..28].copy_from_slice(&turns.to_be_bytes());
        assert_eq!(chance(&[7; 16], StepNumber(0x102), &[turn]), expected);
    }
}
