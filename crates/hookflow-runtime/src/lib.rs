//! Time, tasks and chance: the only place that reads the clock, spawns tasks and threads, and asks for random
//! bytes. All four are values that are handed down, so a test turns the clock and replays a seed.

mod chance;
mod clock;
mod heartbeats;
mod seldom;
mod tasks;

pub use chance::Chance;
pub use clock::{Clock, Elapsed};
pub use heartbeats::{Heartbeat, Heartbeats};
pub use seldom::Seldom;
pub use tasks::{Tasks, Token};
pub use uuid::Uuid;
