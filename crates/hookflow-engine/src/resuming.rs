//! The calls that a waiting run goes on with: what a token stands for, and handing over what came.

use crate::{Engine, VersionFault};
use hookflow_flow::{Fact, Outcome, Place, WaitToken, Waiting};
use hookflow_store::{Inbound, Journal, Posted, StoreError};
use hookflow_trigger::Event;
use std::sync::Arc;

/// A place in a run that goes on when its own URL is called, whether the run has come to it or not.
#[derive(Debug, Clone)]
pub struct WaitPoint {
    /// The run's ID.
    pub run: Arc<str>,
    /// The flow's ID.
    pub flow: Arc<str>,
    /// What a call is judged by.
    pub waiting: Arc<Waiting>,
    place: Place,
    verb: &'static str,
}

/// Why a run does not go on with a call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResumeRefusal {
    /// The token is nobody's.
    #[error("no run waits for this")]
    Unknown,
    /// The run has heard of another call.
    #[error("it was called before")]
    Again,
    /// The run has ended, or its time to wait.
    #[error("nobody waits for it any more")]
    Over,
    /// The store, or the version that the run is on, is not to be had.
    #[error("{0}")]
    Unavailable(String),
}

impl Engine {
    /// What a token from a URL stands for. Every token that is nobody's looks the same and takes as long: what is large
    /// of a run is read once its token has proved itself.
    pub async fn waiting(&self, token: &str) -> Result<WaitPoint, ResumeRefusal> {
        let token = WaitToken::parse(token).ok_or(ResumeRefusal::Unknown)?;
        let seed = known(self.0.store.seed(&token.run).await)?;
        // One that names no run is proved as well, in vain.
        let is_proved = token.proves(&seed.unwrap_or_default());
        if seed.is_none() || !is_proved {
            return Err(ResumeRefusal::Unknown);
        }
        let journal = known(self.0.store.load(&token.run).await)?.ok_or(ResumeRefusal::Unknown)?;
        if journal.run.progress.ended.is_some() {
            return Err(ResumeRefusal::Over);
        }
        self.point(&journal, token.place).await
    }

    async fn point(&self, journal: &Journal, place: Place) -> Result<WaitPoint, ResumeRefusal> {
        let Journal { run, .. } = journal;
        // Until a run is written to, it begins on whatever is in force.
        let live = self.0.live(&run.flow).filter(|_| run.progress.begun_at.is_none());
        let flow = match live {
            Some(live) => Arc::clone(&live.flow),
            None => self.0.plan_of(&run.flow, &run.progress.version).await?,
        };
        let (waiting, step) = (flow.plan.waiting(place.step), flow.plan.step(place.step));
        let (Some(waiting), Some(step)) = (waiting, step) else { return Err(ResumeRefusal::Unknown) };
        Ok(WaitPoint {
            run: Arc::clone(&run.run),
            flow: Arc::clone(&run.flow),
            waiting: Arc::clone(waiting),
            place,
            verb: step.verb,
        })
    }

    /// Hands a call that was judged to its run. It is kept when this returns.
    pub async fn resume(&self, point: &WaitPoint, event: &Event) -> Result<(), ResumeRefusal> {
        let outcome = Outcome::Resumed {
            method: event.head().method.to_string(),
            headers: event.headers(),
            query: (**event.query()).clone(),
            body: (**event.body()).clone(),
            files: event.files(),
        };
        let (place, verb, at) = (point.place.clone(), point.verb.to_owned(), self.0.clock.now());
        let fact = Fact { place, verb, attempt: 1, at, outcome, left: None, tried: None };
        match self.post(&point.run, Inbound::Fact(Arc::new(fact))).await {
            Ok(Posted::Kept { .. }) => Ok(()),
            Ok(Posted::Again) => Err(ResumeRefusal::Again),
            // Forgotten since it was looked at.
            Ok(Posted::Over) | Err(StoreError::UnknownRun) => Err(ResumeRefusal::Over),
            Err(error) => Err(ResumeRefusal::Unavailable(error.to_string())),
        }
    }
}

/// What is kept of a run, if that is.
fn known<T>(answer: Result<T, StoreError>) -> Result<Option<T>, ResumeRefusal> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(StoreError::UnknownRun) => Ok(None),
        Err(error) => Err(ResumeRefusal::Unavailable(error.to_string())),
    }
}

impl From<VersionFault> for ResumeRefusal {
    fn from(fault: VersionFault) -> Self {
        Self::Unavailable(fault.to_string())
    }
}
