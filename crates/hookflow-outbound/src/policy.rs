//! What calls may do: how far they reach and how much they take.

use crate::{Proxy, Tls};
use ipnet::IpNet;
use std::net::SocketAddr;
use std::time::Duration;

/// The rules of a [`crate::Caller`]. An integration with rules of its own has a caller of its own, and with it its own
/// connections: none is shared with whom it would be refused to.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Ranges that may be called although they are not public.
    pub allow: Vec<IpNet>,
    /// The product's own listeners for anybody, as bound. Never called, but for `/hook/` and `/resume/` when `allow`
    /// permits the address.
    pub public_listeners: Vec<SocketAddr>,
    /// The product's own listeners for operators, as bound. Never called.
    pub ops_listeners: Vec<SocketAddr>,
    /// The largest response body.
    pub response_bytes: u64,
    /// How long a connection may take: resolving, TCP and TLS together.
    pub connect_timeout: Duration,
    /// Whom to trust and what to show.
    pub tls: Tls,
    /// The proxy that calls go by.
    pub proxy: Option<Proxy>,
    /// How many unused connections are kept for each host; with none each call has its own.
    pub idle: usize,
    /// How long one is kept unused.
    pub idle_timeout: Duration,
}

impl Default for Policy {
    /// Public addresses only, 10 MiB, five seconds to connect, the system's trust, no proxy, 32 unused connections for 15
    /// seconds.
    fn default() -> Self {
        Self {
            allow: Vec::new(),
            public_listeners: Vec::new(),
            ops_listeners: Vec::new(),
            response_bytes: 10 << 20,
            connect_timeout: Duration::from_secs(5),
            tls: Tls::system(),
            proxy: None,
            idle: 32,
            // Shorter than most servers do, so that few calls meet a closed one.
            idle_timeout: Duration::from_secs(15),
        }
    }
}
