//! An event: a request that was verified and decoded, and what an expression reads of it as `webhook`.
//!
//! It never changes and is cheap to clone. The body is decoded once, at the door; everything else is built when it is
//! read, so what no flow reads costs nothing.

mod record;
mod sample;
mod scope;

pub use self::record::{EventRecord, RecordFault};
pub use self::sample::{Sample, SampleBody};

use crate::decoder::Decoded;
use crate::decoder::FilePart;
use crate::media_type::MediaType;
use crate::{Authenticated, Blob, Body, BodySpec, DecodeRefusal, Head, Means, ReplayId, Route};
use bytes::Bytes;
use hookflow_expr::Found;
use hookflow_text::{Json, weight};
use http::Method;
use std::fmt;
use std::sync::{Arc, OnceLock};

/// Who an event comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// A caller who passed the `auth` of a webhook, or of a `wait`.
    Caller,
    /// A `run` step of another flow.
    Run,
    /// An operator: a sample, a trial.
    Operator,
}

/// A verified, decoded request.
#[derive(Clone)]
pub struct Event(Arc<Parts>);

struct Parts {
    id: Arc<str>,
    origin: Origin,
    credential: Option<Arc<str>>,
    replay: Option<ReplayId>,
    head: Head,
    route: Route,
    spec: BodySpec,
    wire: Body,
    /// The body without its content encoding; the wire bytes when it had none.
    content: Body,
    value: Arc<Json>,
    /// What the value takes in memory.
    weight: usize,
    files: Vec<FilePart>,
    query: OnceLock<Arc<Json>>,
    raw: OnceLock<Found>,
    file_list: OnceLock<Arc<Json>>,
}

/// Guards 11 and 12: makes the event of a request that passed. Its `id` is the caller's to make.
///
/// # Errors
/// When the body is of a type that the webhook does not take, or is not what its type says.
pub fn decode(
    authenticated: Authenticated,
    spec: &BodySpec,
    route: Route,
    id: impl Into<Arc<str>>,
    means: &mut Means<'_>,
) -> Result<Event, DecodeRefusal> {
    let Authenticated { head, body, credential, replay } = authenticated;
    let proof = Proof { origin: Origin::Caller, credential, replay };
    let (content, decoded) = spec.decode(&head.headers, &body, means)?;
    Ok(Event::build(id.into(), proof, head, Came { wire: body, content, decoded }, spec.clone(), route))
}

/// What an event's origin is, and what proved it.
struct Proof {
    origin: Origin,
    credential: Option<Arc<str>>,
    replay: Option<ReplayId>,
}

/// A body and what became of it.
struct Came {
    wire: Body,
    content: Body,
    decoded: Decoded,
}

impl Event {
    fn build(id: Arc<str>, proof: Proof, head: Head, came: Came, spec: BodySpec, route: Route) -> Self {
        let Came { wire, content, decoded } = came;
        let query = OnceLock::new();
        let mut value = Arc::new(decoded.value);
        if content.is_empty() && matches!(head.method, Method::GET | Method::DELETE) {
            value = Arc::clone(query.get_or_init(|| query_of(&head)));
        }
        let Proof { origin, credential, replay } = proof;
        Self(Arc::new(Parts {
            id,
            origin,
            credential,
            replay,
            head,
            route,
            spec,
            wire,
            content,
            weight: weight(&value),
            value,
            files: decoded.files,
            query,
            raw: OnceLock::new(),
            file_list: OnceLock::new(),
        }))
    }

    /// Its ID.
    pub fn id(&self) -> &Arc<str> {
        &self.0.id
    }

    /// Who it comes from.
    pub fn origin(&self) -> Origin {
        self.0.origin
    }

    /// The ID of the flow it went to.
    pub fn flow(&self) -> &Arc<str> {
        &self.0.route.flow
    }

    /// Where it went.
    pub fn route(&self) -> &Route {
        &self.0.route
    }

    /// The head of the request, without what carried a secret.
    pub fn head(&self) -> &Head {
        &self.0.head
    }

    /// The name of the credential that passed.
    pub fn credential(&self) -> Option<&Arc<str>> {
        self.0.credential.as_ref()
    }

    /// The sender's own signed ID of the request: a second event with it is a duplicate.
    pub fn replay(&self) -> Option<&ReplayId> {
        self.0.replay.as_ref()
    }

    /// `webhook.body`.
    pub fn body(&self) -> &Arc<Json> {
        &self.0.value
    }

    /// Whether the values in the body have types of their own, as JSON's do; otherwise all are text.
    pub fn has_types(&self) -> bool {
        let parts = &self.0;
        !parts.wire.is_empty()
            && (parts.spec.format() == "json"
                || MediaType::of(&parts.head.headers).is_some_and(|media_type| media_type.is_json()))
    }

    /// The body as it was on the wire.
    pub fn wire_body(&self) -> &Body {
        &self.0.wire
    }

    /// The blobs that it names, each once: they have to be there as long as it is.
    pub fn blobs(&self) -> impl Iterator<Item = &Blob> {
        let Parts { wire, content, .. } = &*self.0;
        let wire = wire.spooled();
        let content = content.spooled().filter(|it| wire.is_none_or(|wire| wire.id() != it.id()));
        wire.into_iter().chain(content)
    }

    /// How many bytes of memory its body takes: those from the wire, what they were decompressed to, and the value they
    /// were decoded to, which is many times the text when it is made of small parts. What is spooled takes none.
    pub fn body_weight(&self) -> usize {
        let Parts { wire, content, weight, .. } = &*self.0;
        let held = |body: &Body| body.held().map_or(0, Bytes::len);
        let is_same = matches!((wire, content), (Body::Held(wire), Body::Held(content)) if wire.as_ptr() == content.as_ptr());
        held(wire) + if is_same { 0 } else { held(content) } + weight
    }

    /// `webhook.query`.
    pub fn query(&self) -> &Arc<Json> {
        self.0.query.get_or_init(|| query_of(&self.0.head))
    }
}

fn query_of(head: &Head) -> Arc<Json> {
    Arc::new(crate::properties::read_query(head.query.as_deref().unwrap_or_default()))
}

/// What a caller sent is not shown.
impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event")
            .field("id", &self.0.id)
            .field("flow", &self.0.route.flow)
            .field("origin", &self.0.origin)
            .field("credential", &self.0.credential)
            .field("head", &self.0.head)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
