//! What an authentication scheme is: how one kind of credential is loaded, checked and made.

use crate::Head;
use crate::headers::NotOne;
use crate::properties;
use hookflow_text::{Code, Diagnostics, Fields, Node, NodeValue, Secret, SecretRef, SecretSource};
use http::header::HeaderName;
use jiff::Timestamp;
use std::fmt;
use std::time::Duration;

/// Shorter secrets can be guessed.
const SHORTEST_SECRET: usize = 16;

/// A kind of credential: one entry of the table in `auth_schemes.rs`.
pub struct AuthScheme {
    /// The word under `type:`.
    pub name: &'static str,
    /// One sentence for the documentation.
    pub summary: &'static str,
    /// A credential of this kind, as it stands in a file.
    pub example: &'static str,
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
    fn verify_body(&self, head: &Head, body: &[u8], now: Timestamp) -> Result<Option<ReplayId>, Reason>;

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
    #[error("the timestamp is {seconds} s from now, more than the tolerance")]
    OutOfWindow { seconds: u64 },
    #[error("the body is too large for a signature that stands in it")]
    TooLarge,
    #[error("no secret fits")]
    Mismatch,
}

impl Reason {
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

/// Reads secrets for the schemes, which never see where one comes from.
pub(crate) struct Secrets<'s> {
    pub(crate) source: &'s dyn SecretSource,
}

impl Secrets<'_> {
    /// The one secret at `node`.
    pub(crate) fn one(&self, node: &Node, diagnostics: &mut Diagnostics) -> Option<Secret> {
        let secret = SecretRef::load(node, self.source, diagnostics)?;
        let length = secret.expose().len();
        if length < SHORTEST_SECRET {
            diagnostics
                .warning(Code("secret.short"), &node.span, format!("this secret has only {length} bytes"))
                .help(format!("a secret of fewer than {SHORTEST_SECRET} bytes can be guessed"));
        }
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
