//! Who may call the ops listener, judged before any endpoint is looked for.
//!
//! A page in the operator's browser can make requests to loopback too. What it cannot do is choose the `Host` (so a
//! name that somebody pointed at this machine is refused), hide its `Origin`, or know the token.

use crate::console::Desk;
use crate::problem::problem;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use hookflow_text::{Code, Secret};
use sha2::{Digest as _, Sha256};
use std::net::IpAddr;
use std::sync::Arc;
use subtle::ConstantTimeEq as _;

/// The address at our end of a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Local(pub(crate) IpAddr);

/// Lets a request through to its endpoint, or refuses it.
pub(crate) async fn gate(State(desk): State<Arc<Desk>>, request: Request, next: Next) -> Response {
    let local = request.extensions().get::<Local>().copied();
    let authority = request.uri().authority().map(|authority| authority.as_str().to_owned());
    let host = only(request.headers(), header::HOST);
    let hosts = [authority.as_deref(), host];
    let ours = |host: &str| is_ours(host, local, &desk.hosts);
    if hosts.iter().all(Option::is_none) || !hosts.into_iter().flatten().all(ours) {
        let title = "This is not the address of the service; further names are listed in `ops.hosts`";
        return problem(StatusCode::MISDIRECTED_REQUEST, Code("ops.host"), title);
    }
    let safe = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let origin = request.headers().get(header::ORIGIN);
    if !safe && origin.is_some_and(|origin| !is_same(origin, host)) {
        return problem(StatusCode::FORBIDDEN, Code("ops.origin"), "Another site may change nothing here");
    }
    if desk.token.as_ref().is_some_and(|token| !carries(request.headers(), token)) {
        let mut refused =
            problem(StatusCode::UNAUTHORIZED, Code("ops.token"), "The ops token is missing or wrong");
        refused.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        return refused.into_response();
    }
    next.run(request).await
}

/// A header that came exactly once, as text.
fn only(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

/// Whether a `Host` names this listener: its own address, `localhost` or a listed name, with any port.
fn is_ours(host: &str, local: Option<Local>, listed: &[String]) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    let own =
        local.zip(bare.parse().ok()).is_some_and(|(Local(own), ip): (_, IpAddr)| own == ip.to_canonical());
    own || name.eq_ignore_ascii_case("localhost")
        || listed.iter().any(|other| other.eq_ignore_ascii_case(name))
}

/// Whether an `Origin` is this listener, as the caller knows it.
fn is_same(origin: &HeaderValue, host: Option<&str>) -> bool {
    let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
    origin.zip(host).is_some_and(|((_, origin), host)| origin.eq_ignore_ascii_case(host))
}

/// Whether the token came. Digests of both are compared, so that neither its bytes nor its length can be timed.
fn carries(headers: &HeaderMap, token: &Secret) -> bool {
    let sent = only(headers, header::AUTHORIZATION).and_then(|value| value.split_once(' '));
    let Some((scheme, sent)) = sent else { return false };
    let equal = Sha256::digest(sent.trim().as_bytes()).ct_eq(&Sha256::digest(token.expose()));
    scheme.eq_ignore_ascii_case("bearer") && bool::from(equal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_names_are_ours() {
        let local = Some(Local([10, 0, 0, 7].into()));
        let listed = ["ops.example".to_owned()];
        let cases = [
            ("10.0.0.7:8081", true),
            ("10.0.0.7", true),
            ("[::ffff:10.0.0.7]:8081", true),
            ("localhost:8081", true),
            ("LocalHost", true),
            ("OPS.example:443", true),
            ("10.0.0.8:8081", false),
            ("127.0.0.1:8081", false),
            ("evil.example", false),
            ("localhost.evil.example", false),
            ("evil.example:localhost", false),
            ("ops.example.", false),
            ("", false),
            (":8081", false),
            ("[", false),
        ];
        for (host, ours) in cases {
            assert_eq!(is_ours(host, local, &listed), ours, "{host}");
        }
        assert!(is_ours("[::1]:8081", Some(Local("::1".parse().unwrap())), &[]));
        assert!(!is_ours("10.0.0.7", None, &[]));
    }
}
