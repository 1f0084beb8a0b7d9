//! The clock: the system's, or one that a test turns by hand.

use jiff::Timestamp;
use std::collections::BTreeMap;
use std::fmt;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// A wait for a time of day looks at the clock again at least this often, because the system's clock can be set.
const RECHECK: Duration = Duration::from_secs(30);

/// Tells the time and waits for it. Cheap to clone; clones of a turned clock turn together.
#[derive(Debug, Clone)]
pub struct Clock(Face);

#[derive(Debug, Clone)]
enum Face {
    System,
    Turned(Arc<Turned>),
}

/// The time a future was given has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Elapsed;

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the time has passed")
    }
}

impl std::error::Error for Elapsed {}

impl Clock {
    /// The system's clock.
    pub const fn system() -> Self {
        Self(Face::System)
    }

    /// A clock that stands at `start` until it is turned.
    #[expect(clippy::disallowed_methods, reason = "somewhere an `Instant` must come from")]
    pub fn turned(start: Timestamp) -> Self {
        Self(Face::Turned(Arc::new(Turned { start, base: Instant::now(), dial: Mutex::default() })))
    }

    /// The time of day.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Face::System => Timestamp::now(),
            Face::Turned(turned) => turned.start.checked_add(turned.dial().elapsed).unwrap_or(Timestamp::MAX),
        }
    }

    /// A moment that never steps back, for measuring.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
    pub fn monotonic(&self) -> Instant {
        match &self.0 {
            Face::System => Instant::now(),
            Face::Turned(turned) => turned.base.checked_add(turned.dial().elapsed).unwrap_or(turned.base),
        }
    }

    /// Waits for so long.
    pub async fn sleep(&self, duration: Duration) {
        match &self.0 {
            Face::System => tokio::time::sleep(duration).await,
            Face::Turned(turned) => turned.sleep(duration).await,
        }
    }

    /// Waits until the time of day, which may have passed. A system clock that is set meanwhile is followed.
    pub async fn sleep_until(&self, due: Timestamp) {
        loop {
            let left = Duration::try_from(due.duration_since(self.now())).unwrap_or_default();
            if left.is_zero() {
                return;
            }
            match &self.0 {
                Face::System => tokio::time::sleep(left.min(RECHECK)).await,
                Face::Turned(turned) => turned.sleep(left).await,
            }
        }
    }

    /// Waits for `future`, but no longer than `limit`; then it is dropped.
    pub fn timeout<F: Future>(
        &self,
        limit: Duration,
        future: F,
    ) -> impl Future<Output = Result<F::Output, Elapsed>> {
        self.timeout_of(move || limit, future)
    }

    /// The same with a limit that is asked for only when `future` has to wait.
    pub async fn timeout_of<F: Future>(
        &self,
        limit: impl FnOnce() -> Duration,
        future: F,
    ) -> Result<F::Output, Elapsed> {
        tokio::select! {
            biased;
            output = future => Ok(output),
            () = async { self.sleep(limit()).await } => Err(Elapsed),
        }
    }

    /// Turns a turned clock on and wakes who is due. The system's clock goes by itself: nothing happens.
    pub fn advance(&self, by: Duration) {
        if let Face::Turned(turned) = &self.0 {
            turned.turn(|dial| Some(dial.elapsed.saturating_add(by)));
        }
    }

    /// Turns a turned clock to the earliest moment anybody sleeps for. `false`: nobody sleeps, or it is the system's clock.
    pub fn turn(&self) -> bool {
        match &self.0 {
            Face::System => false,
            Face::Turned(turned) => turned.turn(Dial::next),
        }
    }

    /// Waits until somebody sleeps, then turns a turned clock to the earliest moment anybody sleeps for. With the
    /// system's clock it returns at once.
    pub async fn advance_to_next(&self) {
        let Face::Turned(turned) = &self.0 else { return };
        poll_fn(|cx| {
            if turned.turn(Dial::next) {
                return Poll::Ready(());
            }
            turned.dial().watchers.push(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

struct Turned {
    start: Timestamp,
    base: Instant,
    dial: Mutex<Dial>,
}

/// How far a turned clock has come, and who sleeps until when. Who is due wakes in order, so that a seeded test is the
/// same each time.
#[derive(Default)]
struct Dial {
    elapsed: Duration,
    /// By moment, then in the order in which they fell asleep.
    sleepers: BTreeMap<(Duration, u64), Option<Waker>>,
    last_sleeper: u64,
    /// Who waits for somebody to sleep.
    watchers: Vec<Waker>,
}

impl Dial {
    /// The earliest moment that has not come yet and that somebody sleeps for.
    fn next(&self) -> Option<Duration> {
        self.sleepers.range((self.elapsed, u64::MAX)..).next().map(|((due, _), _)| *due)
    }
}

impl Turned {
    fn dial(&self) -> MutexGuard<'_, Dial> {
        // Nothing under the lock can panic half way.
        self.dial.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Turns the dial and wakes who is due. Returns whether there was a moment to turn to.
    fn turn(&self, to: impl FnOnce(&Dial) -> Option<Duration>) -> bool {
        let mut dial = self.dial();
        let Some(elapsed) = to(&dial) else { return false };
        dial.elapsed = elapsed;
        let due = dial.sleepers.range_mut(..=(elapsed, u64::MAX));
        let woken: Vec<_> = due.filter_map(|(_, waker)| waker.take()).collect();
        drop(dial);
        woken.into_iter().for_each(Waker::wake);
        true
    }

    async fn sleep(&self, duration: Duration) {
        let sleeper = self.fall_asleep(duration);
        poll_fn(|cx| self.poll_sleep(&sleeper, cx)).await;
    }

    fn fall_asleep(&self, duration: Duration) -> Sleeper<'_> {
        let mut dial = self.dial();
        dial.last_sleeper += 1;
        let key = (dial.elapsed.saturating_add(duration), dial.last_sleeper);
        dial.sleepers.insert(key, None);
        let watchers = std::mem::take(&mut dial.watchers);
        drop(dial);
        watchers.into_iter().for_each(Waker::wake);
        Sleeper { turned: self, key }
    }

    fn poll_sleep(&self, sleeper: &Sleeper<'_>, cx: &Context<'_>) -> Poll<()> {
        let mut dial = self.dial();
        if dial.elapsed >= sleeper.key.0 {
            return Poll::Ready(());
        }
        dial.sleepers.insert(sleeper.key, Some(cx.waker().clone()));
        Poll::Pending
    }
}

impl fmt::Debug for Turned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dial = self.dial();
        write!(f, "{} + {:?}, {} asleep", self.start, dial.elapsed, dial.sleepers.len())
    }
}

/// Takes its entry away when a sleep ends or is dropped.
struct Sleeper<'t> {
    turned: &'t Turned,
    key: (Duration, u64),
}

