//! A whole way of signing: what a preset names, and what a credential without one writes out.

mod keys;

pub(super) use keys::{KEYS, WRITTEN_OUT};

use super::algorithm::{Algorithm, Digester, Encoding, KeyRule};
use super::content::{Content, Filling};
use super::material::{Material, Place, Signed};
use super::signature::Signature;
use super::window::{TimeSource, Window};
use crate::auth_scheme::{CannotSign, MAX_READ, Reason, ReplayId};
use crate::headers::{load_name, only_text};
use crate::{Body, DecodeRefusal, Head, content_encoding, properties};
use bytes::Bytes;
use hookflow_text::{Code, Diagnostics, Fields, Node};
use http::HeaderValue;
use http::header::HeaderName;
use jiff::Timestamp;
use keys::{FORMS, HASHES, PORTS};
use sha2::{Digest as _, Sha256};
use std::borrow::Cow;
use std::time::Duration;
use subtle::ConstantTimeEq as _;

/// How long an ID is remembered when the scheme has no timestamp: senders try again for days.
const REMEMBER_WITHOUT_WINDOW: Duration = Duration::from_hours(72);

/// Everything about a way of signing but the secret.
#[derive(Debug, Clone)]
pub(super) struct Recipe {
    pub(super) signature: Signature,
    pub(super) algorithm: Algorithm,
    pub(super) key: KeyRule,
    content: Content,
    window: Option<Window>,
    require: Vec<Requirement>,
    body_hash: Option<BodyHash>,
    /// Whether the URL is tried with and without its scheme's port.
    both_ports: bool,
    id: Option<Place>,
    /// Whether the body is signed as it is behind its `Content-Encoding`.
    decoded: bool,
}

/// A header that must have a value, or with a `*` before it, hold it.
#[derive(Debug, Clone)]
struct Requirement {
    header: HeaderName,
    value: String,
    anywhere: bool,
}

/// A SHA-256 of the body in a field of the query, for schemes that sign the URL alone. Where it is optional it has to be
/// right once it is there: it marks what its sender signs in that way.
#[derive(Debug, Clone)]
struct BodyHash {
    field: String,
    encoding: Encoding,
    optional: bool,
}

impl Recipe {
    pub(super) fn load(fields: &mut Fields<'_>, diagnostics: &mut Diagnostics) -> Option<Self> {
        let signature = match fields.take("signature") {
            Some(node) => Signature::load(node, diagnostics),
            None => Signature::load_short(fields, diagnostics),
        };
        let algorithm = fields
            .take("algorithm")
            .map_or(Some(Algorithm::HmacSha256), |it| Algorithm::load(it, diagnostics));
        let key = fields.take("key").map_or(Some(KeyRule::default()), |it| KeyRule::load(it, diagnostics));
        let content_node = fields.take("content");
        let content = content_node.map_or(Some(Content::body()), |it| Content::load(it, diagnostics));
        let window_node = fields.take("timestamp");
        let require =
            fields.take("require").map_or(Some(Vec::new()), |it| load_requirements(it, diagnostics));
        let body_hash =
            fields.take("body_hash").map_or(Some(None), |it| BodyHash::load(it, diagnostics).map(Some));
        let ports = fields.take("url_ports").map_or(Some("as_sent"), |it| it.one_of(PORTS, diagnostics));
        let id_node = fields.take("id");
        let form = fields.take("body").map_or(Some("as_received"), |it| it.one_of(FORMS, diagnostics));
        let (signature, content) = (signature?, content?);
        let window = match window_node {
            Some(node) => Some(Window::load(node, &signature, diagnostics)?),
            None => None,
        };
        let id = match id_node {
            Some(node) => Some(load_id(node, diagnostics)?),
            None => None,
        };
        let recipe = Self {
            signature,
            algorithm: algorithm?,
            key: key?,
            content,
            window,
            require: require?,
            body_hash: body_hash?,
            both_ports: ports? == "both",
            id,
            decoded: form? == "content_decoded",
        };
        let at = |node: Option<&Node>| node.map_or_else(|| fields.span().clone(), |node| node.span.clone());
        let wrong = recipe.contradictions();
        for (code, part, message) in &wrong {
            let node = match part {
                Contradicts::Content => content_node,
                Contradicts::Timestamp => window_node,
                Contradicts::Id => id_node,
            };
            diagnostics.error(*code, &at(node), *message);
        }
        wrong.is_empty().then_some(recipe)
    }

