//! How many workers there are, over all flows, for the shutdown to wait until there are none.
//!
//! Nearly every request makes a worker for a moment, so coming and going are an addition each, without a lock.

use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Notify;

/// The workers of all flows.
#[derive(Debug, Default)]
pub(crate) struct Crew {
    size: AtomicUsize,
    none_left: Notify,
}

impl Crew {
    pub(crate) fn join(&self) {
        self.size.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn leave(&self) {
        // What a worker has done is seen by whoever has waited for it.
        if self.size.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.none_left.notify_waiters();
        }
    }

    pub(crate) fn size(&self) -> usize {
        self.size.load(Ordering::Acquire)
    }

    /// Waits until there are none.
    pub(crate) async fn gone(&self) {
        loop {
            // Made before the count is looked at, it misses no leave that comes after.
            let none_left = self.none_left.notified();
            if self.size() == 0 {
                return;
            }
            none_left.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    #[test]
    fn it_is_gone_when_the_last_one_has_left() {
        let crew = Crew::default();
        crew.join();
        crew.join();
        let mut gone = pin!(crew.gone());
        let mut cx = Context::from_waker(Waker::noop());
        assert_eq!(gone.as_mut().poll(&mut cx), Poll::Pending);
        crew.leave();
        assert_eq!((gone.as_mut().poll(&mut cx), crew.size()), (Poll::Pending, 1));
        crew.leave();
        // One that comes back before anybody looked is waited for.
        crew.join();
        assert_eq!(gone.as_mut().poll(&mut cx), Poll::Pending);
        crew.leave();
        assert_eq!(gone.as_mut().poll(&mut cx), Poll::Ready(()));
    }
}
