//! The requests that were refused lately, for the operator: what came, and why it was not let in.
//!
//! Nothing that may be a secret is kept: no body, no query, and of the headers only those that carry none. What strangers
//! send to no flow at all pushes out nothing but its own kind.

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

/// How many are kept in all.
const KEPT: usize = 1_000;
/// How many are kept of one flow, or of those that are for none.
const KEPT_PER_FLOW: usize = 100;
/// How much of a text is kept.
const LONGEST: usize = 512;
/// How much of a path is kept.
const LONGEST_PATH: usize = 200;
/// How many headers are shown, and which.
const HEADERS: usize = 6;
static SHOWN: [HeaderName; HEADERS] =
    [HOST, USER_AGENT, CONTENT_TYPE, CONTENT_ENCODING, CONTENT_LENGTH, TRANSFER_ENCODING];

/// The requests that were refused lately.
#[derive(Debug, Default)]
pub struct Rejections(Mutex<VecDeque<Arc<Rejection>>>);

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
    /// The latest, newest first: of one flow, or of all.
    pub fn latest(&self, flow: Option<&str>, limit: usize) -> Vec<Json> {
        let kept: Vec<_> = {
            let kept = self.lock();
            let wanted =
                kept.iter().rev().filter(|it| flow.is_none_or(|flow| it.flow.as_deref() == Some(flow)));
            wanted.take(limit).cloned().collect()
        };
        kept.iter().map(|rejection| rejection.to_json()).collect()
    }

    /// Forgets those from before a moment.
    pub fn forget_before(&self, moment: Timestamp) {
        self.lock().retain(|rejection| rejection.at >= moment);
    }

    pub(crate) fn keep(&self, rejection: Rejection) {
        let rejection = Arc::new(rejection);
        let mut kept = self.lock();
        let mut alike = kept.iter().enumerate().filter(|(_, other)| other.flow == rejection.flow);
        let oldest = alike.next().map(|(at, _)| at);
        if alike.count() + 1 >= KEPT_PER_FLOW {
            drop(oldest.and_then(|at| kept.remove(at)));
        } else if kept.len() >= KEPT {
            kept.pop_front();
        }
        kept.push_back(rejection);
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Arc<Rejection>>> {
        // Nothing under the lock can panic half way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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

    #[test]
    fn the_latest_are_kept_of_each_flow_and_in_all() {
        let rejections = Rejections::default();
        rejections.keep(rejection(0, Some("shop")));
        for n in 0..5_000 {
            rejections.keep(rejection(n, None));
        }
        assert_eq!(rejections.latest(None, usize::MAX).len(), KEPT_PER_FLOW + 1, "noise pushes nothing out");
        assert_eq!(rejections.latest(None, 1)[0]["request"], "4999");
        assert_eq!(rejections.latest(Some("shop"), 10).len(), 1);
        for n in 0..5_000 {
            rejections.keep(rejection(n, Some(&format!("f{}", n % 50))));
        }
        assert_eq!(rejections.latest(None, usize::MAX).len(), KEPT);
        assert_eq!(rejections.latest(Some("f7"), 3).len(), 3);
        assert!(rejections.latest(Some("shop"), 10).is_empty(), "the oldest goes first");
    }
    #[test]
    fn what_is_too_old_is_forgotten() {
        let rejections = Rejections::default();
        rejections.keep(rejection(0, None));
        rejections.forget_before(Timestamp::UNIX_EPOCH);
        assert_eq!(rejections.latest(None, 10).len(), 1);
        rejections.forget_before(Timestamp::from_second(1).unwrap());
        assert!(rejections.latest(None, 10).is_empty());
    }
}
