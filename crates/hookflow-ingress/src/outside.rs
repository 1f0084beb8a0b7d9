//! What the door itself asks of senders: their certificates, and the URLs by which they want to be confirmed.

use bytes::Bytes;
use hookflow_outbound::{CallFault, CallFaultKind, Caller};
use http::{Request, Response};
use std::pin::Pin;
use std::time::Duration;

/// How long one answer may take.
const DEADLINE: Duration = Duration::from_secs(5);

/// Gets what is behind a URL, once. The product does so by the one dialer; redirects are answers.
pub trait Outside: Send + Sync {
    /// The whole answer, whatever its status.
    fn get<'u>(&'u self, url: &'u str) -> Getting<'u>;
}

/// An answer to come.
pub type Getting<'u> = Pin<Box<dyn Future<Output = Result<Response<Bytes>, CallFault>> + Send + 'u>>;

impl Outside for Caller {
    fn get<'u>(&'u self, url: &'u str) -> Getting<'u> {
        Box::pin(async move {
            let request = Request::get(url).body(Bytes::new()).map_err(|error| CallFault {
                kind: CallFaultKind::Refused,
                message: format!("it is no URL ({error})"),
                sent: false,
            })?;
            self.send(request, DEADLINE).await
        })
    }
}

#[cfg(test)]
pub(crate) mod shelf;
