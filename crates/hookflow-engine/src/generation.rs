//! The flows in force: one immutable snapshot, swapped whole. Queues live outside it and outlive it.

use crate::queue::FlowQueue;
use hookflow_flow::Flow;
use hookflow_text::Code;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

/// Flows by ID. A caller chooses which ID is looked up and none that is there, so a quick hash does.
pub type LiveFlows = HashMap<Arc<str>, Arc<LiveFlow>, foldhash::fast::RandomState>;

/// The flows in force. A request holds one generation from accept to answer.
#[derive(Debug)]
pub struct Generation {
    /// Counts from 1; 0 is the empty one before the first.
    pub number: u64,
    /// Our own public URL.
    pub base_url: Arc<str>,
    /// By ID.
    pub flows: LiveFlows,
}

/// A flow in force, and its queue.
pub struct LiveFlow {
    /// The flow.
    pub flow: Arc<Flow>,
    pub(crate) queue: Arc<FlowQueue>,
}

impl LiveFlow {
    /// Counts an event that is not as the webhook expects.
    pub fn count_mismatch(&self) {
        self.queue.mismatched();
    }

    /// Counts a request that was refused.
    pub fn count_refusal(&self, code: Code) {
        self.queue.refused(code);
    }
}

impl fmt::Debug for LiveFlow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LiveFlow").field(&self.flow.id).finish()
    }
}
