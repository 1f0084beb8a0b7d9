//! What comes to a run from elsewhere, and how the worker that has the run in its hand hears of it.
//!
//! The store's inbox is the truth; the list here only rouses. A run that is parked is due with what came, and a worker
//! takes it up.

use crate::Engine;
use crate::engine::Inner;
use hookflow_runtime::fault_point;
use hookflow_store::{Inbound, Posted, StoreError};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// The runs in a worker's hand that wait for something.
#[derive(Default)]
pub(crate) struct Hands(Mutex<HashMap<Arc<str>, Arc<Notify>>>);

/// A run's entry in the list, for as long as it lives.
pub(crate) struct Listening {
    run: Arc<str>,
    pub roused: Arc<Notify>,
}

impl Hands {
    pub(crate) fn listen(&self, run: &Arc<str>) -> Listening {
        let roused = Arc::clone(self.lock().entry(Arc::clone(run)).or_default());
        Listening { run: Arc::clone(run), roused }
    }

    pub(crate) fn leave(&self, listening: &Listening) {
        self.lock().remove(&listening.run);
    }

    /// Returns whether a worker has it.
    fn rouse(&self, run: &str) -> bool {
        let hands = self.lock();
        let hand = hands.get(run);
        if let Some(roused) = hand {
            roused.notify_one();
        }
        hand.is_some()
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, Arc<Notify>>> {
        // Nothing under the lock can panic half way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Engine {
    /// Gives a run what comes from elsewhere: it is kept first, then whoever has the run hears of it.
    pub async fn post(&self, run: &str, inbound: Inbound) -> Result<Posted, StoreError> {
        self.0.post(run, inbound).await
    }
}

impl Inner {
    pub(crate) async fn post(&self, run: &str, inbound: Inbound) -> Result<Posted, StoreError> {
        let posted = self.store.post(run, inbound).await?;
        fault_point("engine.posted");
        if matches!(posted, Posted::Kept { .. }) && !self.hands.rouse(run) {
            self.due_changed.tell();
        }
        Ok(posted)
    }
}
