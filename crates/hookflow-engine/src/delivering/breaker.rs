//! Sets an endpoint aside that fails again and again: then it is tried once in a while, and its deliveries wait without
//! using up their attempts.

use jiff::Timestamp;
use std::time::Duration;

/// After so many failures in a row.
const FAILURES: u32 = 5;
/// How long at first; each time twice as long, up to the longest.
const FIRST: Duration = Duration::from_secs(30);
const LONGEST: Duration = Duration::from_mins(15);

/// How an endpoint is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Breaker {
    /// Whether the last try was taken.
    is_well: bool,
    /// In a row.
    failures: u32,
    /// Nothing is sent before.
    until: Option<Timestamp>,
}

impl Breaker {
    /// One that was open when the store was last told.
    pub(super) fn open(until: Timestamp, failures: u32) -> Self {
        Self { failures: failures.max(FAILURES), until: Some(until), is_well: false }
    }

    /// Until when it is open; it may be over.
    pub(super) const fn until(&self) -> Option<Timestamp> {
        self.until
    }

    pub(super) const fn failures(&self) -> u32 {
        self.failures
    }

    /// How many tries may be under way at the same time.
    pub(super) fn tries(&self, most: usize) -> usize {
        // Who has just failed is asked one at a time, and so is who has not shown yet that it answers.
        if self.is_well { most } else { 1 }
    }

    /// Hears of a try. Returns whether it has opened, opened anew or closed.
    pub(super) fn hear(&mut self, good: bool, now: Timestamp) -> bool {
        if good {
            let was_open = self.until.is_some();
            *self = Self { is_well: true, ..Self::default() };
            return was_open;
        }
        self.is_well = false;
        if self.until.is_some_and(|until| now < until) {
            // It had left before, with those that have opened it, and tells nothing new.
            return false;
        }
        self.failures = self.failures.saturating_add(1);
        if self.failures < FAILURES {
            return false;
        }
        let doubled = 1_u32.checked_shl(self.failures - FAILURES).unwrap_or(u32::MAX).max(1);
        let pause = FIRST.saturating_mul(doubled).min(LONGEST);
        self.until = Some(now.checked_add(pause).unwrap_or(Timestamp::MAX));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn five_failures_in_a_row_open_it_and_a_success_closes_it() {
        let mut breaker = Breaker::default();
        assert_eq!(breaker.tries(8), 1, "it has not answered yet");
        for _ in 0..2 {
            for _ in 0..4 {
                assert!(!breaker.hear(false, at(0)));
            }
            assert_eq!((breaker.tries(8), breaker.until()), (1, None));
            assert!(!breaker.hear(true, at(0)), "in a row");
            assert_eq!(breaker.tries(8), 8);
        }
        for _ in 0..4 {
            breaker.hear(false, at(0));
        }
        let mut now = 0;
        let pauses: Vec<_> = (0..8)
            .map(|_| {
                assert!(breaker.hear(false, at(now)));
                let (until, failures) = (breaker.until().unwrap(), breaker.failures());
                // These had left before it opened.
                assert!(!breaker.hear(false, at(now)) && !breaker.hear(false, at(until.as_second() - 1)));
                assert_eq!((breaker.until().unwrap(), breaker.failures()), (until, failures));
                until.as_second() - std::mem::replace(&mut now, until.as_second())
            })
            .collect();
        assert_eq!(pauses, [30, 60, 120, 240, 480, 900, 900, 900]);
        assert_eq!(Breaker::open(at(now), breaker.failures()), breaker);
        assert!(breaker.hear(true, at(0)));
        assert_eq!((breaker.until(), breaker.failures(), breaker.tries(8)), (None, 0, 8));
        let mut far = Breaker::open(at(0), u32::MAX - 1);
        assert!(far.hear(false, at(0)) && far.hear(false, at(900)));
    }
}
