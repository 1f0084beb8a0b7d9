//! What mocks say, in the place of everybody who would be called.

use super::{Play, Unmocked};
use crate::outlets;
use hookflow_engine::StandIn;
use hookflow_flow::{Ask, Effect, FaultKind, Flow, HttpCall, Integrations, Mock, Outcome, Place};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The mocks of one request.
pub(super) struct Script {
    flow: Arc<str>,
    mocks: HashMap<Arc<str>, Vec<Mock>>,
    unmocked: Unmocked,
    integrations: Integrations,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Which of its step's tries a try is: a run that was parked asks for the same one again.
    tries: HashMap<(String, Place, u32), usize>,
    /// How many tries a step has had.
    counts: HashMap<String, usize>,
    problems: Vec<String>,
}

impl Script {
    pub(super) fn new(
        play: &Play<'_>,
        flows: &BTreeMap<Arc<str>, Arc<Flow>>,
        integrations: &Integrations,
    ) -> Self {
        let mocks: HashMap<_, _> = play.mocks.iter().cloned().collect();
        let unknown = mocks.keys().filter(|key| {
            let Some((other, step)) = key.split_once('/') else { return false };
            flows.get(other).is_none_or(|flow| flow.plan.step_of(step).is_none())
        });
        let unknown =
            unknown.map(|key| format!("no flow that this one runs has the step of the mock `{key}`"));
        let state = State { problems: unknown.collect(), ..State::default() };
        let (flow, unmocked) = (Arc::clone(&play.flow.id), play.unmocked.clone());
        Self { flow, mocks, unmocked, integrations: integrations.clone(), state: Mutex::new(state) }
    }

    /// What the script had no answer for.
    pub(super) fn problems(&self) -> Vec<String> {
        self.state().problems.clone()
    }

    /// The mock of a try; the last one repeats.
    fn mock(&self, key: &str, run: &str, ask: &Ask) -> Option<&Mock> {
        let mocks = self.mocks.get(key)?;
        let state = &mut *self.state();
        let nth = *state.tries.entry((run.to_owned(), ask.place.clone(), ask.attempt)).or_insert_with(|| {
            let count = state.counts.entry(key.to_owned()).or_default();
            *count += 1;
            *count - 1
        });
        mocks.get(nth).or(mocks.last())
    }

    /// A call with what its integration adds.
    fn as_it_leaves(&self, call: &HttpCall) -> Result<HttpCall, String> {
        let mut call = call.clone();
        let refused = |why| format!("the URL is refused: {why}");
        outlets::complete(&mut call, &self.integrations).map_err(refused)?;
        Ok(call)
    }

    /// Nobody says what comes of an ask.
    fn missing(&self, key: &str, effect: &Effect, call: Option<&HttpCall>) -> Option<(Duration, Outcome)> {
        let (does, example) = match (call, effect) {
            (Some(call), _) => (format!("calls {} {}", call.method, call.url), "{status: 200}"),
            (None, Effect::Wait(..)) => ("waits for a call".to_owned(), "{body: {}}"),
            // Time is turned, and other flows are run.
            _ => return None,
        };
        let is_call = call.is_some();
        let (kind, message, what) = match &self.unmocked {
            Unmocked::Made(_) if is_call => return None,
            Unmocked::Fails => (
                FaultKind::Refused,
                "the test has no mock for it",
                format!(
                    "`{key}` {does}, and the test has no mock for it; for example `mocks: {{{key}: {example}}}`"
                ),
            ),
            Unmocked::Ends | Unmocked::Made(_) => {
                let or_live = if is_call { ", or make the calls with `--live`" } else { "" };
                let what =
                    format!("`{key}` {does}; say what comes of it with `--mock {key}='{example}'`{or_live}");
                (FaultKind::Cancelled, "nothing leaves, and nobody said what comes of it", what)
            }
        };
        let mut state = self.state();
        if !state.problems.contains(&what) {
            state.problems.push(what);
        }
        Some((Duration::ZERO, Outcome::Failed { kind, message: message.to_owned() }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing under the lock can panic half way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StandIn for Script {
    fn outcome(&self, flow: &str, run: &str, effect: &Effect) -> Option<(Duration, Outcome)> {
        let ask = effect.ask()?;
        let key = if *flow == *self.flow { ask.step.to_string() } else { format!("{flow}/{}", ask.step) };
        let call = match effect {
            Effect::Call(_, call) => Some(self.as_it_leaves(call)),
            _ => None,
        };
        let call = match call.transpose() {
            Ok(call) => call,
            // Nobody would hear of it, so no mock answers it.
            Err(message) => {
                return Some((Duration::ZERO, Outcome::Failed { kind: FaultKind::Refused, message }));
            }
        };
        if let Some(mock) = self.mock(&key, run, ask) {
            let (after, outcome) = mock.answer(call.as_ref());
            return outcome.map(|outcome| (after, outcome));
        }
        self.missing(&key, effect, call.as_ref())
    }
}
