//! Callers who find a queue full, or no seat, are kept for a moment before they hear so.
//!
//! Who comes again at once would else be refused many thousand times a second, and the runs that make room stand behind all
//! those refusals for the processor. Kept like this, a caller takes a timer and a connection.

use hookflow_runtime::{Clock, Token};
use std::time::Duration;
use tokio::sync::Semaphore;

/// The room for callers who are kept.
pub(crate) struct Delays {
    length: Duration,
    places: Semaphore,
    clock: Clock,
    soft: Token,
}

impl Delays {
    /// Keeps no more than `most` at once, each for `length`, and nobody once shutdown has begun.
    pub(crate) fn new(length: Duration, most: usize, clock: Clock, soft: Token) -> Self {
        Self { length, places: Semaphore::new(most.min(Semaphore::MAX_PERMITS)), clock, soft }
    }

    /// Keeps a caller, if there is room.
    pub(crate) async fn keep(&self) {
        if self.length.is_zero() {
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
        let delays = Delays::new(length, 2, clock.clone(), tasks.soft());
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
    fn without_a_length_nobody_is_kept() {
        let (_clock, _tasks, delays) = delays(Duration::ZERO);
        assert!(is_over(pin!(delays.keep())));
    }
}
