//! What a handshake is: a sender's question whether the webhook is ours, answered without an event.
//!
//! A credential switches its sender's handshake on. Most senders choose the words that we repeat or sign, so each
//! handshake allows few characters and few of them: an answer must be neither a page for somebody's browser nor a
//! signature of an event that nobody sent.

use crate::auth_scheme::{Carrier, MAX_READ, Secrets, Verifier};
use crate::{Auth, Authenticated, BlobFault, Credential, Head, handshakes};
use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use hookflow_text::{Code, Diagnostics, Fields, Json, Node, Secret};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use http::{Method, StatusCode};
use sha2::Sha256;
use std::fmt;

/// The longest body of a question that nobody has signed.
const LONGEST_PING: u64 = 256;
/// The longest text that is repeated or signed.
const LONGEST_TEXT: usize = 512;

/// A sender's way of asking: one entry of the table in `handshakes.rs`.
pub struct Handshake {
    /// The word under `handshake:`.
    pub name: &'static str,
    /// One sentence for the documentation.
    pub summary: &'static str,
    /// The method of the question.
    pub(crate) method: Method,
    /// What the credential must have for it.
    pub(crate) needs: Need,
    /// Whether the sender tests us with wrong signatures, and wants a 401 without a body then.
    pub(crate) probes: bool,
    /// When it is asked, and how it is answered.
    pub(crate) asks: Asks,
}

/// What a credential must have beside its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    Nothing,
    /// A secret that signs.
    Key,
    /// That, and the name under which the sender knows it, in `public_key`.
    NamedKey,
    /// What the sender repeats, in `verify_token`.
    VerifyToken,
}

/// When a question is asked, and how it is answered.
#[derive(Clone, Copy)]
pub(crate) enum Asks {
    /// In the head, which nobody has signed.
    Head(fn(&Asked<'_>, &Head) -> Verdict),
    /// In a short body that nobody has signed: whether the head may announce it, and its answer.
    Ping(fn(&Head) -> bool, fn(&[u8]) -> Verdict),
    /// In a request that was verified.
    Signed(fn(&Asked<'_>, &Head, &[u8]) -> Verdict),
}

/// An answer, nothing when it is no question, or a no.
pub(crate) type Verdict = Result<Option<HandshakeAnswer>, HandshakeRefusal>;

/// What the caller gets. There is no event and no run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandshakeAnswer {
    /// As the sender wants it.
    pub status: StatusCode,
    /// The type of the body, which a browser must not guess.
    pub headers: HeaderMap,
    /// As the sender wants it.
    pub body: Bytes,
    /// A URL of the sender's own that it wants to be visited beside the answer.
    pub visit: Option<String>,
}

/// A question that is not answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct HandshakeRefusal {
    /// What the caller gets.
    pub status: StatusCode,
    reason: &'static str,
    fault: Option<BlobFault>,
}

/// A handshake as a credential switches it on.
#[derive(Debug)]
pub(crate) struct Switch {
    handshake: &'static Handshake,
    verify_token: Option<Secret>,
    key_name: Option<String>,
}

/// There is a mistake, and it was reported.
pub(crate) struct Reported;

/// Who is asked: the credential behind the question.
pub(crate) struct Asked<'c> {
    pub(crate) verifier: &'c dyn Verifier,
    switch: &'c Switch,
}

impl fmt::Debug for Handshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handshake").field("name", &self.name).finish_non_exhaustive()
    }
}

impl HandshakeAnswer {
    /// No words.
    pub(crate) fn empty(status: StatusCode) -> Self {
        Self { status, headers: HeaderMap::new(), body: Bytes::new(), visit: None }
    }

    /// Words, as nothing but words.
    pub(crate) fn text(body: impl Into<Bytes>) -> Self {
        Self::of("text/plain", body.into())
    }

    pub(crate) fn json(body: &Json) -> Self {
        Self::of("application/json", body.to_string().into())
    }

    fn of(content_type: &'static str, body: Bytes) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        Self { status: StatusCode::OK, headers, body, visit: None }
    }
}

