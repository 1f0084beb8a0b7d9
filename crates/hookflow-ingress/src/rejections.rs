//! The requests that were refused, for the operator: what came, and why it was not let in.
//!
//! They wait here for the store, which gets a slice of them now and then: no number of them makes it slow for those that are
//! let in. What comes faster is counted and left out, the oldest first. Nothing that may be a secret is kept: no body, no query, and of the headers only those that carry none. What strangers
//! send to no flow at all pushes out nothing but its own kind.

use hookflow_engine::Metrics;
use hookflow_runtime::{Clock, Heartbeats, Token};
use hookflow_store::{Rejected, Store};
use hookflow_text::{Code, Json};
use http::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderName, HeaderValue, TRANSFER_ENCODING,
    USER_AGENT,
};
use http::request::Parts;
use http::{Method, StatusCode, Uri};
use jiff::Timestamp;
use serde_json::json;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// How many wait in all.
const WAITING: usize = 1_000;
/// How many wait of one flow, or of those that are for none.
const WAITING_PER_FLOW: usize = 100;
/// How many the store gets at once.
const SLICE: usize = 100;
/// How long the store is left alone between two slices.
const BREATH: Duration = Duration::from_secs(1);
/// How long the last ones are written when the service ends.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// How much of a text is kept.
const LONGEST: usize = 512;
/// How much of a path is kept.
const LONGEST_PATH: usize = 200;
/// How many headers are shown, and which.
const HEADERS: usize = 6;
static SHOWN: [HeaderName; HEADERS] =
    [HOST, USER_AGENT, CONTENT_TYPE, CONTENT_ENCODING, CONTENT_LENGTH, TRANSFER_ENCODING];

/// The requests that were refused and are not in the store yet.
#[derive(Debug)]
pub struct Rejections {
    store: Arc<dyn Store>,
    metrics: Arc<Metrics>,
    clock: Clock,
    waiting: Mutex<VecDeque<Rejection>>,
    came: Notify,
}

/// A request that was refused.
#[derive(Debug)]
pub(crate) struct Rejection {
    pub(crate) at: Timestamp,
    pub(crate) request: String,
    pub(crate) ip: Option<IpAddr>,
    pub(crate) flow: Option<Arc<str>>,
    pub(crate) status: StatusCode,
    pub(crate) code: Code,
    pub(crate) reason: Option<String>,
    /// Unknown when the head could not be read.
    pub(crate) sketch: Option<Sketch>,
    /// Bytes of the body that came.
    pub(crate) received: u64,
}

/// What is kept of a head. Made of every request, so it copies nothing.
#[derive(Debug)]
pub(crate) struct Sketch {
    method: Method,
    uri: Uri,
    headers: [Option<HeaderValue>; HEADERS],
}

impl Sketch {
    pub(crate) fn of(parts: &Parts) -> Self {
        let headers = SHOWN.each_ref().map(|name| parts.headers.get(name).cloned());
        Self { method: parts.method.clone(), uri: parts.uri.clone(), headers }
    }

    pub(crate) fn method(&self) -> String {
        short(self.method.as_str(), LONGEST)
    }

    /// Without the query, and without the token of a run that waits.
    pub(crate) fn path(&self) -> String {
        match self.uri.path().split_once("/resume/") {
            Some((before, _)) => format!("{}/resume/…", short(before, LONGEST_PATH)),
            None => short(self.uri.path(), LONGEST_PATH),
        }
    }
}

impl Rejections {
    /// For a store.
    pub fn new(store: Arc<dyn Store>, metrics: Arc<Metrics>, clock: Clock) -> Self {
        Self { store, metrics, clock, waiting: Mutex::default(), came: Notify::new() }
    }

    /// Hands them to the store, a slice at a time, until shutdown begins. [`Rejections::flush`] writes what comes then.
    pub async fn keep_on(&self, heartbeats: &Heartbeats, mut soft: Token) {
        let heartbeat = heartbeats.register("rejections");
        loop {
            let slice_is_due = async {
                self.came.notified().await;
                self.clock.sleep(BREATH).await;
            };
            let go_on = heartbeat.wait(async {
                tokio::select! {
                    biased;
                    () = soft.wait() => false,
                    () = slice_is_due => true,
                }
            });
            if !go_on.await {
                return heartbeat.end();
            }
            if heartbeat.wait(self.write()).await {
                self.came.notify_one();
            }
        }
    }

    /// Hands all that wait to the store, when nobody is let in any more.
    pub async fn flush(&self) {
        let writing = async { while self.write().await {} };
        if self.clock.timeout(LAST_WORDS, writing).await.is_err() {
            tracing::warn!(target: "door", requests = self.lock().len(), "refused requests are not listed");
        }
    }

    /// Writes a slice, and returns whether there is more.
    async fn write(&self) -> bool {
        let (slice, more) = {
            let mut waiting = self.lock();
            let count = SLICE.min(waiting.len());
            let slice: Vec<_> = waiting.drain(..count).collect();
            (slice, !waiting.is_empty())
        };
        let kept = slice.iter().map(|it| Rejected { at: it.at, flow: it.flow.clone(), told: it.to_json() });
        if let Err(error) = self.store.keep_rejected(kept.collect()).await {
            self.metrics.unlisted(slice.len());
            tracing::warn!(target: "door", %error, requests = slice.len(), "refused requests are not listed");
        }
        more
    }

