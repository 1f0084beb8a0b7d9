//! What an authentication scheme is: how one kind of credential is loaded, checked and made.

use crate::headers::{NotOne, only_text};
use crate::properties;
use crate::{Blob, BlobFault, Body, Fetched, Head};
use bytes::Bytes;
use hookflow_text::{
    Code, Diagnostics, Fields, Json, Key, MapSchema, Node, NodeValue, Schema, Secret, SecretRef, SecretSource,
};
use http::HeaderValue;
use http::header::HeaderName;
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use std::borrow::Cow;
use std::fmt;
use std::time::Duration;
use subtle::{Choice, ConstantTimeEq as _};

/// The largest body that is read to find a proof in it: it is done before anybody is trusted.
pub(crate) const MAX_READ: usize = 1 << 20;
/// The largest spooled body that is taken into memory whole for a proof over all of it.
const MAX_WHOLE: u64 = 10 << 20;
/// Shorter secrets can be guessed: 16 random bytes are 128 bits, which no one tries through. What counts is the key, as it is
/// once a scheme has decoded it.
pub(crate) const SHORTEST_SECRET: usize = 16;

/// A kind of credential: one entry of the table in `auth_schemes.rs`.
pub struct AuthScheme {
    /// The word under `type:`.
    pub name: &'static str,
    /// One sentence for the documentation.
    pub summary: &'static str,
    /// A credential of this kind, as it stands in a file.
    pub example: &'static str,
    /// The ways of writing one: what stands beside `type` and what every credential may have.
    pub(crate) ways: &'static [MapSchema],
    /// Reads what stands beside `type:`.
    pub(crate) load: fn(&mut Fields<'_>, &Secrets<'_>, &mut Diagnostics) -> Option<Box<dyn Verifier>>,
}

impl fmt::Debug for AuthScheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthScheme").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A loaded credential's own part. `Debug` never shows a secret.
pub(crate) trait Verifier: Send + Sync + fmt::Debug {
    /// Judges what the head alone tells: a proof that needs no body is complete, any other is refused at once when it
    /// cannot pass whatever the body.
    fn verify_head(&self, head: &Head) -> Result<HeadProof, Reason>;

    /// Judges head and body; asked only after [`HeadProof::NeedsBody`].
    fn verify_body(
        &self,
        head: &Head,
        body: &[u8],
        now: Timestamp,
        fetched: &Fetched,
    ) -> Result<Option<ReplayId>, Reason>;

    /// The same for a body that is not in memory; who does not read it piece by piece gets it whole, up to a bound.
    fn verify_spooled(
        &self,
        head: &Head,
        body: &Blob,
        now: Timestamp,
        fetched: &Fetched,
    ) -> Result<Option<ReplayId>, Reason> {
        self.verify_body(head, &whole(body)?, now, fetched)
    }

    /// Whether it may need what has to be fetched, and then says [`Reason::NotFetched`].
    fn fetches(&self) -> bool {
        false
    }

    /// Adds what a right sender would add.
    fn sign(&self, head: &mut Head, body: &[u8], now: Timestamp) -> Result<(), CannotSign>;

    /// Where the secret itself travels: no flow, store or log sees it.
    fn carriers(&self) -> &[Carrier] {
        &[]
    }

    /// The `WWW-Authenticate` of a refusal.
    fn challenge(&self) -> Option<&'static str> {
        None
    }

    /// The keys of its signatures, for a handshake that answers with one.
    fn keys(&self) -> &[Secret] {
        &[]
    }

    /// The preset it was loaded from.
    fn preset(&self) -> Option<&'static crate::Preset> {
        None
    }
}

/// What a head proved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeadProof {
    Complete,
    NeedsBody,
}

/// The sender's own ID of a request, under its signature: a second request with it is a duplicate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplayId {
    /// As sent.
    pub id: String,
    /// How long it must be remembered at least.
    pub remember: Duration,
}

/// Why a credential did not pass, for the operator's log. Never the secret nor the signature that was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Reason {
    #[error("{0} is missing")]
    Missing(String),
    #[error("{0} came more than once")]
    Repeated(String),
    #[error("{0} cannot be read")]
    Unreadable(String),
    #[error("{0} is not what the credential requires")]
    Unexpected(String),
    #[error("the timestamp is {age} s old, which is too old by {over} s")]
    TooOld { age: u64, over: u64 },
    #[error("the timestamp is {ahead} s ahead, which is too new by {over} s")]
    TooNew { ahead: u64, over: u64 },
    #[error("the body is too large to be read before its sender is known")]
    TooLarge,
    #[error("no secret fits")]
    Mismatch,
    #[error("the certificate at {0} was not fetched")]
    NotFetched(String),
    #[error(transparent)]
    Blob(#[from] BlobFault),
}

impl Reason {
    /// The reason as one word, for programs.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Missing(_) => "missing",
            Self::Repeated(_) => "repeated",
            Self::Unreadable(_) => "unreadable",
            Self::Unexpected(_) => "unexpected",
            Self::TooOld { .. } => "too-old",
            Self::TooNew { .. } => "too-new",
            Self::TooLarge => "too-large",
            Self::NotFetched(_) => "not-fetched",
            Self::Mismatch => "mismatch",
            Self::Blob(_) => "blob",
        }
    }

    /// Why there is not exactly one readable header of this name.
    pub(crate) fn header(why: &NotOne, name: &HeaderName) -> Self {
        let what = format!("the header `{name}`");
        match why {
            NotOne::Missing => Self::Missing(what),
            NotOne::Repeated => Self::Repeated(what),
            NotOne::Unreadable => Self::Unreadable(what),
        }
    }
}

