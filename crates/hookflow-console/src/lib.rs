//! The operator's door: a listener of its own, on loopback unless it has a token.
//!
//! An endpoint is one file in `endpoints/` and its lines in the table `endpoints.rs`; who may call is judged before any
//! of them, in `gate.rs`.

mod answer;
mod asked;
mod condition;
mod console;
mod endpoint;
mod endpoints;
mod gate;
mod history;
mod in_force;
mod problem;

pub use condition::Condition;
pub use console::{Bound, Console, ConsoleError, ConsoleParts};
pub use endpoint::Endpoint;
pub use endpoints::ENDPOINTS;
pub use history::{ExportFormat, History, HistoryFault};
pub use in_force::{InForce, Reloaded};
