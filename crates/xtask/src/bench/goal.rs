//! What is asked of a scene, and whether it came so.

use serde_json::{Value, json};

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Goal {
    pub(super) what: &'static str,
    pub(super) measured: f64,
    pub(super) asked: Asked,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Asked {
    /// A ratio.
    AtLeast(f64),
    /// So many of a unit.
    Below(f64, &'static str),
}

impl Goal {
    pub(super) fn is_reached(&self) -> bool {
        match self.asked {
            Asked::AtLeast(least) => self.measured >= least,
            Asked::Below(most, _) => self.measured < most,
        }
    }

    pub(super) fn asked(&self) -> String {
        match self.asked {
            Asked::AtLeast(least) => format!("≥ {least:.2}"),
            Asked::Below(most, unit) => format!("< {most} {unit}"),
        }
    }

    pub(super) fn told(&self) -> String {
        let verdict = if self.is_reached() { "reached" } else { "**missed**" };
        format!("{:.2}, {verdict}", self.measured)
    }

    pub(super) fn json(&self) -> Value {
        let (bound, value) = match self.asked {
            Asked::AtLeast(least) => ("at_least", json!(least)),
            Asked::Below(most, _) => ("below", json!(most)),
        };
        json!({"what": self.what, "measured": self.measured, bound: value, "reached": self.is_reached()})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_is_reached_from_its_side() {
        let goal = |measured, asked| Goal { what: "rate", measured, asked };
        assert!(goal(0.45, Asked::AtLeast(0.45)).is_reached());
        assert_eq!(goal(0.44, Asked::AtLeast(0.45)).told(), "0.44, **missed**");
        assert_eq!(goal(0.99, Asked::Below(1.0, "ms")).told(), "0.99, reached");
        let late = goal(1.0, Asked::Below(1.0, "ms"));
        assert!(!late.is_reached());
        assert_eq!(late.asked(), "< 1 ms");
        assert_eq!(late.json(), json!({"what": "rate", "measured": 1.0, "below": 1.0, "reached": false}));
    }
}