    /// Takes one more. One that has to go for it is counted.
    pub(crate) fn keep(&self, rejection: Rejection) {
        let mut waiting = self.lock();
        let mut alike = waiting.iter().enumerate().filter(|(_, other)| other.flow == rejection.flow);
        let oldest = alike.next().map(|(at, _)| at);
        let has_gone = if alike.count() + 1 >= WAITING_PER_FLOW {
            oldest.and_then(|at| waiting.remove(at))
        } else if waiting.len() >= WAITING {
            waiting.pop_front()
        } else {
            None
        };
        waiting.push_back(rejection);
        drop(waiting);
        self.came.notify_one();
        if has_gone.is_some() {
            self.metrics.unlisted(1);
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Rejection>> {
        // Nothing under the lock can panic half way.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The latest, newest first: of one flow, or of all.
    #[cfg(test)]
    pub(crate) fn latest(&self, flow: Option<&str>, limit: usize) -> Vec<Json> {
        let waiting = self.lock();
        let of = waiting.iter().rev().filter(|it| flow.is_none_or(|flow| it.flow.as_deref() == Some(flow)));
        of.take(limit).map(Rejection::to_json).collect()
    }
}

impl Rejection {
    fn to_json(&self) -> Json {
        let Self { at, request, ip, flow, status, code, reason, sketch, received } = self;
        let headers = sketch.iter().flat_map(|sketch| SHOWN.iter().zip(&sketch.headers));
        let headers: serde_json::Map<_, _> = headers
            .filter_map(|(name, value)| {
                Some((
                    name.to_string(),
                    short(&String::from_utf8_lossy(value.as_ref()?.as_bytes()), LONGEST).into(),
                ))
            })
            .collect();
        json!({
            "at": at.to_string(),
            "request": request,
            "ip": ip.map(|ip| ip.to_string()),
            "flow": flow.as_deref(),
            "status": status.as_u16(),
            "code": code.0,
            "reason": reason.as_deref().map(|reason| short(reason, LONGEST)),
            "method": sketch.as_ref().map(Sketch::method),
            "path": sketch.as_ref().map(Sketch::path),
            "headers": headers,
            "received": received,
        })
    }
}

/// The beginning of a text, on one line.
fn short(text: &str, longest: usize) -> String {
    text.chars().filter(|c| !c.is_control()).take(longest).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use hookflow_runtime::Tasks;
    use hookflow_store::backends::in_memory;
    use prometheus_client::registry::Registry;

    fn rejection(n: usize, flow: Option<&str>) -> Rejection {
        Rejection {
            at: Timestamp::UNIX_EPOCH,
            request: n.to_string(),
            ip: None,
            flow: flow.map(Arc::from),
            status: StatusCode::NOT_FOUND,
            code: Code("route.unknown"),
            reason: None,
            sketch: None,
            received: 0,
        }
    }

    fn bench() -> (Arc<Rejections>, Registry, Clock) {
        let (clock, mut registry) = (Clock::turned(Timestamp::UNIX_EPOCH), Registry::default());
        let metrics = Arc::new(Metrics::new(&mut registry));
        (Arc::new(Rejections::new(in_memory(), metrics, clock.clone())), registry, clock)
    }

    fn unlisted(registry: &Registry) -> Option<usize> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, registry).unwrap();
        let line = text.lines().find_map(|it| it.strip_prefix("hookflow_requests_refused_unlisted_total "));
        line.and_then(|count| count.parse().ok())
    }

    #[test]
    fn the_latest_wait_of_each_flow_and_in_all() {
        let (rejections, registry, _) = bench();
        rejections.keep(rejection(0, Some("shop")));
        for n in 0..5_000 {
            rejections.keep(rejection(n, None));
        }
        assert_eq!(unlisted(&registry), Some(5_000 - WAITING_PER_FLOW), "who has to go is counted");
        assert_eq!(
            rejections.latest(None, usize::MAX).len(),
            WAITING_PER_FLOW + 1,
            "noise pushes nothing out"
        );
        assert_eq!(rejections.latest(None, 1)[0]["request"], "4999");
        assert_eq!(rejections.latest(Some("shop"), 10).len(), 1);
        for n in 0..5_000 {
            rejections.keep(rejection(n, Some(&format!("f{}", n % 50))));
        }
        assert_eq!(rejections.latest(None, usize::MAX).len(), WAITING);
        assert_eq!(rejections.latest(Some("f7"), 3).len(), 3);
        assert!(rejections.latest(Some("shop"), 10).is_empty(), "the oldest goes first");
    }

    #[tokio::test]
    async fn the_store_gets_a_slice_at_a_time() {
        let (rejections, _, clock) = bench();
        let (tasks, heartbeats) = (Tasks::new(clock.clone()), Heartbeats::new(clock.clone()));
        let (keeping, soft) = (Arc::clone(&rejections), tasks.soft());
        tasks.spawn("rejections", async move { keeping.keep_on(&heartbeats, soft).await });
        for n in 0..300 {
            rejections.keep(rejection(n, Some(&format!("f{}", n % 5))));
        }
        let listed = async || rejections.store.rejected(None, None, 1_000).await.unwrap().rejected;
        assert!(listed().await.is_empty(), "nothing is written at the door");
        for written in [100, 200, 300] {
            while listed().await.len() < written {
                assert_eq!(listed().await.len(), written - 100, "a slice for each turn of the clock");
                clock.advance(BREATH / 4);
                tokio::task::yield_now().await;
            }
        }
        assert_eq!(listed().await[0].told["request"], "299");
        assert_eq!(tasks.drain(BREATH).await, Vec::<&str>::new());
        rejections.keep(rejection(300, None));
        rejections.flush().await;
        assert_eq!(listed().await.len(), 301, "the last ones are written at the end");
    }
}
