//! The bounds that all flows share.

use std::time::Duration;

/// The bounds that all flows share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Runs of all flows at the same time.
    pub runs_in_flight: usize,
    /// Bytes of events that are accepted and not yet started, in all queues.
    pub queued_bytes: u64,
    /// How long a worker without work stays.
    pub idle_worker: Duration,
    /// How long after the beginning of a shutdown callers may go on waiting and queued events may still start: a little
    /// less than the grace, so that the last answers still leave.
    pub patience: Duration,
    /// How long a try of a call may take whose integration does not say; `None`: as long as the call says.
    pub call_timeout: Option<Duration>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            runs_in_flight: 1_024,
            queued_bytes: 256 << 20,
            idle_worker: Duration::from_secs(10),
            patience: Duration::from_secs(27),
            call_timeout: None,
        }
    }
}
