//! The one way to open a connection: resolve, judge every address, connect to a judged one, then TLS. The pool asks for
//! connections by scheme and authority alone, so a dialer is made for one kind of path. Where there is a proxy it is
//! what is connected to, and the target is judged as far as it is known here.

use crate::address::{is_own, objection};
use crate::proxy::{Line, bare_host, is_address};
use crate::{CallFaultKind, Policy, Proxy};
use hookflow_runtime::Clock;
use http::Uri;
use http::uri::Scheme;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::rt::TokioIo;
use std::error::Error;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::TcpStream;
use tower_service::Service;

/// How many addresses of a name are tried.
const MAX_ADDRESSES: usize = 8;
/// How long a name is looked up whose address only the proxy needs: many who have one resolve no public names.
const PROXIED_LOOKUP: Duration = Duration::from_secs(1);

/// Says which addresses a name has, each time anew.
type Names = fn(String, u16) -> Dialing<Vec<SocketAddr>>;

type Dialing<T> = Pin<Box<dyn Future<Output = Result<T, DialFault>> + Send>>;

/// Opens connections, within the policy's time.
#[derive(Clone)]
pub(crate) struct Dialer {
    tcp: JudgedTcp,
    /// Made for the first call that wants it: no start waits for the system's certificates.
    https: Arc<OnceLock<HttpsConnector<JudgedTcp>>>,
    policy: Arc<Policy>,
    clock: Clock,
}

/// Why there is no connection.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub(crate) struct DialFault {
    pub(crate) kind: CallFaultKind,
    /// The end of a sentence that begins with the host.
    pub(crate) message: String,
}

impl Dialer {
    /// `public_path`: for requests to paths that the product's public listener serves.
    pub(crate) fn new(policy: Arc<Policy>, public_path: bool, clock: Clock) -> Self {
        let names = of_the_system;
        let tcp = JudgedTcp { policy: Arc::clone(&policy), public_path, clock: clock.clone(), names };
        Self { tcp, https: Arc::default(), policy, clock }
    }

    async fn connect(&self, target: Uri) -> Result<MaybeHttpsStream<Line>, Box<dyn Error + Send + Sync>> {
        let mut tcp = self.tcp.clone();
        if target.scheme() == Some(&Scheme::HTTP) {
            return Ok(MaybeHttpsStream::Http(tcp.call(target).await?));
        }
        let https = self.https.get_or_init(|| {
            let builder = HttpsConnectorBuilder::new().with_tls_config(self.policy.tls.config());
            builder.https_or_http().enable_all_versions().wrap_connector(tcp)
        });
        https.clone().call(target).await
    }
}

impl Service<Uri> for Dialer {
    type Response = MaybeHttpsStream<Line>;
    type Error = DialFault;
    type Future = Dialing<Self::Response>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), DialFault>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, target: Uri) -> Self::Future {
        let this = self.clone();
        Box::pin(async move {
            let limit = this.policy.connect_timeout;
            match this.clock.timeout(limit, this.connect(target)).await {
                Ok(Ok(stream)) => Ok(stream),
                // What is not ours comes from the layer between: TLS.
                Ok(Err(error)) => Err(match error.downcast::<DialFault>() {
                    Ok(fault) => *fault,
                    Err(error) => {
                        DialFault { kind: CallFaultKind::Tls, message: format!("TLS failed: {error}") }
                    }
                }),
                Err(_) => Err(DialFault::connect(format!("no connection within {limit:?}"))),
            }
        })
    }
}

impl DialFault {
    fn connect(message: String) -> Self {
        Self { kind: CallFaultKind::Connect, message }
    }

    fn at_proxy(self) -> Self {
        Self { message: format!("at the proxy: {}", self.message), ..self }
    }

    fn refused(objection: &str) -> Self {
        Self { kind: CallFaultKind::Refused, message: format!("it is {objection}") }
    }
}

/// TCP to addresses that were judged.
#[derive(Clone)]
struct JudgedTcp {
    policy: Arc<Policy>,
    public_path: bool,
    clock: Clock,
    names: Names,
}

/// TCP to the proxy, wherever that is: the operator has named it. Only the product itself is no proxy.
#[derive(Clone)]
struct ToProxy {
    tcp: JudgedTcp,
    host: String,
    port: u16,
}

