//! Callers who find a queue full, or no seat, are kept for a moment before they hear so, when there are many of them.
//!
//! Who comes again at once would else be refused many thousand times a second, and the runs that make room stand behind all
//! those refusals for the processor. Kept like this, a caller takes a timer and a connection.

use hookflow_runtime::{Clock, Token};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// Of which time refusals are counted.
const PERIOD: Duration = Duration::from_secs(1);

/// The room for callers who are kept.
pub(crate) struct Delays {
    length: Duration,
    /// How many a second are not kept.
    quick: u64,
    /// Since when, and how many have come since.
    counted: Mutex<(Instant, u64)>,
    places: Semaphore,
    clock: Clock,
    soft: Token,
}

impl Delays {
    /// Keeps those beyond `quick` a second, no more than `most` at once, each for `length`, and nobody once shutdown has begun.
    pub(crate) fn new(quick: u64, length: Duration, most: usize, clock: Clock, soft: Token) -> Self {
        let counted = Mutex::new((clock.monotonic(), 0));
        let places = Semaphore::new(most.min(Semaphore::MAX_PERMITS));
        Self { length, quick, counted, places, clock, soft }
    }

    /// Keeps a caller, if there is room.
    pub(crate) async fn keep(&self) {
        if self.length.is_zero() || self.is_quick() {
            return;
        }
        let Ok(_place) = self.places.try_acquire() else { return };
        let mut soft = self.soft.clone();
        tokio::select! {
            biased;
            () = soft.wait() => {}
            () = self.clock.sleep(self.length) => {}
        }
    }

    /// Counts one. Few are no burden, and hear so at once.
    fn is_quick(&self) -> bool {
        let now = self.clock.monotonic();
        // Nothing under the lock can panic half way.
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        if now.saturating_duration_since(counted.0) >= PERIOD {
            *counted = (now, 0);
        }
        counted.1 = counted.1.saturating_add(1);
        counted.1 <= self.quick
    }

    /// How many more may be kept.
    #[cfg(test)]
    pub(crate) fn room(&self) -> usize {
        self.places.available_permits()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hookflow_runtime::Tasks;
    use jiff::Timestamp;
    use std::pin::pin;
    use std::task::{Context, Waker};

    const LENGTH: Duration = Duration::from_millis(100);

    fn delays(length: Duration) -> (Clock, Tasks, Delays) {
        let clock = Clock::turned(Timestamp::UNIX_EPOCH);
        let tasks = Tasks::new(clock.clone());
        let delays = Delays::new(0, length, 2, clock.clone(), tasks.soft());
        (clock, tasks, delays)
    }

    fn is_over(kept: std::pin::Pin<&mut impl Future<Output = ()>>) -> bool {
        kept.poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[test]
    fn a_caller_is_kept_for_so_long_and_while_there_is_room() {
        let (clock, _tasks, delays) = delays(LENGTH);
        let (mut first, mut second, mut third) =
            (pin!(delays.keep()), Box::pin(delays.keep()), pin!(delays.keep()));
        assert!(!is_over(first.as_mut()) && !is_over(second.as_mut()));
        assert!(is_over(third.as_mut()), "two are kept already");
        clock.advance(LENGTH.checked_sub(Duration::from_nanos(1)).unwrap());
        assert!(!is_over(first.as_mut()));
        drop(second);
        assert_eq!(delays.room(), 1, "who goes away makes room");
        clock.advance(Duration::from_nanos(1));
        assert!(is_over(first.as_mut()));
        assert_eq!(delays.room(), 2);
    }

    #[tokio::test]
    async fn shutdown_lets_everybody_go_at_once() {
        let (clock, tasks, delays) = delays(LENGTH);
        let mut kept = pin!(delays.keep());
        assert!(!is_over(kept.as_mut()));
        tasks.drain(Duration::ZERO).await;
        kept.await;
        delays.keep().await;
        assert_eq!(clock.now(), Timestamp::UNIX_EPOCH);
    }

    #[test]
    fn the_first_of_each_second_are_not_kept() {
        let (clock, tasks, _) = delays(LENGTH);
        let delays = Delays::new(2, LENGTH, 9, clock.clone(), tasks.soft());
        for _ in 0..3 {
            assert!(is_over(pin!(delays.keep())) && is_over(pin!(delays.keep())));
            assert!(!is_over(pin!(delays.keep())), "it is the third");
            clock.advance(PERIOD);
        }
    }

    #[test]
    fn without_a_length_nobody_is_kept() {
        let (_clock, _tasks, delays) = delays(Duration::ZERO);
        assert!(is_over(pin!(delays.keep())));
    }
}
