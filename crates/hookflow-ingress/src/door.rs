//! The public listener: accepts connections until shutdown, within their limits.

use crate::certificates::Certificates;
use crate::connection::{self, turn_away};
use crate::delays::Delays;
use crate::memory::Memory;
use crate::origin::{TrustedProxies, subscriber};
use crate::outside::Outside;
use crate::rates::Rates;
use crate::receive::Arriving;
use crate::rejections::Rejections;
use crate::seats::Seats;
use crate::tls::Tls;
use crate::visits::Visits;
use bytes::Bytes;
use hookflow_engine::{Engine, Metrics};
use hookflow_runtime::{Chance, Clock, Heartbeats, Tasks, Token};
use hookflow_trigger::{Blobs, Event};
use http::{Request, Response};
use hyper::rt::Executor;
use hyper_util::rt::TokioTimer;
use hyper_util::server::conn::auto;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream, ToSocketAddrs};

/// How long to wait when the system has no socket left: accepting at once again would only spin.
const BREATH: Duration = Duration::from_millis(50);
/// How many who find no seat are kept before they hear so. Each takes a descriptor beside those who sit.
const TURNED_AWAY: usize = 1_000;
/// How many requests one HTTP/2 connection may have under way.
const STREAMS: u32 = 200;
/// How many of them a caller may take back before they are begun, and how many we may have to break off, before the
/// connection ends: both cost us more than the caller.
const RESETS: (usize, usize) = (20, 64);
/// How often a silent HTTP/2 connection is asked whether it is still there, and how long its answer may take.
const PING: (Duration, Duration) = (Duration::from_secs(20), Duration::from_secs(10));

/// What a stranger may take up before anybody knows who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DoorLimits {
    /// Connections in all.
    pub connections: usize,
    /// Connections from one address.
    pub connections_per_address: usize,
    /// Bytes of a request's head.
    pub header_bytes: usize,
    /// Fields in a request's head.
    pub header_count: usize,
    /// Bytes of all bodies that are being read, or whose requests are not answered.
    pub memory: u64,
    /// How long a head may take, and a connection be idle.
    pub header_timeout: Duration,
    /// How long a body may take.
    pub body_timeout: Duration,
    /// How many bytes of a body have to come in a second, all in all, after the grace.
    pub body_rate: u64,
    /// How long a body may be slower.
    pub body_grace: Duration,
    /// How many callers a second who find a queue full, and as many who find no seat, hear so at once.
    pub quick_refusals: u64,
    /// How long the others are kept before the answer. No more than half of all connections wait so in the first case.
    pub refusal_delay: Duration,
}

impl Default for DoorLimits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            connections_per_address: 1_000,
            header_bytes: 32 << 10,
            header_count: 100,
            memory: 256 << 20,
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            body_rate: 1 << 10,
            body_grace: Duration::from_secs(5),
            quick_refusals: 100,
            refusal_delay: Duration::from_millis(500),
        }
    }
}

/// What the door works with.
pub struct DoorParts {
    /// Takes the events.
    pub engine: Engine,
    /// Tells the time.
    pub clock: Clock,
    /// Names requests.
    pub chance: Chance,
    /// Runs the connections.
    pub tasks: Tasks,
    /// Hears that the door still accepts.
    pub heartbeats: Heartbeats,
    /// Counts.
    pub metrics: Arc<Metrics>,
    /// Whose word about a caller's address is taken.
    pub trusted_proxies: TrustedProxies,
    /// Speaks TLS; without it the door speaks plain HTTP.
    pub tls: Option<Arc<Tls>>,
    /// Keeps what is refused, for the operator.
    pub rejections: Arc<Rejections>,
    /// Fetches what verifying needs, and visits whom a sender asks to.
    pub outside: Arc<dyn Outside>,
    /// Takes what is too large for memory.
    pub blobs: Arc<dyn Blobs>,
}

/// The public door, not yet open.
pub struct Door(Arc<Doorway>);

/// What every connection shares.
pub(crate) struct Doorway {
    pub(crate) engine: Engine,
    pub(crate) clock: Clock,
    pub(crate) chance: Chance,
    pub(crate) tasks: Tasks,
    pub(crate) heartbeats: Heartbeats,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) limits: DoorLimits,
    pub(crate) http: auto::Builder<Streams>,
    pub(crate) soft: Token,
    pub(crate) trusted_proxies: TrustedProxies,
    pub(crate) tls: Option<Arc<Tls>>,
    pub(crate) rejections: Arc<Rejections>,
    pub(crate) rates: Rates,
    /// Of who finds a queue full.
    pub(crate) delays: Delays,
    /// Of who finds no seat.
    pub(crate) turned_away: Delays,
    pub(crate) certificates: Certificates,
    pub(crate) visits: Visits,
    pub(crate) memory: Arc<Memory>,
    pub(crate) blobs: Arc<dyn Blobs>,
    seats: Arc<Seats>,
}

/// The door with its address. It accepts once it serves; until then connections wait.
pub struct Bound {
    /// Where it listens: the port is never 0.
    pub addr: SocketAddr,
    listener: TcpListener,
    doorway: Arc<Doorway>,
}

