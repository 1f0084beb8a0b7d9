//! Where in a run something happens, independent of the order in which it happens.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The number of a step in its plan, in the order of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct StepNumber(pub u32);

/// A step and the turn of each loop around it, outermost first. Facts, asks and results are keyed by it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    /// Which step.
    pub step: StepNumber,
    /// Which turn of each enclosing loop, from 0; empty outside of loops.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub turns: Vec<u32>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.step.0)?;
        for turn in &self.turns {
            write!(f, ".{turn}")?;
        }
        Ok(())
    }
}
