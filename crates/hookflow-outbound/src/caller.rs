//! One call: a request goes out, and within the deadline comes its whole answer or a fault.

use crate::dialer::{DialFault, Dialer};
use crate::{CallFault, CallFaultKind, Outgoing, Policy};
use bytes::Bytes;
use hookflow_runtime::Clock;
use http::header::{PROXY_AUTHORIZATION, USER_AGENT};
use http::uri::Scheme;
use http::{HeaderValue, Request, Response, StatusCode, Uri, Version};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Body, Incoming};
use hyper_util::client::legacy::connect::capture_connection;
use hyper_util::client::legacy::{self, Client};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// How often a connection of HTTP/2 is asked whether it still lives.
const PING: Duration = Duration::from_secs(20);

const NAME: HeaderValue = HeaderValue::from_static(concat!("hookflow/", env!("CARGO_PKG_VERSION")));
/// What the product's public listener serves.
const PUBLIC_PATHS: [&str; 2] = ["/hook/", "/resume/"];

/// Performs calls and keeps their connections. Cheap to clone; clones share connections.
#[derive(Clone)]
pub struct Caller {
    /// For the paths that the product's public listener serves …
    public_paths: Client<Dialer, Outgoing>,
    /// … and for all others. Two pools, because a pooled connection does not know what it was opened for.
    other_paths: Client<Dialer, Outgoing>,
    policy: Arc<Policy>,
    pub(crate) clock: Clock,
    #[cfg(feature = "scripted")]
    pub(crate) script: Option<crate::Script>,
}

impl Caller {
    /// A caller with no connections yet.
    pub fn new(policy: Policy, clock: Clock) -> Self {
        let policy = Arc::new(policy);
        let client =
            |public_path| client(&policy, Dialer::new(Arc::clone(&policy), public_path, clock.clone()));
        Self {
            public_paths: client(true),
            other_paths: client(false),
            policy,
            clock,
            #[cfg(feature = "scripted")]
            script: None,
        }
    }

    /// Sends a request with an absolute URL once and reads the whole answer, whatever its status; redirects are answers
    /// ([`Caller::follow`] follows them).
    /// The deadline covers everything. The caller's future may be dropped at any time.
    pub async fn send(
        &self,
        request: Request<impl Into<Outgoing>>,
        deadline: Duration,
    ) -> Result<Response<Bytes>, CallFault> {
        let mut request = request.map(Into::into);
        let host = checked_host(request.uri())?;
        #[cfg(feature = "scripted")]
        if let Some(answered) = self.rehearse(&request, deadline).await {
            return answered;
        }
        let path = request.uri().path();
        let public_path = PUBLIC_PATHS.iter().any(|prefix| path.starts_with(prefix));
        let client = if public_path { &self.public_paths } else { &self.other_paths };

        // The version is the connection's affair.
        *request.version_mut() = Version::HTTP_11;
        request.headers_mut().entry(USER_AGENT).or_insert(NAME);
        let by_proxy = self.tell_proxy(&mut request);
        let connection = capture_connection(&mut request);
        let answered = self.clock.timeout(deadline, self.exchange(client.request(request))).await;
        let (kind, why) = match answered {
            Ok(Ok(response))
                if by_proxy && response.status() == StatusCode::PROXY_AUTHENTICATION_REQUIRED =>
            {
                // It has not gone further than to the proxy.
                return Err(CallFault {
                    kind: CallFaultKind::Connect,
                    message: format!("{host}: the proxy wants to know who calls, or somebody else"),
                    sent: false,
                });
            }
            Ok(Ok(response)) => return Ok(response),
            Ok(Err(cut)) => cut,
            Err(_) => (CallFaultKind::Timeout, format!("no complete answer within {deadline:?}")),
        };
        // The dialer's faults come before anything is sent, or after a closed connection gave the request back.
        let dialling = matches!(kind, CallFaultKind::Connect | CallFaultKind::Tls | CallFaultKind::Refused);
        // The metadata is set just before the request is handed to a connection.
        let sent = !dialling && connection.connection_metadata().is_some();
        Err(CallFault { kind, message: format!("{host}: {why}"), sent })
    }

    /// Whether the request itself is what the proxy gets; then it says who asks.
    fn tell_proxy(&self, request: &mut Request<Outgoing>) -> bool {
        let uri = request.uri();
        let proxy = self.policy.proxy.as_ref();
        let proxy = proxy.filter(|proxy| uri.scheme() == Some(&Scheme::HTTP) && proxy.serves(uri));
        if let Some(authorization) = proxy.and_then(|proxy| proxy.authorization.clone()) {
            request.headers_mut().insert(PROXY_AUTHORIZATION, authorization);
        }
        proxy.is_some()
    }

    async fn exchange(
        &self,
        answer: legacy::ResponseFuture,
    ) -> Result<Response<Bytes>, (CallFaultKind, String)> {
        let (parts, body) = answer.await.map_err(|error| why_no_answer(&error))?.into_parts();
        let body = self.read(body).await?;
        Ok(Response::from_parts(parts, body))
    }

    /// The one place that reads a response's body.
    #[expect(clippy::disallowed_methods, reason = "limited just before")]
    async fn read(&self, body: Incoming) -> Result<Bytes, (CallFaultKind, String)> {
        let limit = self.policy.response_bytes;
        let too_large =
            || (CallFaultKind::TooLarge, format!("the response's body is larger than {limit} bytes"));
        // What the content length promises, if there is one and a body may follow.
        if body.size_hint().lower() > limit {
            return Err(too_large());
        }
        match Limited::new(body, usize::try_from(limit).unwrap_or(usize::MAX)).collect().await {
            Ok(whole) => Ok(whole.to_bytes()),
            Err(error) if error.is::<LengthLimitError>() => Err(too_large()),
            Err(error) => Err((
                CallFaultKind::Protocol,
                format!("the response broke off ({})", root_cause(error.as_ref())),
            )),
        }
    }
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller").field("response_bytes", &self.policy.response_bytes).finish_non_exhaustive()
    }
}

fn client(policy: &Policy, dialer: Dialer) -> Client<Dialer, Outgoing> {
    // The client's own tasks are its connections: they end when the last clone of it is gone.
    Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(policy.idle_timeout)
        .pool_max_idle_per_host(policy.idle)
        .http2_keep_alive_interval(PING)
        .build(dialer)
}

/// Host and port, for messages, of a URL that can be called.
fn checked_host(uri: &Uri) -> Result<String, CallFault> {
    let refused =
        |why: &str| Err(CallFault { kind: CallFaultKind::Refused, message: why.to_owned(), sent: false });
    let known = uri.scheme().is_some_and(|scheme| *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS);
    let (true, Some(authority)) = (known, uri.authority()) else {
        return refused("a URL begins with http:// or https:// and a host");
    };
    if authority.as_str().contains('@') {
        return refused("a URL holds no user name or password; use an Authorization header");
    }
    if authority.host().is_empty() {
        return refused("the URL has no host");
    }
    Ok(authority.to_string())
}

fn why_no_answer(error: &legacy::Error) -> (CallFaultKind, String) {
    match error.source().and_then(|source| source.downcast_ref::<DialFault>()) {
        Some(fault) => (fault.kind, fault.message.clone()),
        None => (CallFaultKind::Protocol, format!("no answer in HTTP ({})", root_cause(error))),
    }
}

/// The innermost error: the ones around it say only that there is one.
fn root_cause(error: &dyn Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

#[cfg(test)]
mod tests;
