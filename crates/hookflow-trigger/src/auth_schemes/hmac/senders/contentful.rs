//! Contentful: the request names in a header which of its headers are signed, with the method, the path and the body.

use super::super::algorithm::{Algorithm, Encoding};
use super::super::window::near_enough;
use super::Sender;
use crate::auth_scheme::{CannotSign, HeadProof, Reason, ReplayId, Secrets, Verifier};
use crate::headers::only_text;
use crate::{Fetched, Head, Preset};
use hookflow_text::{Diagnostics, Fields, Secret};
use http::HeaderValue;
use http::header::HeaderName;
use jiff::{SignedDuration, Timestamp};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::time::Duration;
use subtle::{Choice, ConstantTimeEq as _};

pub(super) static SENDER: Sender = Sender { preset: "contentful", load };

const SIGNATURE: HeaderName = HeaderName::from_static("x-contentful-signature");
const SIGNED: HeaderName = HeaderName::from_static("x-contentful-signed-headers");
const TIME: HeaderName = HeaderName::from_static("x-contentful-timestamp");
/// As Contentful's own library has it.
const TOLERANCE: Duration = Duration::from_secs(30);
const MOST_HEADERS: usize = 50;
const MAX_DIGITS: usize = 16;

/// What the sender's escaping of a query leaves as it is.
const IN_QUERY: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'!')
    .remove(b'~')
    .remove(b'*')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')');
/// And what its escaping of a path does, slashes and the like.
const IN_PATH: &AsciiSet = &IN_QUERY
    .remove(b';')
    .remove(b',')
    .remove(b'/')
    .remove(b'?')
    .remove(b':')
    .remove(b'@')
    .remove(b'&')
    .remove(b'=')
    .remove(b'+')
    .remove(b'$')
    .remove(b'#');

#[derive(Debug)]
struct Contentful {
    preset: &'static Preset,
    keys: Vec<Secret>,
}

fn load(
    preset: &'static Preset,
    fields: &mut Fields<'_>,
    secrets: &Secrets<'_>,
    diagnostics: &mut Diagnostics,
) -> Option<Box<dyn Verifier>> {
    let loaded = secrets.any(fields, "secret", "secrets", diagnostics)?;
    Some(Box::new(Contentful { preset, keys: loaded.into_iter().map(|(_, key)| key).collect() }))
}

fn text(head: &Head, name: &HeaderName) -> Result<String, Reason> {
    only_text(&head.headers, name).map(str::to_owned).map_err(|why| Reason::header(&why, name))
}

/// The signature and the named headers, when they are as they should be.
fn check_head(head: &Head) -> Result<(Vec<u8>, String), Reason> {
    let received = Encoding::Hex
        .decode(&text(head, &SIGNATURE)?)
        .ok_or_else(|| Reason::Unreadable(format!("the header `{SIGNATURE}`")))?;
    let listed = text(head, &SIGNED)?;
    let names: Vec<_> = listed.split(',').collect();
    // What is not listed is not signed: neither the time nor the list itself would be.
    let whole = [&SIGNED, &TIME].iter().all(|needed| names.contains(&needed.as_str()));
    if !whole || names.len() > MOST_HEADERS {
        return Err(Reason::Unexpected(format!("the header `{SIGNED}`")));
    }
    let mut headers = Vec::with_capacity(names.len());
    for name in names {
        let known = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| Reason::Unreadable(format!("the header `{SIGNED}`")))?;
        let value = text(head, &known)?;
        // Two headers must not be read as one: only the list's own value could hold nothing of the sort.
        if value.contains(';') && known != SIGNED && value.split(';').skip(1).any(|part| part.contains(':')) {
            return Err(Reason::Unexpected(format!("the header `{known}`")));
        }
        headers.push(format!("{name}:{}", value.trim()));
    }
    Ok((received, headers.join(";")))
}

/// The path as the sender's library writes it, whose escaping goes over what is escaped already; and as it came.
fn paths(head: &Head) -> [String; 2] {
    let url = head.url();
    let rest = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest);
    let sent = rest.find('/').and_then(|at| rest.get(at..)).unwrap_or_default();
    let (path, query) = sent.split_once('?').map_or((sent, None), |(path, query)| (path, Some(query)));
    let escaped = match query.filter(|query| !query.is_empty()) {
        Some(query) => {
            let query = utf8_percent_encode(query, IN_QUERY).to_string();
            format!("{path}?{}", utf8_percent_encode(&query, IN_PATH))
        }
        None => path.to_owned(),
    };
    [escaped, sent.to_owned()]
}

fn digest(key: &Secret, head: &Head, path: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let mut digester = Algorithm::HmacSha256.begin(key.expose());
    for part in [head.method.as_str(), path, headers] {
        digester.update(part.as_bytes());
        digester.update(b"\n");
    }
    digester.update(body);
    digester.finish()
}

impl Verifier for Contentful {
    fn verify_head(&self, head: &Head) -> Result<HeadProof, Reason> {
        check_head(head).map(|_| HeadProof::NeedsBody)
    }

    fn verify_body(
        &self,
        head: &Head,
        body: &[u8],
        now: Timestamp,
        _: &Fetched,
    ) -> Result<Option<ReplayId>, Reason> {
        let (received, headers) = check_head(head)?;
        let written = text(head, &TIME)?;
        let sound = written.len() <= MAX_DIGITS && written.bytes().all(|byte| byte.is_ascii_digit());
        let time: i64 = written
            .parse()
            .ok()
            .filter(|_| sound)
            .ok_or_else(|| Reason::Unreadable(format!("the header `{TIME}`")))?;
        near_enough(SignedDuration::from_millis(now.as_millisecond() - time), TOLERANCE)?;
        let mut fits = Choice::from(0);
        for path in paths(head) {
            for key in &self.keys {
                fits |= received.ct_eq(&digest(key, head, &path, &headers, body));
            }
        }
        if fits.into() { Ok(None) } else { Err(Reason::Mismatch) }
    }

    fn sign(&self, head: &mut Head, body: &[u8], now: Timestamp) -> Result<(), CannotSign> {
        let key = self.keys.first().ok_or_else(|| CannotSign("there is no secret".into()))?;
        let listed = format!("{SIGNED},{TIME}");
        let headers = format!("{SIGNED}:{listed};{TIME}:{}", now.as_millisecond());
        let [path, _] = paths(head);
        let signature = Encoding::Hex.encode(&digest(key, head, &path, &headers, body));
        let not_a_header = |_| CannotSign("a value cannot stand in a header".into());
        head.headers.insert(TIME, HeaderValue::from(now.as_millisecond()));
        head.headers.insert(SIGNED, HeaderValue::try_from(listed).map_err(not_a_header)?);
        head.headers.insert(SIGNATURE, HeaderValue::try_from(signature).map_err(not_a_header)?);
        Ok(())
    }

    fn preset(&self) -> Option<&'static Preset> {
        Some(self.preset)
    }
}
