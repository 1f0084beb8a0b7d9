//! What the caller of a run is told while the run goes on.

use super::{Hand, tell};
use crate::Conclusion;
use hookflow_flow::{Effect, Fault, FileRef, Reply};
use std::sync::Arc;

impl Hand<'_> {
    /// An answer that is a file gets its body, unless nobody would hear it.
    pub(super) async fn fill(&self, effect: &mut Effect) -> Result<(), Fault> {
        if let Effect::Reply(reply, file) = effect
            && let Some(file) = file.take()
            && self.child.is_none()
            && self.reply.is_none()
        {
            *reply = Box::pin(self.filled(reply.clone(), file)).await?;
        }
        Ok(())
    }

    /// Reading may wait for a disk.
    async fn filled(&self, reply: Reply, file: FileRef) -> Result<Reply, Fault> {
        let event = Arc::clone(&self.accepted.event);
        let reading = self.engine.tasks.blocking("answer file", move || reply.filled(&file, &event));
        self.heartbeat.wait(reading).await
    }

    /// Answers the caller of a run that goes on: event and reply are kept by now.
    pub(super) fn answer_early(&mut self) {
        if let Some(reply) = &self.reply {
            tell(&mut self.caller, Conclusion::Reply(Arc::clone(reply)));
        }
    }
}
