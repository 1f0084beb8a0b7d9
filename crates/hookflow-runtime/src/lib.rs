//! Time, tasks and chance: the only place that reads the clock, spawns tasks and threads, and asks for random
//! bytes. All four are values that are handed down, so a test turns the clock and replays a seed.

mod chance;
mod clock;
mod fault_points;
mod heartbeats;
mod seldom;
mod tasks;

pub use chance::Chance;
pub use clock::{Clock, Elapsed};
#[cfg(feature = "fault-points")]
pub use fault_points::arm_faults;
pub use fault_points::{FAULT_POINTS, PLANTS, fault_point, is_planted};
pub use heartbeats::{Heartbeat, Heartbeats};
pub use seldom::Seldom;
pub use tasks::{Tasks, Token};
pub use uuid::Uuid;