    /// What would open a hole although every key is right by itself.
    fn contradictions(&self) -> Vec<(Code, Contradicts, &'static str)> {
        let mut found = Vec::new();
        let signed = self.window.as_ref().is_none_or(|window| {
            let covered = matches!(&window.source, TimeSource::At(place) if self.content.covers(place));
            covered || self.content.has_timestamp()
        });
        if !signed {
            let message =
                "the timestamp is not signed, so anyone could renew it: put `{timestamp}` into `content`";
            found.push((Code("auth.timestamp-not-signed"), Contradicts::Timestamp, message));
        }
        if self.window.is_none() && self.content.has_timestamp() {
            let message = "the content holds `{timestamp}`, but no `timestamp` says where it stands";
            found.push((Code("auth.content"), Contradicts::Content, message));
        }
        if self.content.has_secret() != (self.algorithm == Algorithm::KeyedSha256) {
            let message = "`{secret}` belongs into the content of `keyed-sha256` and of no other algorithm";
            found.push((Code("auth.content"), Contradicts::Content, message));
        }
        if !self.content.has_body() && self.body_hash.as_ref().is_none_or(|hash| hash.optional) {
            let message =
                "nothing of the body is signed, so anyone could change it: put `{body}` into `content`";
            found.push((Code("auth.body-not-signed"), Contradicts::Content, message));
        }
        if self.body_hash.is_some() && !self.content.has_url() {
            let message = "the hash of the body stands in the query, so `content` must hold `{url}`";
            found.push((Code("auth.body-not-signed"), Contradicts::Content, message));
        }
        if self.id.as_ref().is_some_and(|place| !self.content.covers(place)) {
            let message = "this ID is not signed, so it says nothing about a repeated request";
            found.push((Code("auth.id-not-signed"), Contradicts::Id, message));
        }
        found
    }

    /// What can be judged before there is a body.
    pub(super) fn check_head(&self, head: &Head) -> Result<(), Reason> {
        if self.signature.in_head() {
            self.signature.is_there(&Material::new(head, Signed::Held(&[])))?;
        }
        for Requirement { header, value, anywhere } in &self.require {
            let found = only_text(&head.headers, header).map_err(|why| Reason::header(&why, header))?;
            let fits = if *anywhere { found.contains(value.as_str()) } else { found == value };
            if !fits {
                return Err(Reason::Unexpected(format!("the header `{header}`")));
            }
        }
        Ok(())
    }

    /// The body as it was signed. It is decoded before anybody is trusted, so there is less room than for others.
    pub(super) fn signed_body<'b>(&self, head: &Head, body: &'b [u8]) -> Result<Cow<'b, [u8]>, Reason> {
        if !self.decoded {
            return Ok(Cow::Borrowed(body));
        }
        if body.len() > MAX_READ {
            return Err(Reason::TooLarge);
        }
        let body = Body::from(Bytes::copy_from_slice(body));
        let decoded = content_encoding::undo(&head.headers, &body, MAX_READ as u64, None);
        let decoded = decoded.and_then(|body| Ok(body.whole()?));
        decoded.map(|body| Cow::Owned(body.into())).map_err(|why| match why {
            DecodeRefusal::TooLarge { .. } => Reason::TooLarge,
            _ => Reason::Unreadable("the content encoding".into()),
        })
    }

    /// Whether the body is signed as it is behind its content encoding.
    pub(super) fn signs_decoded(&self) -> bool {
        self.decoded
    }

    /// The timestamp as sent, when there is one and it is near enough to now.
    pub(super) fn timestamp(
        &self,
        material: &Material<'_>,
        now: Timestamp,
    ) -> Result<Option<String>, Reason> {
        self.window.as_ref().map(|window| window.read(&self.signature, material, now)).transpose()
    }

    /// For schemes that sign a hash of the body instead of the body.
    pub(super) fn check_body_hash(&self, material: &Material<'_>) -> Result<(), Reason> {
        let Some(BodyHash { field, encoding, optional }) = &self.body_hash else { return Ok(()) };
        let what = || format!("the query's `{field}`");
        let query = material.head.query.as_deref().unwrap_or_default().as_bytes();
        let mut values = properties::pairs(query).filter(|(name, _)| **name == *field.as_bytes());
        let value = match values.next() {
            Some((_, value)) => value,
            None if *optional => return Ok(()),
            None => return Err(Reason::Missing(what())),
        };
        if values.next().is_some() {
            return Err(Reason::Repeated(what()));
        }
        let received = std::str::from_utf8(&value).ok().and_then(|text| encoding.decode(text));
        let received = received.ok_or_else(|| Reason::Unreadable(what()))?;
        let mut digest = Sha256::new();
        material.body.each(|piece| digest.update(piece))?;
        if digest.finalize().ct_eq(&received).into() { Ok(()) } else { Err(Reason::Unexpected(what())) }
    }

    /// The URLs that may have been signed; one, empty, when none is.
    pub(super) fn urls(&self, head: &Head) -> Vec<String> {
        if !self.content.has_url() {
            return vec![String::new()];
        }
        let mut urls = vec![head.url()];
        if self.both_ports
            && let Some(other) = other_port(&head.base_url)
        {
            urls.push(head.url_at(&other));
        }
        urls
    }

    /// The digest of what is signed; `digester` has begun with the key.
    pub(super) fn digest(&self, mut digester: Digester, filling: &Filling<'_>) -> Result<Vec<u8>, Reason> {
        self.content.feed(&mut digester, filling)?;
        Ok(digester.finish())
    }

    /// By what a request is known again. Without an ID of its own, one with a signed time is known by what was signed,
    /// which no other time has; without a time as well, two that are alike may both be meant.
    pub(super) fn replay_id(
        &self,
        material: &Material<'_>,
        signed: &[u8],
    ) -> Result<Option<ReplayId>, Reason> {
        let id = match (&self.id, &self.window) {
            (Some(place), _) => place.read(material)?,
            (None, Some(_)) => format!("signature:{}", Encoding::Hex.encode(&Sha256::digest(signed))),
            (None, None) => return Ok(None),
        };
        let window = self.window.as_ref().and_then(|window| window.tolerance);
        let remember = window.map_or(REMEMBER_WITHOUT_WINDOW, |tolerance| tolerance.saturating_mul(2));
        Ok(Some(ReplayId { id, remember }))
    }

    /// Adds every header that verifying reads, and the signature last.
    pub(super) fn sign(
        &self,
        key: &[u8],
        head: &mut Head,
        body: &[u8],
        now: Timestamp,
    ) -> Result<(), CannotSign> {
        let not_a_header = |_| CannotSign("a value cannot stand in a header".into());
        for Requirement { header, value, .. } in &self.require {
            head.headers.insert(header, HeaderValue::try_from(value).map_err(not_a_header)?);
        }
        for name in self.content.headers() {
            // An ID is the caller's to choose; without one the time serves.
            if !head.headers.contains_key(name) {
                head.headers.insert(name, HeaderValue::from(now.as_millisecond()));
            }
        }
        if let Some(BodyHash { field, encoding, optional: false }) = &self.body_hash {
            let hash = encoding.encode(&Sha256::digest(body));
            let query = properties::without(head.query.as_deref().unwrap_or_default(), field);
            head.query = Some(form_urlencoded::Serializer::new(query).append_pair(field, &hash).finish());
        }
        let written = self.window.as_ref().map(|window| window.write(now));
        let source = self.window.as_ref().map(|window| &window.source);
        if let (Some(TimeSource::At(Place::Header(name))), Some(text)) = (source, &written) {
            head.headers.insert(name, HeaderValue::try_from(text).map_err(not_a_header)?);
        }
        let companion = match (source, &written) {
            (Some(TimeSource::Beside(key)), Some(text)) => Some((key.as_str(), text.as_str())),
            _ => None,
        };
        let (material, url) = (Material::new(head, Signed::Held(body)), head.url());
        let filling = Filling { material: &material, timestamp: written.as_deref(), url: &url, key };
        let digest = self
            .digest(self.algorithm.begin(key), &filling)
            .map_err(|reason| CannotSign(reason.to_string()))?;
        self.signature.write(head, &digest, companion)
    }
}

