//! What a flow's queue does while the flow is paused, by its file or by an operator: it holds.

use super::{FlowQueue, Item, State};
use crate::engine::Inner;
use crate::pausing::{PausedBy, Standing};
use hookflow_flow::{Enabled, Flow};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

impl State {
    pub(super) fn paused(&self) -> Option<PausedBy> {
        match &self.held {
            Some(_) => Some(PausedBy::Operator),
            None => (self.serving.enabled == Enabled::Paused).then_some(PausedBy::File),
        }
    }

    pub(super) fn is_paused(&self) -> bool {
        self.paused().is_some()
    }
}

impl FlowQueue {
    /// A flow is in force.
    pub(crate) fn serve(self: &Arc<Self>, engine: &Arc<Inner>, flow: &Arc<Flow>) {
        self.change(engine, |state| state.serving = Arc::clone(flow));
    }

    /// An operator has paused the flow, since then, or has it go on.
    pub(crate) fn hold(self: &Arc<Self>, engine: &Arc<Inner>, since: Option<Arc<str>>) {
        self.change(engine, |state| state.held = since);
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.lock().is_paused()
    }

    pub(crate) fn standing(&self) -> Standing {
        let state = self.lock();
        Standing {
            paused: state.paused(),
            since: state.held.clone(),
            items: state.items,
            bytes: state.bytes,
            at_work: state.workers.saturating_sub(state.idle),
        }
    }

    /// When the flow is paused by now, callers who wait are let go, for nothing was promised to them; what was promised
    /// is held. When it is not, what was held starts.
    fn change(self: &Arc<Self>, engine: &Arc<Inner>, change: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        change(&mut state);
        let (mut let_go, mut callers) = (VecDeque::new(), HashMap::new());
        let paused = state.is_paused();
        if paused {
            let waiting = std::mem::take(&mut state.waiting);
            (state.waiting, let_go) = waiting.into_iter().partition(Item::is_promised);
            callers = std::mem::take(&mut state.callers);
        } else if state.wants_more() {
            self.load(engine, &mut state);
        }
        let was = std::mem::replace(&mut state.counted_paused, paused);
        let rouse = state.rouse();
        drop(state);
        drop((let_go, callers));
        match (was, paused) {
            (false, true) => drop(self.series().paused.inc()),
            (true, false) => drop(self.series().paused.dec()),
            _ => {}
        }
        self.act(engine, rouse);
    }
}
