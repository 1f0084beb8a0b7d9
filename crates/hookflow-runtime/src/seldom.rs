//! What a task waits for beside its work, without being asked about it each time that the work moves.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

/// Polls a future only when it was woken, and not whenever its task is: a task that waits for its work and for the
/// shutdown is polled for every piece of work, and asking for the shutdown takes a lock that all tasks share.
pub struct Seldom<F> {
    future: Pin<Box<F>>,
    bell: Arc<Bell>,
    /// Whom the bell wakes.
    wakes: Option<Waker>,
}

/// What the future is given to wake.
struct Bell {
    rung: AtomicBool,
    task: Mutex<Option<Waker>>,
}

impl<F: Future> Seldom<F> {
    /// The future, which is polled once at first.
    pub fn new(future: F) -> Self {
        let bell = Bell { rung: AtomicBool::new(true), task: Mutex::default() };
        Self { future: Box::pin(future), bell: Arc::new(bell), wakes: None }
    }
}

impl<F: Future> Future for Seldom<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        if !self.wakes.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            self.wakes = Some(cx.waker().clone());
            self.bell.wakes(cx.waker());
        }
        // Asked after it is known whom to wake, so no ring is missed. Looked at before it is written to: it hardly ever has
        // rung.
        if !self.bell.rung.load(Ordering::Acquire) || !self.bell.rung.swap(false, Ordering::AcqRel) {
            return Poll::Pending;
        }
        let bell = Waker::from(Arc::clone(&self.bell));
        self.future.as_mut().poll(&mut Context::from_waker(&bell))
    }
}

impl Bell {
    fn wakes(&self, waker: &Waker) {
        *self.task.lock().unwrap_or_else(PoisonError::into_inner) = Some(waker.clone());
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.rung.store(true, Ordering::Release);
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(task) = task {
            task.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;
    use tokio::sync::oneshot;

    #[tokio::test]
    async fn it_is_asked_at_first_and_when_it_was_woken() {
        let (done, receive) = oneshot::channel();
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let mut receive = Box::pin(receive);
        let mut seldom = Seldom::new(std::future::poll_fn(move |cx| {
            count.fetch_add(1, Ordering::Relaxed);
            receive.as_mut().poll(cx)
        }));
        for _ in 0..5 {
            // Whoever polled last is woken.
            let mut cx = Context::from_waker(Waker::noop());
            assert!(Pin::new(&mut seldom).poll(&mut cx).is_pending());
        }
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        let sending = async {
            tokio::task::yield_now().await;
            done.send(7).unwrap();
        };
        assert_eq!(tokio::join!(seldom, sending).0, Ok(7));
        assert_eq!(asked.load(Ordering::Relaxed), 2);
    }
}