enum Contradicts {
    Content,
    Timestamp,
    Id,
}

impl BodyHash {
    fn load(node: &Node, diagnostics: &mut Diagnostics) -> Option<Self> {
        let mut fields = Fields::of(node, "a `body_hash`", diagnostics)?;
        let field = fields.require("query", diagnostics);
        let algorithm = fields.take("algorithm").map_or(Some("sha256"), |it| it.one_of(HASHES, diagnostics));
        let encoding =
            fields.take("encoding").map_or(Some(Encoding::Hex), |it| Encoding::load(it, diagnostics));
        let optional = fields.take("optional").map_or(Some(false), |it| it.as_bool(diagnostics));
        fields.finish(diagnostics);
        algorithm?;
        let field = field?.as_str(diagnostics)?.to_owned();
        Some(Self { field, encoding: encoding?, optional: optional? })
    }
}

fn load_requirements(node: &Node, diagnostics: &mut Diagnostics) -> Option<Vec<Requirement>> {
    let entries = node.as_map(diagnostics)?;
    let loaded: Vec<_> = entries
        .iter()
        .map(|(name, value)| {
            let header = load_name(name, diagnostics)?;
            let text = value.as_str(diagnostics)?;
            let (anywhere, text) = text.strip_prefix('*').map_or((false, text), |rest| (true, rest));
            Some(Requirement { header, value: text.to_owned(), anywhere })
        })
        .collect();
    loaded.into_iter().collect()
}

fn load_id(node: &Node, diagnostics: &mut Diagnostics) -> Option<Place> {
    let mut fields = Fields::of(node, "an `id`", diagnostics)?;
    let written = ["header", "json", "form"].iter().any(|key| fields.has(key));
    let place = Place::load(&mut fields, diagnostics);
    if !written {
        diagnostics
            .error(Code("auth.place"), &node.span, "an ID stands in one place")
            .help("write one of `header`, `json` and `form`");
    }
    fields.finish(diagnostics);
    place
}

/// The same address with its scheme's port when it has none, and without it when it has.
fn other_port(base_url: &str) -> Option<String> {
    let (scheme, rest) = base_url.split_once("://")?;
    let port = match scheme {
        "https" => ":443",
        "http" => ":80",
        _ => return None,
    };
    let (authority, path) = rest.split_at_checked(rest.find('/').unwrap_or(rest.len()))?;
    if let Some(host) = authority.strip_suffix(port) {
        return Some(format!("{scheme}://{host}{path}"));
    }
    let has_port =
        authority.rsplit_once(':').is_some_and(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
    (!has_port).then(|| format!("{scheme}://{authority}{port}{path}"))
}
