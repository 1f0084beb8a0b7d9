//! What leaves for a call: the request whole, with its files, and signed when it is to be, each try anew.

use crate::engine::Inner;
use crate::integrations::{Outside, filled};
use hookflow_flow::HttpCall;
use hookflow_trigger::{Body, Credential, Event, Head};
use http::{Request, Uri};
use jiff::Timestamp;
use std::net::Ipv4Addr;
use std::sync::Arc;

/// The largest body that is signed: it is in memory for that.
const MOST: u64 = 10 << 20;

/// What leaves.
///
/// # Errors
/// Why it cannot be sent.
pub(super) async fn leaving(
    engine: &Inner,
    call: &HttpCall,
    event: &Event,
    outside: Option<&Outside>,
) -> Result<Request<Vec<Body>>, String> {
    let mut request = filled(Outside::request(call, outside)?, event)?;
    if let Some(name) = &call.sign {
        let credential = engine.versions.credentials().get(name).map(Arc::clone);
        let credential = credential.ok_or_else(|| format!("there is no credential `{name}` any more"))?;
        let now = engine.clock.now();
        // Reading and hashing take their time, so they are done beside the threads that serve connections.
        request = engine.tasks.blocking("sign", move || signed(request, &credential, now)).await?;
    }
    Ok(request)
}

/// The request with what the credential's sender would add. Its body is read for that.
///
/// # Errors
/// Why it cannot be signed.
pub fn signed(
    mut request: Request<Vec<Body>>,
    credential: &Credential,
    now: Timestamp,
) -> Result<Request<Vec<Body>>, String> {
    let cannot = |why: String| format!("it cannot be signed: {why}");
    if request.body().iter().map(Body::len).sum::<u64>() > MOST {
        return Err(cannot(format!("its body has more than {} MiB", MOST >> 20)));
    }
    let mut body = Vec::new();
    for piece in request.body() {
        body.extend_from_slice(&piece.whole().map_err(|fault| cannot(fault.to_string()))?);
    }
    let uri = request.uri().clone();
    let base_url =
        format!("{}://{}", uri.scheme_str().unwrap_or("https"), uri.authority().map_or("", |it| it.as_str()));
    let mut head = Head {
        method: request.method().clone(),
        path: uri.path().to_owned(),
        query: uri.query().map(str::to_owned),
        headers: request.headers().clone(),
        ip: Ipv4Addr::LOCALHOST.into(),
        received_at: now,
        base_url: base_url.into(),
    };
    credential.sign(&mut head, &body, now).map_err(|why| cannot(why.to_string()))?;
    // What a signature is made of is as private as what it proves.
    for (name, value) in &mut head.headers {
        if request.headers().get(name) != Some(&*value) {
            value.set_sensitive(true);
        }
    }
    *request.headers_mut() = head.headers;
    if head.query.as_deref() != uri.query() {
        let target = format!("{}?{}", head.path, head.query.unwrap_or_default());
        let unfit = || cannot("its URL is too long".to_owned());
        let mut parts = uri.into_parts();
        parts.path_and_query = Some(target.parse().map_err(|_| unfit())?);
        *request.uri_mut() = Uri::from_parts(parts).map_err(|_| unfit())?;
    }
    Ok(request)
}
