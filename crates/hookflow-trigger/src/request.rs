//! What came in at the door, before anybody knows who sent it.

use crate::Body;
use http::{HeaderMap, Method};
use jiff::Timestamp;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

/// Everything of a request but its body.
#[derive(Clone)]
pub struct Head {
    /// As sent.
    pub method: Method,
    /// The whole path, as sent.
    pub path: String,
    /// What follows `?`, as sent.
    pub query: Option<String>,
    /// As sent.
    pub headers: HeaderMap,
    /// Where it came from, seen through trusted proxies.
    pub ip: IpAddr,
    /// When its head was whole.
    pub received_at: Timestamp,
    /// Our own public address, from the configuration; never the caller's `Host`.
    pub base_url: Arc<str>,
}

/// A request whose body has arrived. Nobody has judged it yet.
#[derive(Debug, Clone)]
pub struct Received {
    /// Everything but the body.
    pub head: Head,
    /// The bytes that were on the wire.
    pub body: Body,
}

impl Head {
    /// The URL under which the sender knows us: our own address, the path and the query as sent.
    pub fn url(&self) -> String {
        self.url_at(&self.base_url)
    }

    /// The same path and query at another address.
    pub(crate) fn url_at(&self, base_url: &str) -> String {
        let base_url = base_url.trim_end_matches('/');
        match &self.query {
            Some(query) => format!("{base_url}{}?{query}", self.path),
            None => format!("{base_url}{}", self.path),
        }
    }
}

/// Headers and the query may carry credentials, so they are not shown.
impl fmt::Debug for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Head")
            .field("method", &self.method)
            .field("path", &self.path)
            .field("ip", &self.ip)
            .field("received_at", &self.received_at)
            .finish_non_exhaustive()
    }
}