impl HandshakeRefusal {
    /// The question has characters that none of the sender's has, or too many of them.
    pub(crate) fn malformed() -> Self {
        let reason = "the handshake asks to repeat or sign what its sender does not send";
        Self { status: StatusCode::BAD_REQUEST, reason, fault: None }
    }

    /// The sender does not know what it should.
    pub(crate) fn stranger(status: StatusCode) -> Self {
        Self { status, reason: "the handshake has a wrong token", fault: None }
    }

    fn unread(fault: BlobFault) -> Self {
        let reason = "the handshake cannot be read back";
        Self { status: StatusCode::SERVICE_UNAVAILABLE, reason, fault: Some(fault) }
    }

    /// What kept us from answering, when it was not the caller: the body could not be read back.
    pub fn fault(&self) -> Option<&BlobFault> {
        self.fault.as_ref()
    }
}

impl Switch {
    /// Reads `handshake` and what it needs; nothing when none is switched on.
    pub(crate) fn load(
        fields: &mut Fields<'_>,
        verifier: &dyn Verifier,
        secrets: &Secrets<'_>,
        diagnostics: &mut Diagnostics,
    ) -> Result<Option<Self>, Reported> {
        let Some(node) = fields.take("handshake") else { return Ok(None) };
        Self::read(node, fields, verifier, secrets, diagnostics).map(Some).ok_or(Reported)
    }

    fn read(
        node: &Node,
        fields: &mut Fields<'_>,
        verifier: &dyn Verifier,
        secrets: &Secrets<'_>,
        diagnostics: &mut Diagnostics,
    ) -> Option<Self> {
        let names: Vec<_> = handshakes().iter().map(|handshake| handshake.name).collect();
        let word = node.one_of(&names, diagnostics)?;
        let handshake = *handshakes().iter().find(|handshake| handshake.name == word)?;
        let (mut verify_token, mut key_name) = (None, None);
        if handshake.needs == Need::VerifyToken {
            let node = fields.require("verify_token", diagnostics)?;
            verify_token = Some(secrets.one(node, diagnostics)?);
        }
        if handshake.needs == Need::NamedKey {
            key_name = Some(fields.require("public_key", diagnostics)?.as_str(diagnostics)?.to_owned());
        }
        if matches!(handshake.needs, Need::Key | Need::NamedKey) && verifier.keys().is_empty() {
            let message = format!(
                "the handshake `{word}` answers with a signature, and this credential has no secret that signs"
            );
            diagnostics
                .error(Code("auth.handshake-key"), &node.span, message)
                .help("switch it on where the sender's `type: hmac` credential stands");
            return None;
        }
        Some(Self { handshake, verify_token, key_name })
    }

    pub(crate) fn handshake(&self) -> &'static Handshake {
        self.handshake
    }
}

impl Asked<'_> {
    /// The secret that signs.
    pub(crate) fn key(&self) -> &[u8] {
        self.verifier.keys().first().map_or(&[], Secret::expose)
    }

    /// The name of the secret that signs.
    pub(crate) fn key_name(&self) -> &str {
        self.switch.key_name.as_deref().unwrap_or_default()
    }

    /// What the sender repeats.
    pub(crate) fn verify_token(&self) -> &[Secret] {
        self.switch.verify_token.as_slice()
    }
}

impl Auth {
    /// Guard 4: whether a handshake is asked with this method. It passes even where the flow does not take it.
    pub fn has_handshake_by(&self, method: &Method) -> bool {
        self.switched_on().any(|(_, handshake)| handshake.method == *method)
    }

    /// The same for a handshake that is not known by its head alone.
    pub fn has_signed_handshake_by(&self, method: &Method) -> bool {
        let by_body = |handshake: &Handshake| !matches!(handshake.asks, Asks::Head(_));
        self.switched_on().any(|(_, handshake)| handshake.method == *method && by_body(handshake))
    }

    /// Guard 5: the answer to a question that nobody has signed.
    ///
    /// # Errors
    /// When it is a question that must not be answered.
    pub fn answer_head(&self, head: &Head) -> Result<Option<HandshakeAnswer>, HandshakeRefusal> {
        for (asked, handshake) in self.switched_on() {
            if let Asks::Head(answer) = handshake.asks
                && handshake.method == head.method
                && let Some(answer) = answer(&asked, head)?
            {
                return Ok(Some(answer));
            }
        }
        Ok(None)
    }

