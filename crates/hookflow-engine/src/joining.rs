//! Waiting for the answer of a run that somebody else began: who repeats an event hears what the first one hears.
//!
//! The store is asked again and again, for the run may be at work anywhere; there is no list of who waits for what.

use crate::engine::Inner;
use crate::ticket::Accepted;
use crate::{Conclusion, Duplicate};
use hookflow_flow::End;
use hookflow_store::StoreError;
use std::time::Duration;

/// How soon the store is asked again at first, and how often at least. Each time the pause doubles.
const ASK_AGAIN: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(500));

impl Inner {
    /// Waits for a run's answer or its end. Its caller sets the time.
    /// `repeated` is the event that repeats the run's.
    pub(crate) async fn answer_of(&self, run: &str, repeated: &Accepted) -> Conclusion {
        let (mut pause, longest) = ASK_AGAIN;
        let mut letting_go = self.letting_go();
        loop {
            // What a relaxed flow has not written is known in memory only.
            let first = repeated.relaxed.as_ref();
            let first = first.and_then(|relaxed| relaxed.first(&repeated.event, self.clock.now()));
            if let Some(first) = first.clone().filter(|first| first.ended) {
                return Conclusion::Duplicate(first);
            }
            match self.store.load(run).await {
                Ok(journal) => {
                    let progress = journal.run.progress;
                    let ended = progress.ended.as_ref();
                    match (progress.reply, ended.map(|ended| &*ended.end)) {
                        (None, Some(End::Failed(fault))) => return Conclusion::Failed(fault.clone()),
                        (None, None) => {}
                        (reply, end) => {
                            let ended = end.is_some();
                            return Conclusion::Duplicate(Duplicate { run: run.into(), ended, reply });
                        }
                    }
                }
                Err(StoreError::UnknownRun) if first.is_some() => {}
                Err(error) => {
                    tracing::warn!(run, %error, "a repeated event cannot be told what became of the first");
                    return Conclusion::Gone;
                }
            }
            tokio::select! {
                biased;
                () = self.clock.sleep(pause) => {}
                // The sender lives in the engine, so the wait cannot fail.
                _ = letting_go.wait_for(|letting_go| *letting_go) => return Conclusion::Gone,
            }
            pause = (pause * 2).min(longest);
        }
    }
}
