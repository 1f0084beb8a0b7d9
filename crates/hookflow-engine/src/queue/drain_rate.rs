//! How fast a queue drains, so that a refused caller can be told when to come again.

use std::time::{Duration, Instant};

/// How long is measured at a time.
const WINDOW: Duration = Duration::from_secs(5);

/// Counts what has left in the present window and the one before.
#[derive(Debug)]
pub(super) struct DrainRate {
    before: u64,
    now: u64,
    began: Instant,
    /// When the first event left; before that there is nothing to measure.
    first: Option<Instant>,
}

impl DrainRate {
    pub(super) fn new(now: Instant) -> Self {
        Self { before: 0, now: 0, began: now, first: None }
    }

    pub(super) fn count(&mut self, now: Instant) {
        let age = now.saturating_duration_since(self.began);
        if age >= WINDOW {
            self.before = if age < 2 * WINDOW { self.now } else { 0 };
            self.now = 0;
            self.began = now;
        }
        self.first.get_or_insert(now);
        self.now += 1;
    }

    /// How long so many take to leave; `None` when none has left lately.
    pub(super) fn time_for(&self, items: u64, now: Instant) -> Option<Duration> {
        let age = now.saturating_duration_since(self.began);
        let left = self.before + self.now;
        if left == 0 || age >= 4 * WINDOW {
            return None;
        }
        let measured = if self.before > 0 { age + WINDOW } else { age };
        let measured = measured.min(now.saturating_duration_since(self.first?)).max(Duration::from_millis(1));
        let items = u32::try_from(items).unwrap_or(u32::MAX);
        Some(measured.saturating_mul(items) / u32::try_from(left).unwrap_or(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "an `Instant` to count from")]
    fn a_rate_follows_what_leaves() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut rate = DrainRate::new(start);
        assert_eq!(rate.time_for(100, at(10)), None);
        for tenth in 0..100 {
            rate.count(at(tenth * 100));
        }
        // Ten a second.
        let time = rate.time_for(100, at(10_000)).unwrap();
        assert!((9..=11).contains(&time.as_secs()), "{time:?}");
        // Nothing has left since: slower and slower, and in the end unknown.
        assert!(rate.time_for(100, at(15_000)).unwrap() > time);
        assert_eq!(rate.time_for(100, at(60_000)), None);
        assert!(rate.time_for(u64::MAX, at(10_000)).is_some());
    }
}
