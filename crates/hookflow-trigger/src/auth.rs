//! A webhook's `auth`, and the one way from a request to an authenticated one.

use crate::auth_scheme::{Carrier, HeadProof, Reason, ReplayId};
use crate::{BlobFault, Body, Credential, Credentials, Fetched, Head, Received};
use hookflow_text::{Code, Diagnostics, Node, NodeValue, nearest};
use http::HeaderName;
use jiff::Timestamp;
use std::sync::Arc;

/// Who may call a webhook: `none` written out, one credential, or several of which any may pass.
#[derive(Debug, Clone)]
pub struct Auth(Rule);

#[derive(Debug, Clone)]
enum Rule {
    Open,
    AnyOf(Vec<Arc<Credential>>),
}

/// What a head alone decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeadVerdict {
    /// No body is needed: the name of the credential that passed, or `None` when the webhook is open.
    Passed(Option<Arc<str>>),
    /// A credential may still pass once the body is there.
    NeedsBody,
}

/// A request that passed. Only [`Auth::verify`] makes one. What carried a secret is no longer in it.
#[derive(Debug)]
pub struct Authenticated {
    pub(crate) head: Head,
    pub(crate) body: Body,
    pub(crate) credential: Option<Arc<str>>,
    pub(crate) replay: Option<ReplayId>,
}

impl Authenticated {
    /// The head, without what carried a secret.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// The bytes that were on the wire.
    pub fn body(&self) -> &Body {
        &self.body
    }

    /// The name of the credential that passed; `None` for an open webhook.
    pub fn credential(&self) -> Option<&Arc<str>> {
        self.credential.as_ref()
    }
}

/// A request that did not pass. The caller learns nothing but that; the reason is for the operator's log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unauthorized {
    reasons: Vec<(Arc<str>, Reason)>,
    challenge: Option<&'static str>,
    bare: bool,
}

impl Unauthorized {
    /// The word for it.
    pub fn code(&self) -> Code {
        Code("auth.unauthorized")
    }

    /// Why each credential did not pass; never a secret, nor a signature that would have been right.
    pub fn reason(&self) -> String {
        self.reasons.iter().map(|(name, reason)| format!("{name}: {reason}")).collect::<Vec<_>>().join("; ")
    }

    /// The reason of the first credential as one word, for programs: `missing`, `mismatch`, `too-old` and the like.
    pub fn word(&self) -> &'static str {
        self.reasons.first().map_or("unknown", |(_, reason)| reason.word())
    }

    /// What kept us from judging, when it was not the caller: the body could not be read back.
    pub fn fault(&self) -> Option<&BlobFault> {
        self.reasons.iter().find_map(|(_, reason)| match reason {
            Reason::Blob(fault) => Some(fault),
            _ => None,
        })
    }

    /// The `WWW-Authenticate` of the answer.
    pub fn challenge(&self) -> Option<&'static str> {
        self.challenge
    }

    /// The URL of a certificate that might have made it pass, had it been fetched. It was judged: whoever fetches it
    /// asks the sender itself.
    pub fn not_fetched(&self) -> Option<&str> {
        self.reasons.iter().find_map(|(_, reason)| match reason {
            Reason::NotFetched(url) => Some(url.as_str()),
            _ => None,
        })
    }

    /// Whether the sender wants the answer without a body: some test us with wrong signatures.
    pub fn is_bare(&self) -> bool {
        self.bare
    }

    fn add(&mut self, credential: &Credential, reason: Reason) {
        self.bare |= credential.handshake().is_some_and(|handshake| handshake.probes);
        self.challenge = self.challenge.or(credential.verifier().challenge());
        self.reasons.push((Arc::clone(credential.name()), reason));
    }
}

impl Auth {
    /// This credential and no other.
    pub fn by(credential: Arc<Credential>) -> Self {
        Self(Rule::AnyOf(vec![credential]))
    }

    /// Reads `none`, a credential's name or a list of names.
    pub fn load(node: &Node, credentials: &Credentials, diagnostics: &mut Diagnostics) -> Option<Self> {
        let items = match &node.value {
            NodeValue::Seq(items) => items.as_slice(),
            NodeValue::Scalar(_) if !node.is_null() => {
                if node.text() == "none" {
                    return Some(Self(Rule::Open));
                }
                std::slice::from_ref(node)
            }
            _ => return node.mistyped("a credential's name, a list of them, or `none`", diagnostics),
        };
        if items.is_empty() {
            diagnostics
                .error(Code("auth.empty-list"), &node.span, "nobody can pass an empty list of credentials")
                .help("name a credential, or write `auth: none` to let anyone in");
            return None;
        }
        let found: Vec<_> = items.iter().map(|item| find(item, credentials, diagnostics)).collect();
        if credentials.is_forgiving() {
            return Some(Self(Rule::AnyOf(found.into_iter().flatten().collect())));
        }
        Some(Self(Rule::AnyOf(found.into_iter().collect::<Option<_>>()?)))
    }

