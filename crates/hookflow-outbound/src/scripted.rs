//! A caller without a network, for tests whose every turn is to be the same each time.

use crate::{CallFault, CallFaultKind, Caller, Outgoing, Policy};
use bytes::Bytes;
use hookflow_runtime::Clock;
use http::{Request, Response};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// Answers calls in place of the network. What it gives may take its time.
pub type Script = Arc<
    dyn Fn(Request<Bytes>) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, CallFault>> + Send>>
        + Send
        + Sync,
>;

impl Caller {
    /// A caller that no connection leaves: a script answers.
    pub fn scripted(script: Script, clock: Clock) -> Self {
        let mut caller = Self::new(Policy::default(), clock);
        caller.script = Some(script);
        caller
    }

    /// What the script answers within the deadline, if there is one.
    pub(crate) async fn rehearse(
        &self,
        request: &Request<Outgoing>,
        deadline: Duration,
    ) -> Option<Result<Response<Bytes>, CallFault>> {
        let mut asked = Request::new(request.body().held().unwrap_or_default());
        asked.method_mut().clone_from(request.method());
        asked.uri_mut().clone_from(request.uri());
        asked.headers_mut().clone_from(request.headers());
        let answer = self.script.as_ref()?(asked);
        let fault =
            || CallFault { kind: CallFaultKind::Timeout, message: "no answer in time".into(), sent: true };
        Some(self.clock.timeout(deadline, answer).await.unwrap_or_else(|_| Err(fault())))
    }
}
