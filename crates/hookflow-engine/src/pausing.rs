//! The operator's pause of a flow: kept in the store, for files are not the program's to write. It outlives restarts and
//! reloads, and belongs to a flow's ID.

use crate::engine::Inner;
use crate::{Engine, LiveFlow};
use hookflow_store::{Store, StoreError};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Under which keys the store keeps them.
const KEYS: &str = "paused/";

/// How a flow stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Who has paused it.
    pub paused: Option<PausedBy>,
    /// Since when an operator has.
    pub since: Option<Arc<str>>,
    /// Events accepted and not yet started.
    pub items: u64,
    /// Their bytes.
    pub bytes: u64,
    /// How many workers have a run in hand.
    pub at_work: usize,
}

/// Who has paused a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PausedBy {
    /// An operator, whatever its file says.
    Operator,
    /// `enabled: paused` in its file.
    File,
}

/// Why a flow is neither paused nor goes on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PauseRefusal {
    /// No such flow is in force.
    #[error("no such flow is in force")]
    UnknownFlow,
    /// The store cannot be written to.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The flows that operators have paused, and since when.
#[derive(Default)]
pub(crate) struct Pauses(Mutex<BTreeMap<Arc<str>, Arc<str>>>);

impl Pauses {
    /// Those that the store keeps.
    pub(crate) async fn kept(store: &dyn Store) -> Result<Self, StoreError> {
        let states = store.states(KEYS).await?;
        let flows = states.iter().filter_map(|(key, since)| Some((key.strip_prefix(KEYS)?, since)));
        Ok(Self(Mutex::new(flows.map(|(flow, since)| (flow.into(), Arc::clone(since))).collect())))
    }

    pub(crate) fn since(&self, flow: &str) -> Option<Arc<str>> {
        self.lock().get(flow).cloned()
    }

    fn set(&self, flow: &str, since: Option<&Arc<str>>) {
        match since {
            Some(since) => drop(self.lock().insert(flow.into(), Arc::clone(since))),
            None => drop(self.lock().remove(flow)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Arc<str>>> {
        // Nothing under the lock can panic half way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Engine {
    /// Pauses a flow until an operator has it go on. Its runs that have begun end as ever. Pausing it again changes
    /// nothing.
    pub async fn pause(&self, flow: &str) -> Result<Option<PausedBy>, PauseRefusal> {
        let engine = &self.0;
        let _one_at_a_time = engine.installing.lock().await;
        let live = engine.live(flow).ok_or(PauseRefusal::UnknownFlow)?;
        if engine.pauses.since(flow).is_none() {
            engine.hold(flow, Some(engine.clock.now().to_string().into())).await?;
            tracing::info!(flow, "an operator has paused the flow");
        }
        Ok(live.standing().paused)
    }

    /// Ends an operator's pause: what was held starts at once, in order. Returns who pauses the flow still.
    pub async fn go_on(&self, flow: &str) -> Result<Option<PausedBy>, PauseRefusal> {
        let engine = &self.0;
        let _one_at_a_time = engine.installing.lock().await;
        let live = engine.live(flow);
        // A flow that is gone may still be paused.
        if engine.pauses.since(flow).is_some() {
            engine.hold(flow, None).await?;
            tracing::info!(flow, "an operator has the flow go on");
        } else if live.is_none() {
            return Err(PauseRefusal::UnknownFlow);
        }
        Ok(live.and_then(|live| live.standing().paused))
    }
}

impl Inner {
    async fn hold(self: &Arc<Self>, flow: &str, since: Option<Arc<str>>) -> Result<(), StoreError> {
        self.store.set_state(&format!("{KEYS}{flow}"), since.as_deref()).await?;
        // A queue that is made meanwhile looks here.
        self.pauses.set(flow, since.as_ref());
        if let Some(queue) = self.queue_if_there(flow) {
            queue.hold(self, since);
        }
        Ok(())
    }
}

impl LiveFlow {
    /// How it stands now.
    pub fn standing(&self) -> Standing {
        self.queue.standing()
    }

    /// Whether nothing of it starts now.
    pub(crate) fn is_paused(&self) -> bool {
        self.queue.is_paused()
    }
}