    /// Whether anyone may call.
    pub fn is_open(&self) -> bool {
        matches!(self.0, Rule::Open)
    }

    /// Whether a secret travels in this header, so that no event has it.
    pub fn takes_header(&self, name: &HeaderName) -> bool {
        self.carriers().any(|carrier| matches!(carrier, Carrier::Header(other) if other == name))
    }

    /// Whether a secret travels in this field of the query, so that no event has it.
    pub fn takes_field(&self, name: &str) -> bool {
        self.carriers().any(|carrier| matches!(carrier, Carrier::Query(other) if other == name))
    }

    fn carriers(&self) -> impl Iterator<Item = &Carrier> {
        self.credentials().iter().flat_map(|credential| credential.verifier().carriers())
    }

    /// The credentials of which any may pass; none when the webhook is open.
    pub fn credentials(&self) -> &[Arc<Credential>] {
        match &self.0 {
            Rule::Open => &[],
            Rule::AnyOf(credentials) => credentials,
        }
    }

    /// The names of the credentials.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.credentials().iter().map(|credential| &**credential.name())
    }

    /// Whether a certificate may have to be fetched for a request.
    pub fn fetches(&self) -> bool {
        self.credentials().iter().any(|credential| credential.verifier().fetches())
    }

    /// Guard 7: what the head alone decides, before a body is read.
    ///
    /// # Errors
    /// When no body could make any credential pass.
    pub fn verify_head(&self, head: &Head) -> Result<HeadVerdict, Unauthorized> {
        let Rule::AnyOf(credentials) = &self.0 else { return Ok(HeadVerdict::Passed(None)) };
        let mut refused = Unauthorized::default();
        let mut needs_body = false;
        for credential in credentials {
            match credential.verifier().verify_head(head) {
                Ok(HeadProof::Complete) => {
                    return Ok(HeadVerdict::Passed(Some(Arc::clone(credential.name()))));
                }
                Ok(HeadProof::NeedsBody) => needs_body = true,
                Err(reason) => refused.add(credential, reason),
            }
        }
        if needs_body { Ok(HeadVerdict::NeedsBody) } else { Err(refused) }
    }

    /// Guard 9: the whole judgement, over the head and the bytes as they were on the wire. Guard 7 is repeated here,
    /// so that what this returns does not depend on what was asked before.
    ///
    /// # Errors
    /// When no credential passes.
    pub fn verify(&self, received: Received, now: Timestamp) -> Result<Authenticated, Unauthorized> {
        self.verify_with(received, now, &Fetched::default())
    }

    /// The same with the certificates that were fetched for it. Where one is missing, [`Unauthorized::not_fetched`]
    /// names it; a request names at most one for each credential.
    ///
    /// # Errors
    /// When no credential passes.
    pub fn verify_with(
        &self,
        received: Received,
        now: Timestamp,
        fetched: &Fetched,
    ) -> Result<Authenticated, Unauthorized> {
        let Received { mut head, body } = received;
        let Rule::AnyOf(credentials) = &self.0 else {
            return Ok(Authenticated { head, body, credential: None, replay: None });
        };
        let mut refused = Unauthorized::default();
        for credential in credentials {
            let verifier = credential.verifier();
            let verdict = verifier.verify_head(&head).and_then(|proof| match proof {
                HeadProof::Complete => Ok(None),
                HeadProof::NeedsBody => match &body {
                    Body::Held(bytes) => verifier.verify_body(&head, bytes, now, fetched),
                    Body::Spooled(blob) => verifier.verify_spooled(&head, blob, now, fetched),
                },
            });
            match verdict {
                Ok(replay) => {
                    // A caller may send more than the one that passed: nobody's secret goes further than here.
                    for carrier in credentials.iter().flat_map(|credential| credential.verifier().carriers())
                    {
                        carrier.remove_from(&mut head);
                    }
                    return Ok(Authenticated {
                        head,
                        body,
                        credential: Some(Arc::clone(credential.name())),
                        replay,
                    });
                }
                Err(reason) => refused.add(credential, reason),
            }
        }
        Err(refused)
    }
}

fn find(node: &Node, credentials: &Credentials, diagnostics: &mut Diagnostics) -> Option<Arc<Credential>> {
    let name = node.as_str(diagnostics)?;
    if name == "none" {
        diagnostics
            .error(Code("auth.none-in-list"), &node.span, "a list of credentials cannot hold `none`")
            .help("with `none` anyone could call: write `auth: none` if that is meant");
        return None;
    }
    let found = credentials.get(name).map(Arc::clone);
    // One that has mistakes was reported where it stands.
    if found.is_none() && !credentials.has(name) && !credentials.is_forgiving() {
        let diagnostic = diagnostics.error(
            Code("auth.unknown-credential"),
            &node.span,
            format!("there is no credential named `{name}`"),
        );
        match nearest(name, credentials.names()) {
            Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
            None => diagnostic.help("credentials stand in config/credentials.yaml"),
        };
    }
    found
}

#[cfg(test)]
mod tests;