impl ToProxy {
    async fn connect(&self) -> Result<TokioIo<TcpStream>, DialFault> {
        let found = (self.tcp.names)(self.host.clone(), self.port).await;
        let mut found = found.map_err(DialFault::at_proxy)?;
        found.retain(|address| !is_own(&self.tcp.policy, *address));
        self.tcp.connect(found).await.map_err(DialFault::at_proxy)
    }
}

impl Service<Uri> for ToProxy {
    type Response = TokioIo<TcpStream>;
    type Error = DialFault;
    type Future = Dialing<Self::Response>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), DialFault>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let this = self.clone();
        Box::pin(async move { this.connect().await })
    }
}

/// What is not ours is the proxy's answer.
fn why_no_tunnel(error: &(dyn Error + 'static)) -> DialFault {
    let ours = error.source().and_then(|source| source.downcast_ref::<DialFault>());
    ours.cloned().unwrap_or_else(|| DialFault::connect(format!("the proxy does not connect to it ({error})")))
}

/// Names as the system resolves them.
fn of_the_system(host: String, port: u16) -> Dialing<Vec<SocketAddr>> {
    Box::pin(async move {
        let found = tokio::net::lookup_host((host, port)).await;
        let found = found.map_err(|error| DialFault::connect(format!("its name does not resolve ({error})")));
        Ok(found?.collect())
    })
}

impl Service<Uri> for JudgedTcp {
    type Response = Line;
    type Error = DialFault;
    type Future = Dialing<Self::Response>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), DialFault>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, target: Uri) -> Self::Future {
        let this = self.clone();
        Box::pin(async move {
            if let Some(proxy) = this.policy.proxy.as_ref().filter(|proxy| proxy.serves(&target)) {
                return this.by_proxy(proxy, target).await;
            }
            let found = this.look_up(&target).await?;
            // What was judged is what is connected to: the name is not asked again in between.
            let stream = this.connect(this.judge(found)?).await?;
            Ok(Line { stream, whole_urls: false })
        })
    }
}

impl JudgedTcp {
    /// The addresses of a URL's host.
    async fn look_up(&self, target: &Uri) -> Result<Vec<SocketAddr>, DialFault> {
        let usual = if target.scheme() == Some(&Scheme::HTTPS) { 443 } else { 80 };
        (self.names)(bare_host(target).to_owned(), target.port_u16().unwrap_or(usual)).await
    }

    /// A connection to the proxy, and through it for a target that wants TLS.
    async fn by_proxy(&self, proxy: &Proxy, target: Uri) -> Result<Line, DialFault> {
        self.judge_unseen(&target).await?;
        let to_proxy = ToProxy { tcp: self.clone(), host: proxy.host.clone(), port: proxy.port };
        if target.scheme() != Some(&Scheme::HTTPS) {
            return Ok(Line { stream: to_proxy.connect().await?, whole_urls: true });
        }
        let mut tunnel = Tunnel::new(Uri::default(), to_proxy);
        if let Some(authorization) = &proxy.authorization {
            tunnel = tunnel.with_auth(authorization.clone());
        }
        let stream = tunnel.call(target).await.map_err(|error| why_no_tunnel(&error))?;
        Ok(Line { stream, whole_urls: false })
    }

    /// The proxy finds the target's address. Whatever is known of it here is judged all the same: what can only be an
    /// address always, a name when it resolves here.
    async fn judge_unseen(&self, target: &Uri) -> Result<(), DialFault> {
        let looking_up = self.look_up(target);
        let found = if is_address(bare_host(target)) {
            looking_up.await?
        } else {
            let found = self.clock.timeout(PROXIED_LOOKUP, looking_up).await;
            found.ok().and_then(Result::ok).unwrap_or_default()
        };
        // Which of them the proxy takes is its choice.
        let objections = found.into_iter().filter_map(|it| objection(&self.policy, it, self.public_path));
        objections.map(|why| DialFault::refused(&why)).next().map_or(Ok(()), Err)
    }

