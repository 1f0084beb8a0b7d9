//! What waits for a thread of the store: a list with a bound. Handing over never waits.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What waits for a thread.
pub(super) struct Waiting<T> {
    list: Mutex<List<T>>,
    came: Condvar,
    most: usize,
}

struct List<T> {
    items: VecDeque<T>,
    closed: bool,
    /// Threads that sleep until something comes. To wake none costs a call of the system too.
    asleep: usize,
}

/// What a thread that waited has got.
pub(super) enum Taken<T> {
    /// At least one, in order.
    Some(Vec<T>),
    /// Nothing in all that time.
    Idle,
    /// Nothing comes any more.
    Closed,
}

impl<T> Waiting<T> {
    pub(super) fn new(most: usize) -> Self {
        let list = List { items: VecDeque::new(), closed: false, asleep: 0 };
        Self { list: Mutex::new(list), came: Condvar::new(), most }
    }

    /// Hands something over, or gives it back when too much waits.
    pub(super) fn push(&self, item: T) -> Result<(), T> {
        let mut list = self.lock();
        if list.closed || list.items.len() >= self.most {
            return Err(item);
        }
        list.items.push_back(item);
        let wakes = list.asleep > 0;
        drop(list);
        if wakes {
            self.came.notify_one();
        }
        Ok(())
    }

    /// Waits, and takes up to so many.
    pub(super) fn take(&self, most: usize, patience: Duration) -> Taken<T> {
        let mut list = self.lock();
        while list.items.is_empty() {
            if list.closed {
                return Taken::Closed;
            }
            list.asleep += 1;
            let (woken, outcome) =
                self.came.wait_timeout(list, patience).unwrap_or_else(PoisonError::into_inner);
            list = woken;
            list.asleep -= 1;
            if outcome.timed_out() && list.items.is_empty() && !list.closed {
                return Taken::Idle;
            }
        }
        let count = most.min(list.items.len());
        Taken::Some(list.items.drain(..count).collect())
    }

    /// Lets nothing more in. What is there is still taken.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.came.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, List<T>> {
        // Nothing under the lock can panic half way.
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_bounded_and_what_is_there_is_taken_after_the_close() {
        let waiting = Waiting::new(3);
        for n in 0..3 {
            assert_eq!(waiting.push(n), Ok(()));
        }
        assert_eq!(waiting.push(3), Err(3));
        assert!(matches!(waiting.take(2, Duration::ZERO), Taken::Some(items) if items == [0, 1]));
        waiting.close();
        assert_eq!(waiting.push(4), Err(4));
        assert!(matches!(waiting.take(2, Duration::ZERO), Taken::Some(items) if items == [2]));
        assert!(matches!(waiting.take(2, Duration::ZERO), Taken::Closed));
        assert!(matches!(Waiting::<()>::new(1).take(1, Duration::ZERO), Taken::Idle));
    }
}
