//! The connections that are kept for the next call, as the service's configuration and an integration's file write it.

use hookflow_text::{Diagnostics, Fields, Key, MapSchema, Node, Schema};
use std::borrow::Cow;
use std::time::Duration;

/// The most connections that may be kept.
const MOST_IDLE: u64 = 10_000;

/// As it is written.
pub static POOL: MapSchema = MapSchema {
    name: "pool",
    about: "The connections that are kept for the next call.",
    keys: Cow::Borrowed(&[
        Key::may(
            "idle",
            Schema::Integer(0, MOST_IDLE),
            "how many unused ones for each host; 0: each call has its own (32)",
        ),
        Key::may("idle_timeout", Schema::DURATION, "how long one is kept unused (15s)"),
    ]),
    rules: &[],
};

/// The connections that are kept for the next call. What is not written is as for all calls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PoolRule {
    /// How many unused ones for each host.
    pub idle: Option<usize>,
    /// How long one is kept unused.
    pub idle_timeout: Option<Duration>,
}

impl PoolRule {
    /// Reads `{idle: 32, idle_timeout: 15s}`.
    pub fn load(node: &Node, diagnostics: &mut Diagnostics) -> Option<Self> {
        let mut fields = Fields::of(node, "a `pool`", diagnostics)?;
        let idle = fields.take("idle").and_then(|node| node.as_integer(0, MOST_IDLE, diagnostics));
        let idle_timeout = fields.take("idle_timeout").and_then(|node| node.as_duration(diagnostics));
        fields.finish(diagnostics);
        Some(Self { idle: idle.and_then(|idle| usize::try_from(idle).ok()), idle_timeout })
    }
}