    /// The addresses that may be called; a fault when there is none.
    fn judge(&self, found: impl IntoIterator<Item = SocketAddr>) -> Result<Vec<SocketAddr>, DialFault> {
        let mut refused = None;
        let mut open = Vec::new();
        for address in found {
            match objection(&self.policy, address, self.public_path) {
                None => open.push(address),
                Some(objection) => refused = refused.or(Some(objection)),
            }
        }
        match refused {
            Some(objection) if open.is_empty() => Err(DialFault::refused(&objection)),
            _ => Ok(open),
        }
    }

    /// One address after the other, each with its share of the time.
    async fn connect(&self, addresses: Vec<SocketAddr>) -> Result<TokioIo<TcpStream>, DialFault> {
        let tries = u32::try_from(addresses.len().clamp(1, MAX_ADDRESSES)).unwrap_or(1);
        let share = self.policy.connect_timeout / tries;
        let mut why = "its name has no address".to_owned();
        for address in addresses.into_iter().take(MAX_ADDRESSES) {
            match self.clock.timeout(share, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    // Without it a small request may wait for an acknowledgement; a failure costs just that.
                    drop(stream.set_nodelay(true));
                    return Ok(TokioIo::new(stream));
                }
                Ok(Err(error)) => why = format!("no connection to {address} ({error})"),
                Err(_) => why = format!("no connection to {address} within {share:?}"),
            }
        }
        Err(DialFault::connect(why))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::net::TcpListener;

    fn tcp(policy: Policy, names: Names) -> JudgedTcp {
        JudgedTcp { policy: Arc::new(policy), public_path: false, clock: Clock::system(), names }
    }

    /// How often the name was asked for.
    static ASKED: AtomicUsize = AtomicUsize::new(0);

    /// A name that is harmless when it is asked first, and something else each time after.
    fn rebound(_: String, port: u16) -> Dialing<Vec<SocketAddr>> {
        let answers = [["127.0.0.1", "127.0.0.1"], ["169.254.169.254", "10.0.0.1"], ["::1", "127.0.0.1"]];
        let nth = ASKED.fetch_add(1, Ordering::SeqCst);
        let found = answers[nth % 3].map(|ip| SocketAddr::new(ip.parse().unwrap(), port)).to_vec();
        Box::pin(async move { Ok(found) })
    }

    #[tokio::test]
    async fn a_name_that_changes_its_answer_is_judged_each_time() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let uri: Uri = format!("http://rebound.test:{port}/").parse().unwrap();
        let policy = Policy { allow: vec!["127.0.0.1/32".parse().unwrap()], ..Policy::default() };
        let mut tcp = tcp(policy, rebound);
        for turn in 0..2 {
            let first = tcp.call(uri.clone()).await.unwrap();
            assert_eq!(first.stream.inner().peer_addr().unwrap().ip().to_string(), "127.0.0.1");
            let fault = tcp.call(uri.clone()).await.err().unwrap();
            assert_eq!(fault.kind, CallFaultKind::Refused, "{}", fault.message);
            let third = tcp.call(uri.clone()).await.unwrap();
            assert_eq!(third.stream.inner().peer_addr().unwrap().ip().to_string(), "127.0.0.1", "not to ::1");
            assert_eq!(ASKED.load(Ordering::SeqCst), 3 * (turn + 1), "once for each connection");
        }
    }

    #[test]
    fn of_mixed_answers_only_the_permitted_are_dialled() {
        let policy = Policy { allow: vec!["10.1.0.0/16".parse().unwrap()], ..Policy::default() };
        let tcp = tcp(policy, of_the_system);
        let judge = |list: &[&str]| {
            tcp.judge(list.iter().map(|ip| SocketAddr::new(ip.parse().unwrap(), 80)))
                .map(|open| open.iter().map(|address| address.ip().to_string()).collect::<Vec<_>>())
                .map_err(|fault| (fault.kind, fault.message))
        };
        assert_eq!(
            judge(&["127.0.0.1", "1.1.1.1", "10.2.0.1", "10.1.0.1"]).unwrap(),
            ["1.1.1.1", "10.1.0.1"]
        );
        let (kind, message) = judge(&["127.0.0.1", "10.2.0.1"]).unwrap_err();
        assert_eq!(kind, CallFaultKind::Refused);
        assert_eq!(message, "it is 127.0.0.1, a loopback address, and no `allow` names its range");
        assert_eq!(judge(&[]).unwrap(), Vec::<String>::new());
    }
}
