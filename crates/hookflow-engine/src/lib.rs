//! Admission, queues and workers: what happens to an event between the door and the end of its run.
//!
//! The pure core says what a run does next; this crate does it. A 2xx leaves only when the event is kept, every run
//! reaches one end, every end wakes who waits for it, and one slow flow holds up nobody else.

mod admission;
mod delivering;
mod due;
mod engine;
mod generation;
mod inbox;
mod integrations;
mod joining;
mod limits;
mod metrics;
mod pausing;
mod perform;
mod queue;
mod recovery;
mod relaxed;
mod replay;
mod resuming;
mod retention;
mod setting_aside;
mod stand_in;
mod subscriptions;
mod ticket;
mod versions;
mod worker;

pub use admission::{Admission, AdmitRefusal};
pub use engine::{Engine, Parts};
pub use generation::{Generation, LiveFlow};
pub use hookflow_store::Duplicate;
pub use integrations::{LiveIntegration, assembled, filled, redirects};
pub use limits::Limits;
pub use metrics::Metrics;
pub use pausing::{PauseRefusal, PausedBy, Standing};
pub use perform::signed;
pub use queue::{Full, QueuePlace};
pub use replay::{Again, CancelRefusal, OnVersion, ReplayRefusal};
pub use resuming::{ResumeRefusal, WaitPoint};
pub use retention::Keep;
pub use stand_in::StandIn;
pub use subscriptions::{DeliveryRefusal, EVENT_BYTES, PublishRefusal, SubscriptionStanding};
pub use ticket::{Conclusion, Ticket};
pub use versions::{VersionFault, Versions};

#[cfg(test)]
mod tests;
