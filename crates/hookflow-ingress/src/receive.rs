//! The body of a request: the only place where one is read.

use crate::door::Doorway;
use crate::memory::Share;
use crate::refusal::Refusal;
use bytes::Bytes;
use hookflow_runtime::Clock;
use hookflow_trigger::{Body, Gathering};
use http::HeaderMap;
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use std::sync::Arc;
use std::time::Duration;

/// How long what a refused caller still sends is read, so that the answer reaches it.
const DRAIN: Duration = Duration::from_secs(1);

/// Where a body comes from.
enum Source {
    /// A connection.
    Wire(Incoming),
    /// The program itself has it already.
    Whole(Bytes),
}

/// A body that has not been read, or not wholly.
pub(crate) struct Arriving {
    body: Source,
    ended: bool,
    /// The caller sends nothing before it is asked to, which reading does.
    awaits_word: bool,
    received: u64,
    /// What is held of it: until it is dropped with its request, for the body then is the request's.
    share: Share,
}

impl Arriving {
    pub(crate) fn new(body: Incoming, headers: &HeaderMap, share: Share) -> Self {
        let (ended, awaits_word) = (body.is_end_stream(), headers.contains_key(http::header::EXPECT));
        Self { body: Source::Wire(body), ended, awaits_word, received: 0, share }
    }

    /// A body that the program itself brings.
    pub(crate) fn whole(body: Bytes, share: Share) -> Self {
        Self { body: Source::Whole(body), ended: false, awaits_word: false, received: 0, share }
    }

    /// The length that was announced.
    pub(crate) fn announced(&self) -> Option<u64> {
        match &self.body {
            Source::Wire(body) => body.size_hint().exact(),
            Source::Whole(body) => Some(body.len() as u64),
        }
    }

    /// How much of it was read.
    pub(crate) fn received(&self) -> u64 {
        self.received
    }

    /// The whole body, under a cap of bytes, one deadline for all of it, and at no less than the slowest pace. What is
    /// too large to be held is written away while it comes.
    pub(crate) async fn read(&mut self, limit: u64, doorway: &Doorway) -> Result<Body, Refusal> {
        let Doorway { limits, clock, tasks, blobs, .. } = doorway;
        if self.ended {
            return Ok(Body::Held(Bytes::new()));
        }
        self.awaits_word = false;
        let wire = match &mut self.body {
            Source::Wire(wire) => wire,
            Source::Whole(body) => {
                self.ended = true;
                self.received = body.len() as u64;
                return Ok(Body::Held(std::mem::take(body)));
            }
        };
        let mut gathering = Gathering::new(Some(Arc::clone(blobs)));
        // When it first had to wait: most bodies are there at once.
        let mut began = None;
        loop {
            let earned = Duration::from_millis(self.received.saturating_mul(1_000) / limits.body_rate.max(1));
            let allowed = limits.body_grace.saturating_add(earned).min(limits.body_timeout);
            // Asked when the next piece is not there yet.
            let left = || {
                let now = clock.monotonic();
                allowed.saturating_sub(now.saturating_duration_since(*began.get_or_insert(now)))
            };
            let data = match clock.timeout_of(left, wire.frame()).await {
                Ok(Some(Ok(frame))) => frame.into_data(),
                Ok(None) => break,
                // Who breaks off, or is that slow, is not listened to any longer.
                Ok(Some(Err(_))) => {
                    self.ended = true;
                    return Err(Refusal::Malformed);
                }
                Err(_) => {
                    self.ended = true;
                    return Err(Refusal::BodyTooSlow);
                }
            };
            let Ok(data) = data else { continue };
            self.received += data.len() as u64;
            if self.received > limit {
                return Err(Refusal::BodyTooLarge(limit));
            }
            if gathering.writes(data.len()) {
                let before = clock.monotonic();
                let writing = move || gathering.add(data).map(|()| gathering);
                // Boxed, as below: small bodies, which most are, have no room for it.
                gathering = Box::pin(tasks.blocking("spool", writing)).await.map_err(Refusal::Spool)?;
                // It is not the caller who is slow meanwhile.
                let wrote = clock.monotonic().saturating_duration_since(before);
                began = began.map(|began| began + wrote);
            } else {
                gathering.add(data).map_err(Refusal::Spool)?;
            }
            if !self.share.grow_to(gathering.room()) {
                return Err(Refusal::MemoryFull);
            }
        }
        self.ended = true;
        let body = if gathering.is_spooled() {
            Box::pin(tasks.blocking("spool", move || gathering.finish())).await
        } else {
            gathering.finish()
        };
        body.map_err(Refusal::Spool)
    }

    /// What is held of the body, to be enlarged for what becomes of it.
    pub(crate) fn share(&mut self) -> &mut Share {
        &mut self.share
    }

    /// What a refused caller may still be sending; `None` when it is not.
    pub(crate) fn unread(self) -> Option<impl Future<Output = ()> + Send + 'static> {
        let Source::Wire(mut body) = self.body else { return None };
        let reading = async move { while let Some(Ok(_)) = body.frame().await {} };
        (!self.ended && !self.awaits_word).then_some(reading)
    }
}

/// Reads and drops for up to a second.
pub(crate) async fn drain(unread: impl Future<Output = ()>, clock: Clock) {
    // Whether it ended or not, it was long enough.
    let (Ok(()) | Err(_)) = clock.timeout(DRAIN, unread).await;
}