/// Why a request cannot be signed with a credential.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CannotSign(pub(crate) String);

/// A place in which a secret travels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Carrier {
    Header(HeaderName),
    Query(String),
}

impl Carrier {
    /// What stands there, which must come exactly once.
    pub(crate) fn read<'h>(&self, head: &'h Head) -> Result<Cow<'h, [u8]>, Reason> {
        match self {
            Self::Header(name) => only_text(&head.headers, name)
                .map(|text| Cow::Borrowed(text.as_bytes()))
                .map_err(|why| Reason::header(&why, name)),
            Self::Query(name) => {
                let what = || format!("the query's `{name}`");
                let query = head.query.as_deref().unwrap_or_default().as_bytes();
                let mut values = properties::pairs(query).filter(|(key, _)| **key == *name.as_bytes());
                let (_, value) = values.next().ok_or_else(|| Reason::Missing(what()))?;
                if values.next().is_some() { Err(Reason::Repeated(what())) } else { Ok(value) }
            }
        }
    }

    /// Puts a secret there.
    pub(crate) fn write(&self, head: &mut Head, secret: &[u8]) -> Result<(), CannotSign> {
        match self {
            Self::Header(name) => {
                let mut value = HeaderValue::from_bytes(secret)
                    .map_err(|_| CannotSign("the secret cannot stand in a header".into()))?;
                value.set_sensitive(true);
                head.headers.insert(name, value);
            }
            Self::Query(name) => {
                let mut pairs = form_urlencoded::Serializer::new(head.query.take().unwrap_or_default());
                let secret =
                    std::str::from_utf8(secret).map_err(|_| CannotSign("the secret is not text".into()))?;
                head.query = Some(pairs.append_pair(name, secret).finish());
            }
        }
        Ok(())
    }

    /// Takes it out of a request.
    pub(crate) fn remove_from(&self, head: &mut Head) {
        match self {
            Self::Header(name) => {
                head.headers.remove(name);
            }
            Self::Query(name) => {
                head.query = head
                    .query
                    .take()
                    .map(|query| properties::without(&query, name))
                    .filter(|it| !it.is_empty());
            }
        }
    }
}

/// A spooled body in memory, for a proof that needs all of it at once. No more of them than there are processors are
/// judged at a time.
pub(crate) fn whole(body: &Blob) -> Result<Bytes, Reason> {
    if body.len() > MAX_WHOLE {
        return Err(Reason::TooLarge);
    }
    Ok(Body::Spooled(body.clone()).whole()?)
}

/// The body as JSON, for a proof that stands in it.
pub(crate) fn read_json(body: &[u8]) -> Result<Json, Reason> {
    if body.len() > MAX_READ {
        return Err(Reason::TooLarge);
    }
    serde_json::from_slice(body).map_err(|_| Reason::Unreadable("the JSON body".into()))
}

/// Whether what was presented is one of the secrets. Digests have one length, so neither the length of a secret nor
/// how far it agrees shows in the time.
pub(crate) fn is_any(presented: &[u8], secrets: &[Secret]) -> Choice {
    let presented = Sha256::digest(presented);
    secrets
        .iter()
        .fold(Choice::from(0), |fits, secret| fits | Sha256::digest(secret.expose()).ct_eq(&presented))
}

/// Warns of a secret that can be guessed.
pub(crate) fn warn_if_short(length: usize, is: &str, node: &Node, diagnostics: &mut Diagnostics) {
    if length < SHORTEST_SECRET {
        diagnostics
            .warning(Code("secret.short"), &node.span, format!("this secret {is} {length} bytes"))
            .help(format!("a secret of fewer than {SHORTEST_SECRET} bytes can be guessed"));
    }
}

/// One secret of several: any of them may match, while one is being replaced.
pub(crate) const SECRETS: [Key; 2] = [
    Key::may("secret", Schema::SECRET, "the secret"),
    Key::may(
        "secrets",
        Schema::List(&Schema::SECRET),
        "several secrets, any of which may match, while one is being replaced",
    ),
];

/// Reads secrets for the schemes, which never see where one comes from.
pub(crate) struct Secrets<'s> {
    pub(crate) source: &'s dyn SecretSource,
}

impl Secrets<'_> {
    /// The one secret at `node`.
    pub(crate) fn one(&self, node: &Node, diagnostics: &mut Diagnostics) -> Option<Secret> {
        let secret = SecretRef::load(node, self.source, diagnostics)?;
        warn_if_short(secret.expose().len(), "has only", node, diagnostics);
        Some(secret)
    }

    /// What stands under `one` (a single secret) or `many` (a list, any of which may match).
    pub(crate) fn any(
        &self,
        fields: &mut Fields<'_>,
        one: &'static str,
        many: &'static str,
        diagnostics: &mut Diagnostics,
    ) -> Option<Vec<(Node, Secret)>> {
        let nodes = match (fields.take(one), fields.take(many)) {
            (Some(node), None) => std::slice::from_ref(node),
            (None, Some(node)) => match &node.value {
                NodeValue::Seq(items) if !items.is_empty() => items.as_slice(),
                _ => return node.mistyped("a list of secrets", diagnostics),
            },
            (found, _) => {
                let many_ways = if found.is_some() { "not both" } else { "missing here" };
                diagnostics
                    .error(
                        Code("auth.secret"),
                        &fields.span().clone(),
                        format!("the credential needs either `{one}` or the list `{many}`"),
                    )
                    .label(many_ways);
                return None;
            }
        };
        let loaded: Vec<_> = nodes
            .iter()
            .map(|node| self.one(node, diagnostics).map(|secret| (node.clone(), secret)))
            .collect();
        loaded.into_iter().collect()
    }
}
