//! Redirects, for whoever asks for them. Each hop is a call like any other: judged, dialled and bounded anew.

use crate::{CallFault, CallFaultKind, Caller, Outgoing};
use bytes::Bytes;
use hookflow_trigger::Body;
use http::header::{AUTHORIZATION, COOKIE, LOCATION, PROXY_AUTHORIZATION};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri};
use std::time::Duration;
use url::Url;

/// The longest URL that a redirect may lead to.
const LONGEST_URL: usize = 8 << 10;
/// Who calls, which is nobody's affair at another origin. So is whatever is marked as sensitive.
const OF_THE_CALLER: [HeaderName; 3] = [AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION];

/// A redirect that is followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hop {
    /// The answer that asked for it.
    pub status: StatusCode,
    /// The method that it goes on with.
    pub method: Method,
    /// Where it leads.
    pub url: Uri,
}

impl Caller {
    /// Sends a request as [`Caller::send`] does and follows up to `most` redirects; what is answered then is the answer,
    /// whatever its status. The deadline covers all hops, and `hopping` hears of each before it leaves.
    pub async fn follow(
        &self,
        mut request: Request<Vec<Body>>,
        deadline: Duration,
        most: u8,
        hopping: &mut (dyn FnMut(Hop) + Send),
    ) -> Result<Response<Bytes>, CallFault> {
        let began = self.clock.monotonic();
        let mut left = deadline;
        for taken in 0..most {
            let answer = self.send(request.clone().map(Outgoing::new), left).await;
            let answer = answer.map_err(|fault| fault.after(taken))?;
            let Some(next) = redirected(&request, &answer).map_err(|fault| fault.after(taken))? else {
                return Ok(answer);
            };
            let (status, method, url) = (answer.status(), next.method().clone(), next.uri().clone());
            hopping(Hop { status, method, url });
            request = next;
            left = deadline.saturating_sub(self.clock.monotonic().saturating_duration_since(began));
        }
        self.send(request.map(Outgoing::new), left).await.map_err(|fault| fault.after(most))
    }
}

impl CallFault {
    /// The fault of a hop: the ones before it have been answered.
    fn after(self, taken: u8) -> Self {
        match taken {
            0 => self,
            1 => Self { message: format!("after a redirect, {}", self.message), sent: true, ..self },
            _ => Self { message: format!("after {taken} redirects, {}", self.message), sent: true, ..self },
        }
    }
}

/// The request that an answer asks for in place of the one it answers, if it does.
fn redirected(
    request: &Request<Vec<Body>>,
    answer: &Response<Bytes>,
) -> Result<Option<Request<Vec<Body>>>, CallFault> {
    let keeps_body = match answer.status() {
        StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND | StatusCode::SEE_OTHER => false,
        StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT => true,
        _ => return Ok(None),
    };
    let Some(location) = answer.headers().get(LOCATION) else { return Ok(None) };
    let (uri, leaves) = target(request.uri(), location.as_bytes()).map_err(|why| {
        let host = request.uri().authority().map_or("", |authority| authority.as_str());
        let message = format!("{host}: it redirects to {why}");
        CallFault { kind: CallFaultKind::Refused, message, sent: true }
    })?;
    let mut next = request.clone();
    *next.uri_mut() = uri;
    if !keeps_body {
        next.body_mut().clear();
        if next.method() != Method::HEAD {
            *next.method_mut() = Method::GET;
        }
    }
    let headers = next.headers_mut();
    let is_left = |headers: &HeaderMap, name: &HeaderName| {
        let sensitive = headers.get_all(name).iter().any(HeaderValue::is_sensitive);
        (!keeps_body && name.as_str().starts_with("content-"))
            || (leaves && (sensitive || OF_THE_CALLER.contains(name)))
    };
    let left: Vec<_> = headers.keys().filter(|name| is_left(headers, name)).cloned().collect();
    for name in left {
        headers.remove(name);
    }
    Ok(Some(next))
}

/// Where a `Location` leads, and whether to another origin; else the end of a sentence that begins with "it redirects to".
fn target(from: &Uri, location: &[u8]) -> Result<(Uri, bool), String> {
    let unreadable = || "what is no URL".to_owned();
    let from = Url::parse(&from.to_string()).map_err(|_| unreadable())?;
    if location.len() > LONGEST_URL {
        return Err(format!("a URL of more than {LONGEST_URL} bytes"));
    }
    let location = std::str::from_utf8(location).map_err(|_| unreadable())?;
    let mut to = from.join(location).map_err(|_| unreadable())?;
    to.set_fragment(None);
    match (from.scheme(), to.scheme()) {
        ("http", "http" | "https") | ("https", "https") => {}
        ("https", "http") => return Err("`http`, where anybody may listen, from `https`".into()),
        _ => return Err("another scheme than `http` and `https`".into()),
    }
    if !to.username().is_empty() || to.password().is_some() {
        return Err("a URL with a user name or password".into());
    }
    let uri: Uri = to.as_str().parse().map_err(|_| unreadable())?;
    Ok((uri, from.origin() != to.origin()))
}

#[cfg(test)]
mod tests;
