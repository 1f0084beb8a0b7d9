//! What is remembered of a try beside its outcome. It goes into the store with the try's fact, masked.

use super::Away;
use crate::engine::Inner;
use crate::integrations::Outside;
use crate::ticket::Accepted;
use bytes::Bytes;
use hookflow_flow::{
    ATTEMPT_BODY, Ask, Attempt, Fact, HttpCall, Outcome, SentHop, SentRequest, UnreadAnswer, transactional_id,
};
use hookflow_outbound::Hop;
use http::Response;
use jiff::Timestamp;

impl Inner {
    /// A fact of a call that nothing was heard of, or that never left.
    pub(crate) fn untold(&self, accepted: &Accepted, ask: &Ask, call: &HttpCall, fact: Fact) -> Fact {
        let outside = self.integrations.of(call).ok().flatten();
        fact.tried(started(accepted, ask, call, outside.as_deref(), ask.not_before.unwrap_or(ask.at)))
    }
}

/// A try that is about to leave.
pub(super) fn started(
    accepted: &Accepted,
    ask: &Ask,
    call: &HttpCall,
    outside: Option<&Outside>,
    began_at: Timestamp,
) -> Attempt {
    let request = match Outside::request(call, outside) {
        Ok(sent) => SentRequest::masked(sent.method(), &sent.uri().to_string(), sent.headers(), sent.body()),
        Err(_) => SentRequest::masked(&call.method, &call.url.to_string(), &call.headers, &call.body),
    };
    let id = || transactional_id(&accepted.run, &accepted.seed, &ask.place).into();
    Attempt {
        step: ask.step.clone(),
        integration: call.via.as_ref().map(|via| via.integration.clone()),
        webhook: call.via.as_ref().and_then(|via| via.webhook.clone()),
        transactional_id: call.transactional.then(id),
        began_at,
        took_ms: None,
        ok: false,
        request,
        hops: Vec::new(),
        answer: None,
    }
}

impl Away {
    /// The try is redirected.
    pub(super) fn hops(&self, hop: &Hop) {
        let hop = SentHop::masked(hop.status.as_u16(), &hop.method, &hop.url);
        self.learns(|attempt| attempt.hops.push(hop));
    }

    /// The outcome of an answer. One that cannot be read is remembered, for no outcome holds it; of a
    /// large one its beginning and its hash.
    pub(super) fn answered(&self, call: &HttpCall, answer: &Response<Bytes>) -> Outcome {
        let (status, headers, body) = (answer.status(), answer.headers(), answer.body());
        let outcome = call.answered(status, headers, body);
        self.learns(|attempt| {
            attempt.ok = matches!(&outcome, Outcome::Answered { status, .. } if call.ok.contains(*status));
            if matches!(outcome, Outcome::Failed { .. }) || body.len() > ATTEMPT_BODY {
                attempt.answer = Some(UnreadAnswer::of(status.as_u16(), headers, body));
            }
        });
        outcome
    }
}
