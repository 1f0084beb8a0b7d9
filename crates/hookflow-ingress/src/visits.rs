//! Visits to URLs by which a sender wants to be confirmed, after it was verified: in the background, a few times.

use crate::outside::Outside;
use hookflow_runtime::{Clock, Tasks, Token};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// How many may be under way.
const AT_ONCE: usize = 32;
/// How long to wait before each try after the first.
const WAITS: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(10), Duration::from_mins(1)];

/// Visits URLs that were judged.
pub(crate) struct Visits {
    outside: Arc<dyn Outside>,
    clock: Clock,
    tasks: Tasks,
    slots: Arc<Semaphore>,
}

/// As many are under way as may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooManyVisits;

impl Visits {
    pub(crate) fn new(outside: Arc<dyn Outside>, clock: Clock, tasks: Tasks) -> Self {
        Self { outside, clock, tasks, slots: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// Begins a visit; `flow` is for the log. The URL is not logged: it holds the sender's token.
    pub(crate) fn begin(&self, flow: Arc<str>, url: String) -> Result<(), TooManyVisits> {
        let slot = Arc::clone(&self.slots).try_acquire_owned().map_err(|_| TooManyVisits)?;
        let (outside, clock, soft) = (Arc::clone(&self.outside), self.clock.clone(), self.tasks.soft());
        self.tasks.spawn("visit", async move {
            match visit(&*outside, &url, &clock, soft).await {
                Ok(()) => tracing::info!(target: "door", flow = &*flow, "a subscription is confirmed"),
                Err(why) => {
                    tracing::warn!(target: "door", flow = &*flow, why, "a subscription could not be confirmed");
                }
            }
            drop(slot);
        });
        Ok(())
    }
}

async fn visit(outside: &dyn Outside, url: &str, clock: &Clock, mut soft: Token) -> Result<(), String> {
    let mut waits = WAITS.iter();
    loop {
        let why = match outside.get(url).await {
            Ok(answer) if answer.status().is_success() => return Ok(()),
            Ok(answer) => format!("it was answered with {}", answer.status().as_u16()),
            Err(fault) => fault.to_string(),
        };
        let Some(wait) = waits.next() else { return Err(why) };
        tokio::select! {
            biased;
            () = soft.wait() => return Err(why),
            () = clock.sleep(*wait) => {}
        }
    }
}

#[cfg(test)]
mod tests;