/// Runs what HTTP/2 does beside a connection.
#[derive(Clone)]
pub(crate) struct Streams(Tasks);

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Streams {
    fn execute(&self, future: F) {
        self.0.spawn("http2", future);
    }
}

impl Door {
    /// A door that is still closed.
    pub fn new(parts: DoorParts, limits: DoorLimits) -> Self {
        let DoorParts {
            engine,
            clock,
            chance,
            tasks,
            heartbeats,
            metrics,
            trusted_proxies,
            tls,
            rejections,
            outside,
            blobs,
        } = parts;
        let certificates = Certificates::new(Arc::clone(&outside), clock.clone(), tasks.clone());
        let visits = Visits::new(outside, clock.clone(), tasks.clone());
        let http = http(&tasks, &limits);
        let seats = Seats::new(limits.connections, limits.connections_per_address);
        let memory = Memory::new(limits.memory);
        let soft = tasks.soft();
        let delays = |most| {
            Delays::new(limits.quick_refusals, limits.refusal_delay, most, clock.clone(), soft.clone())
        };
        let (delays, turned_away) = (delays(limits.connections / 2), delays(TURNED_AWAY));
        Self(Arc::new(Doorway {
            engine,
            clock,
            chance,
            tasks,
            heartbeats,
            metrics,
            limits,
            http,
            soft,
            trusted_proxies,
            tls,
            rejections,
            rates: Rates::default(),
            delays,
            turned_away,
            certificates,
            visits,
            memory,
            blobs,
            seats,
        }))
    }

    /// Takes a request from within the program through every guard behind the wire, and waits for its answer.
    pub async fn take(&self, request: Request<Bytes>, ip: IpAddr) -> Response<Bytes> {
        let (parts, body) = request.into_parts();
        connection::take(&self.0, parts, Arriving::whole(body, self.0.memory.share()), ip).await
    }

    /// The same for an event whose sender nobody can stand in for: it has passed the guards before the queue's.
    pub async fn take_event(&self, event: Event) -> Response<Bytes> {
        connection::take_event(&self.0, event).await
    }

    /// Takes the address.
    ///
    /// # Errors
    /// When the system does not give it.
    pub async fn bind(self, addr: impl ToSocketAddrs) -> io::Result<Bound> {
        let listener = TcpListener::bind(addr).await?;
        Ok(Bound { addr: listener.local_addr()?, listener, doorway: self.0 })
    }
}

fn http(tasks: &Tasks, limits: &DoorLimits) -> auto::Builder<Streams> {
    let mut http = auto::Builder::new(Streams(tasks.clone()));
    // The wire watches heads by itself, so the library's own limits only have to lie beyond.
    // Who closes one side behind a request still hears the answer, and its event is taken.
    http.http1()
        .half_close(true)
        .header_read_timeout(None)
        .max_buf_size(limits.header_bytes.saturating_mul(2).max(256 << 10));
    if limits.header_count > 100 {
        http.http1().max_headers(limits.header_count);
    }
    http.http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PING.0)
        .keep_alive_timeout(PING.1)
        .max_concurrent_streams(STREAMS)
        .max_pending_accept_reset_streams(RESETS.0)
        .max_local_error_reset_streams(RESETS.1)
        .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX));
    http
}

impl Bound {
    /// Accepts until shutdown begins. The connections are tasks of their own: answers under way are still sent.
    pub async fn serve(self) {
        let heartbeat = self.doorway.heartbeats.register("door");
        let mut soft = self.doorway.tasks.soft();
        if let Some(tls) = &self.doorway.tls {
            let Doorway { clock, heartbeats, soft, .. } = &*self.doorway;
            let watch =
                Arc::clone(tls).watch(clock.clone(), soft.clone(), heartbeats.register("certificate"));
            self.doorway.tasks.spawn("certificate", watch);
        }
        loop {
            let accepted = tokio::select! {
                biased;
                () = soft.wait() => break,
                accepted = heartbeat.wait(self.listener.accept()) => accepted,
            };
            match accepted {
                Ok((stream, peer)) => self.receive(stream, peer),
                Err(error) => {
                    tracing::warn!(target: "door", %error, "no connection could be accepted");
                    self.doorway.clock.sleep(BREATH).await;
                }
            }
        }
        heartbeat.end();
    }

    fn receive(&self, stream: TcpStream, peer: SocketAddr) {
        let ip = peer.ip().to_canonical();
        let doorway = Arc::clone(&self.doorway);
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(target: "door", %ip, %error, "a connection was gone at once");
            return;
        }
        // All callers behind a proxy come from its address, so it is bound by the seats in all only.
        let caller = (!doorway.trusted_proxies.trusts(ip)).then(|| subscriber(ip));
        match self.doorway.seats.take(caller) {
            Some(seat) => {
                self.doorway.tasks.spawn("connection", connection::serve(doorway, stream, ip, seat));
            }
            None => self.doorway.tasks.spawn("turned away", turn_away(doorway, stream, ip)),
        }
    }
}

#[cfg(test)]
mod tests;