impl Drop for Sleeper<'_> {
    fn drop(&mut self) {
        self.turned.dial().sleepers.remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    fn poll<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn sleepers_wake_when_the_clock_is_turned_that_far() {
        let clock = Clock::turned(Timestamp::UNIX_EPOCH);
        let began = clock.monotonic();
        let mut sleep = pin!(clock.sleep(Duration::from_secs(10)));
        let mut until = pin!(clock.sleep_until(Timestamp::from_second(20).unwrap()));
        assert_eq!((poll(sleep.as_mut()), poll(until.as_mut())), (Poll::Pending, Poll::Pending));
        clock.advance(Duration::from_secs(9));
        assert_eq!(poll(sleep.as_mut()), Poll::Pending);
        clock.advance(Duration::from_secs(1));
        assert_eq!((poll(sleep.as_mut()), poll(until.as_mut())), (Poll::Ready(()), Poll::Pending));
        clock.clone().advance(Duration::from_secs(10));
        assert_eq!(poll(until.as_mut()), Poll::Ready(()));
        assert_eq!(clock.now(), Timestamp::from_second(20).unwrap());
        assert_eq!(clock.monotonic() - began, Duration::from_secs(20));
    }

    #[tokio::test]
    async fn a_timeout_lets_the_future_win_and_drops_it_when_it_does_not() {
        for clock in [Clock::system(), Clock::turned(Timestamp::UNIX_EPOCH)] {
            assert_eq!(clock.timeout(Duration::ZERO, async { 7 }).await, Ok(7));
            let never = clock.timeout(Duration::from_millis(5), std::future::pending::<()>());
            assert_eq!(tokio::join!(never, clock.advance_to_next()).0, Err(Elapsed));
            clock.sleep_until(Timestamp::UNIX_EPOCH).await;
        }
    }

    #[tokio::test]
    async fn a_turned_clock_can_jump_from_sleeper_to_sleeper() {
        let clock = Clock::turned(Timestamp::UNIX_EPOCH);
        let day = Duration::from_hours(24);
        let sleeping = async {
            for _ in 0..365 {
                clock.sleep(day).await;
            }
        };
        let turning = async {
            for _ in 0..365 {
                clock.advance_to_next().await;
            }
        };
        tokio::join!(sleeping, turning);
        assert_eq!(clock.now().as_second(), 365 * 86_400);
    }

    /// Writes down that it was woken.
    struct Note(usize, Arc<Mutex<Vec<usize>>>);

    impl std::task::Wake for Note {
        fn wake(self: Arc<Self>) {
            self.1.lock().unwrap().push(self.0);
        }
    }

    #[test]
    fn who_is_due_wakes_in_order() {
        let clock = Clock::turned(Timestamp::UNIX_EPOCH);
        assert!(!clock.turn(), "nobody sleeps");
        let woken = Arc::new(Mutex::new(Vec::new()));
        let mut sleeps: Vec<_> =
            [3, 1, 2, 1, 3].map(|seconds| Box::pin(clock.sleep(Duration::from_secs(seconds)))).into();
        for (n, sleep) in sleeps.iter_mut().enumerate().rev() {
            let waker = Arc::new(Note(n, Arc::clone(&woken))).into();
            assert!(sleep.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        }
        assert!(clock.turn());
        assert_eq!(*woken.lock().unwrap(), [3, 1], "those of the first second, as they fell asleep");
        clock.advance(Duration::from_secs(2));
        assert_eq!(*woken.lock().unwrap(), [3, 1, 2, 4, 0]);
    }

    #[test]
    fn a_turn_goes_to_whoever_sleeps_shortest() {
        let clock = Clock::turned(Timestamp::UNIX_EPOCH);
        assert!(!clock.turn(), "nobody sleeps");
        let mut long = pin!(clock.sleep(Duration::from_hours(2)));
        let mut short = pin!(clock.sleep(Duration::from_hours(1)));
        assert_eq!((poll(long.as_mut()), poll(short.as_mut())), (Poll::Pending, Poll::Pending));
        assert!(clock.turn());
        assert_eq!((poll(long.as_mut()), poll(short.as_mut())), (Poll::Pending, Poll::Ready(())));
        assert_eq!(clock.now().as_second(), 3_600);
        assert!(!Clock::system().turn());
    }

    #[test]
    fn a_dropped_sleep_is_forgotten_and_far_ends_do_not_overflow() {
        let clock = Clock::turned(Timestamp::MAX);
        {
            let mut sleep = pin!(clock.sleep(Duration::MAX));
            assert_eq!(poll(sleep.as_mut()), Poll::Pending);
            assert!(format!("{clock:?}").contains("1 asleep"));
        }
        assert!(format!("{clock:?}").contains("0 asleep"));
        clock.advance(Duration::from_secs(1));
        assert_eq!(clock.now(), Timestamp::MAX);
    }
}