    /// Guard 7: whether a request without credentials may still be a question, so that its short body has to be read.
    pub fn may_ping(&self, head: &Head) -> bool {
        let length =
            head.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        length.is_some_and(|length| length <= LONGEST_PING)
            && self.switched_on().any(|(_, handshake)| handshake.pings(head))
    }

    /// The answer to a question in a body that nobody has signed.
    ///
    /// # Errors
    /// When it is a question that must not be answered.
    pub fn answer_ping(&self, head: &Head, body: &[u8]) -> Result<Option<HandshakeAnswer>, HandshakeRefusal> {
        for (_, handshake) in self.switched_on() {
            if let Asks::Ping(_, answer) = handshake.asks
                && handshake.pings(head)
                && let Some(answer) = answer(body)?
            {
                return Ok(Some(answer));
            }
        }
        Ok(None)
    }

    /// Guard 10: the answer to a question that the credential has signed.
    ///
    /// # Errors
    /// When it is a question that must not be answered.
    pub fn answer_signed(
        &self,
        request: &Authenticated,
    ) -> Result<Option<HandshakeAnswer>, HandshakeRefusal> {
        let passed = self.credentials().iter().find(|it| Some(it.name()) == request.credential());
        match passed.and_then(|credential| asked(credential)) {
            Some((asked, Handshake { asks: Asks::Signed(answer), method, .. }))
                if *method == request.head.method =>
            {
                // A question is short, but anybody can make it longer by what is not signed of it.
                if request.body.len() > MAX_READ as u64 {
                    return Ok(None);
                }
                let body = request.body.whole().map_err(HandshakeRefusal::unread)?;
                answer(&asked, &request.head, &body)
            }
            _ => Ok(None),
        }
    }

    fn switched_on(&self) -> impl Iterator<Item = (Asked<'_>, &'static Handshake)> {
        self.credentials().iter().filter_map(|credential| asked(credential))
    }
}

impl Handshake {
    fn pings(&self, head: &Head) -> bool {
        matches!(self.asks, Asks::Ping(may_be, _) if self.method == head.method && may_be(head))
    }
}

fn asked(credential: &Credential) -> Option<(Asked<'_>, &'static Handshake)> {
    let switch = credential.switch()?;
    Some((Asked { verifier: credential.verifier(), switch }, switch.handshake))
}

/// A field of the query that the sender may have written; nothing when it is not there.
pub(crate) fn query(
    head: &Head,
    name: &str,
    takes: fn(u8) -> bool,
) -> Result<Option<String>, HandshakeRefusal> {
    let marked = head.query.as_deref().unwrap_or_default().as_bytes();
    if !crate::properties::pairs(marked).any(|(key, _)| *key == *name.as_bytes()) {
        return Ok(None);
    }
    let value = Carrier::Query(name.to_owned()).read(head).map_err(|_| HandshakeRefusal::malformed())?;
    let text = std::str::from_utf8(&value).map_err(|_| HandshakeRefusal::malformed())?;
    checked(text, takes).map(|text| Some(text.to_owned()))
}

/// A text that the sender may have written.
pub(crate) fn checked(text: &str, takes: fn(u8) -> bool) -> Result<&str, HandshakeRefusal> {
    let sound = (1..=LONGEST_TEXT).contains(&text.len()) && text.bytes().all(takes);
    if sound { Ok(text) } else { Err(HandshakeRefusal::malformed()) }
}

/// What random tokens are written with. There is no quote, brace, angle, colon or blank.
pub(crate) fn in_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"._~+/=-".contains(&byte)
}

/// The body of a signed question.
pub(crate) fn body_json(body: &[u8]) -> Json {
    crate::auth_scheme::read_json(body).unwrap_or(Json::Null)
}

/// The HMAC-SHA256 of a text that was checked.
pub(crate) fn sign(key: &[u8], text: &str) -> Vec<u8> {
    // An HMAC takes a key of any length: the error that the type allows does not occur.
    Hmac::<Sha256>::new_from_slice(key)
        .map(|mac| mac.chain_update(text).finalize().into_bytes().to_vec())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests;
