//! Signing what leaves: with a credential in force now, as its sender would, each try anew.

use crate::engine::Inner;
use crate::integrations::content;
use hookflow_flow::HttpCall;
use hookflow_outbound::Outgoing;
use hookflow_trigger::{Event, Head};
use http::{Request, Uri};
use std::net::Ipv4Addr;
use std::sync::Arc;

/// The largest body that is signed: it is in memory for that.
const MOST: u64 = 10 << 20;

/// The request with its signature, when its call says that it has one.
///
/// # Errors
/// Why it cannot be signed.
pub(super) async fn signed(
    engine: &Inner,
    call: &HttpCall,
    event: &Event,
    mut request: Request<Outgoing>,
) -> Result<Request<Outgoing>, String> {
    let Some(name) = &call.sign else { return Ok(request) };
    let credentials = engine.versions.credentials();
    let credential = credentials.get(name).map(Arc::clone);
    let credential = credential.ok_or_else(|| format!("there is no credential `{name}` any more"))?;
    if call.body.len() > MOST {
        return Err(format!("it cannot be signed: its body has more than {} MiB", MOST >> 20));
    }
    let content = content(call, event)?;
    let uri = request.uri().clone();
    let base_url =
        format!("{}://{}", uri.scheme_str().unwrap_or("https"), uri.authority().map_or("", |it| it.as_str()));
    let now = engine.clock.now();
    let mut head = Head {
        method: request.method().clone(),
        path: uri.path().to_owned(),
        query: uri.query().map(str::to_owned),
        headers: request.headers().clone(),
        ip: Ipv4Addr::LOCALHOST.into(),
        received_at: now,
        base_url: base_url.into(),
    };
    // Reading and hashing take their time, so they are done beside the threads that serve connections.
    let head = engine.tasks.blocking("sign", move || {
        let mut body = Vec::new();
        for piece in &content {
            body.extend_from_slice(&piece.whole().map_err(|fault| fault.to_string())?);
        }
        let signed = credential.sign(&mut head, &body, now);
        signed.map(|()| head).map_err(|why| why.to_string())
    });
    let head = head.await.map_err(|why| format!("it cannot be signed: {why}"))?;
    *request.headers_mut() = head.headers;
    if head.query.as_deref() != uri.query() {
        let target = format!("{}?{}", head.path, head.query.unwrap_or_default());
        let mut parts = uri.into_parts();
        parts.path_and_query = Some(target.parse().map_err(|_| "it cannot be signed".to_owned())?);
        *request.uri_mut() = Uri::from_parts(parts).map_err(|_| "it cannot be signed".to_owned())?;
    }
    Ok(request)
}
