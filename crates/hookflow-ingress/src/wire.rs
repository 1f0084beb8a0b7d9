//! The socket under a connection, and what the connection's task must know of it.
//!
//! The HTTP library closes without a word when a head is slow, and answers a bad one in words of its own. Both are
//! refusals with a code and a request ID here, so the socket keeps back what the library would say and outlives it:
//! the connection's task takes it from the [`Line`] and says it properly.

mod framing;

pub(crate) use framing::{HeadLimits, Violation};

use crate::socket::Socket;
use framing::Framing;
use hookflow_runtime::Clock;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The socket as the HTTP library sees it.
pub(crate) struct Wire {
    /// Until it is dropped.
    stream: Option<Socket>,
    line: Arc<Line>,
    /// As the line knows it too.
    violated: bool,
}

/// What the socket, the service and the connection's task tell each other.
pub(crate) struct Line {
    clock: Clock,
    state: Mutex<State>,
}

struct State {
    framing: Framing,
    phase: Phase,
    /// When the wait began: for the next head, or for the caller to take more of its answer.
    since: Instant,
    /// How many requests are with the service: over HTTP/2 there may be several.
    serving: usize,
    violation: Option<Violation>,
    /// Reads on once the requests before a head that is refused are answered.
    reader: Option<Waker>,
    /// The socket, once the library has let go of it.
    stream: Option<Socket>,
}

/// Where an HTTP/1.1 connection stands between two heads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// It waits for a head, or has part of one.
    Waiting,
    /// A request is with the service.
    Serving,
    /// The service has answered; the answer is not all sent.
    Answering,
}

impl Wire {
    pub(crate) fn new(stream: Socket, limits: HeadLimits, clock: Clock) -> (Self, Arc<Line>) {
        let state = State {
            framing: Framing::new(limits),
            phase: Phase::Waiting,
            since: clock.monotonic(),
            serving: 0,
            violation: None,
            reader: None,
            stream: None,
        };
        let line = Arc::new(Line { clock, state: Mutex::new(state) });
        (Self { stream: Some(stream), line: Arc::clone(&line), violated: false }, line)
    }

    fn stream(&mut self) -> io::Result<Pin<&mut Socket>> {
        self.stream.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl Line {
    /// A request has reached the service.
    pub(crate) fn begin(&self) {
        let mut state = self.lock();
        state.phase = Phase::Serving;
        state.serving += 1;
    }

    /// The service has answered.
    pub(crate) fn answered(&self) {
        let mut state = self.lock();
        state.phase = Phase::Answering;
        state.serving = state.serving.saturating_sub(1);
        state.since = self.clock.monotonic();
    }

    /// Returns when the caller has been awaited for `limit`: for a head, as idle connections do, or for it to take
    /// more of its answer. An HTTP/2 connection is idle while no request is with the service.
    pub(crate) async fn overdue(&self, limit: Duration) {
        loop {
            let now = self.clock.monotonic();
            let waited = {
                let state = self.lock();
                let http2 = state.framing.is_http2();
                let waits = if http2 { state.serving == 0 } else { state.phase != Phase::Serving };
                waits.then(|| now.saturating_duration_since(state.since))
            };
            let left = limit.saturating_sub(waited.unwrap_or_default());
            if left.is_zero() {
                return;
            }
            // While a request is served nothing needs to watch: the wait that follows it cannot be over earlier.
            self.clock.sleep(left).await;
        }
    }

    /// Whether this is an HTTP/2 connection.
    pub(crate) fn is_http2(&self) -> bool {
        self.lock().framing.is_http2()
    }

    /// Whether part of a head has come, and its rest has not.
    pub(crate) fn is_within_head(&self) -> bool {
        let state = self.lock();
        state.phase == Phase::Waiting && state.framing.is_within_head()
    }

    /// The socket, once the library has let go of it, and why it had to.
    pub(crate) fn take(&self) -> (Option<Socket>, Option<Violation>) {
        let mut state = self.lock();
        (state.stream.take(), state.violation)
    }

    fn wrote(&self, outcome: &Poll<io::Result<usize>>) {
        if outcome.is_ready() {
            let mut state = self.lock();
            // What HTTP/2 says by itself, such as the answer to a ping, keeps no idle connection open.
            if !state.framing.is_http2() {
                state.since = self.clock.monotonic();
            }
        }
    }

    fn flushed(&self) {
        let mut state = self.lock();
        if state.phase == Phase::Answering {
            state.phase = Phase::Waiting;
            if let Some(reader) = state.reader.take() {
                reader.wake();
            }
        }
    }

    /// Follows what was read; how much of it the library may see.
    fn follow(&self, bytes: &[u8]) -> usize {
        let mut state = self.lock();
        match state.framing.follow(bytes) {
            Ok(()) => bytes.len(),
            Err(violation) => {
                state.violation = Some(violation);
                state.framing.sound()
            }
        }
    }

    /// Ends the reading at a head that is refused, but not before what came before it is answered.
    fn poll_end(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.lock();
        if state.phase == Phase::Waiting {
            return Poll::Ready(Err(io::Error::other("a head that is refused")));
        }
        state.reader = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Whether `bytes` are the library's own answer to a head that it cannot read; then they are kept back.
    fn keeps_back(&self, bytes: &[u8]) -> bool {
        if !bytes.starts_with(b"HTTP/1.1 4") {
            return false;
        }
        let mut state = self.lock();
        if state.phase != Phase::Waiting || state.framing.is_http2() {
            return false;
        }
        let too_large = bytes.starts_with(b"HTTP/1.1 431") || bytes.starts_with(b"HTTP/1.1 414");
        state.violation = Some(if too_large { Violation::TooLarge } else { Violation::Malformed });
        true
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing under the lock can panic half way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.violated {
            return self.line.poll_end(cx);
        }
        let before = buf.filled().len();
        let outcome = self.stream()?.poll_read(cx, buf);
        if let Poll::Ready(Ok(())) = outcome {
            let read = buf.filled().len() - before;
            let sound = self.line.follow(buf.filled().get(before..).unwrap_or_default());
            buf.set_filled(before + sound);
            self.violated = sound < read;
            if sound == 0 && read > 0 {
                return self.line.poll_end(cx);
            }
        }
        outcome
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.line.keeps_back(buf) {
            self.violated = true;
            return Poll::Ready(Ok(buf.len()));
        }
        let outcome = self.stream()?.poll_write(cx, buf);
        self.line.wrote(&outcome);
        outcome
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if bufs.first().is_some_and(|first| self.line.keeps_back(first)) {
            self.violated = true;
            return Poll::Ready(Ok(bufs.iter().map(|buf| buf.len()).sum()));
        }
        let outcome = self.stream()?.poll_write_vectored(cx, bufs);
        self.line.wrote(&outcome);
        outcome
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.line.flushed();
        self.stream()?.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.violated {
            // There is still something to say.
            return Poll::Ready(Ok(()));
        }
        self.stream()?.poll_shutdown(cx)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.line.lock().stream = self.stream.take();
    }
}
