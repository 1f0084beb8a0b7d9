//! The answer of a store, which is there at once or comes later.

use crate::StoreError;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::sync::oneshot;

/// The answer to an operation that was handed over. Dropping it undoes nothing.
#[derive(Debug)]
#[must_use = "the store may have refused"]
pub struct Pending<T>(Answer<T>);

#[derive(Debug)]
enum Answer<T> {
    Now(Option<Result<T, StoreError>>),
    Later(oneshot::Receiver<Result<T, StoreError>>),
}

impl<T> Pending<T> {
    /// The answer is there: nothing waits and nothing is allocated.
    pub const fn now(answer: Result<T, StoreError>) -> Self {
        Self(Answer::Now(Some(answer)))
    }

    /// The answer comes through `answer`, from the store's own side.
    pub const fn later(answer: oneshot::Receiver<Result<T, StoreError>>) -> Self {
        Self(Answer::Later(answer))
    }
}

impl<T: Unpin> Future for Pending<T> {
    type Output = Result<T, StoreError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.get_mut().0 {
            Answer::Now(answer) => match answer.take() {
                Some(answer) => Poll::Ready(answer),
                None => Poll::Pending,
            },
            Answer::Later(answer) => Pin::new(answer).poll(cx).map(|answer| {
                answer.unwrap_or_else(|_| Err(StoreError::Unavailable("the store has stopped".into())))
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_answer_is_there_or_comes_or_never_does() {
        assert_eq!(Pending::now(Ok(1)).await, Ok(1));
        let (sender, receiver) = oneshot::channel();
        sender.send(Ok(2)).unwrap();
        assert_eq!(Pending::later(receiver).await, Ok(2));
        let (sender, receiver) = oneshot::channel::<Result<(), _>>();
        drop(sender);
        assert!(matches!(Pending::later(receiver).await, Err(StoreError::Unavailable(_))));
    }
}
