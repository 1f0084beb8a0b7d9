//! Certificates that a request names by URL: how one is read, and whose counts.
//!
//! It is fetched over TLS from a host of the sender's own, which is what proves it: no chain is built here. What is
//! still asked is that it is for a name of the sender's, and that it is valid at the moment.

use super::algorithm::KeyRule;
use super::public_key::{KeyKind, PublicKey, decode, element, key_within, parts, sequence};
use crate::auth_scheme::{Reason, Secrets};
use hookflow_text::{Diagnostics, Fields};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use std::sync::Arc;

/// A fetched certificate: what verifying needs of it.
#[derive(Debug, Clone)]
pub struct Certificate {
    key: [PublicKey; 1],
    /// The common name of its subject, in small letters.
    name: String,
    from: Timestamp,
    until: Timestamp,
}

/// The certificates that were fetched for a request, by their URLs.
#[derive(Debug, Default)]
pub struct Fetched(Vec<(String, Arc<Certificate>)>);

/// Whose keys verify.
#[derive(Debug)]
pub(super) enum Trust {
    /// Those that the file lists.
    Listed(Vec<PublicKey>),
    /// Those of certificates behind the URLs in the requests, for a name with one of these endings.
    Fetched(&'static [&'static str]),
}

impl Certificate {
    /// Reads the first certificate of a PEM text; nothing when there is none with an RSA key.
    pub fn read(pem: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(pem).ok()?;
        let der = decode(text.get(text.find("-----BEGIN ")?..)?, &KeyRule::default())?;
        let key = PublicKey::of(KeyKind::Rsa, key_within(&der, KeyKind::Rsa)?.to_vec());
        let parts = parts(&der)?;
        let (_, from, rest) = element(parts.dates)?;
        let (_, until, _) = element(rest)?;
        let name = common_name(parts.subject)?.to_ascii_lowercase();
        Some(Self { key: [key], name, from: moment(from)?, until: moment(until)? })
    }

    /// The last moment at which it is valid.
    pub fn until(&self) -> Timestamp {
        self.until
    }
}

impl Fetched {
    /// Adds what is behind a URL.
    pub fn add(&mut self, url: String, certificate: Arc<Certificate>) {
        self.0.push((url, certificate));
    }

    fn get(&self, url: &str) -> Option<&Certificate> {
        self.0.iter().find(|(other, _)| other == url).map(|(_, certificate)| &**certificate)
    }
}

impl Trust {
    /// Reads `public_key`; without it certificates are fetched, and count when their names end like this.
    pub(super) fn load(
        endings: &'static [&'static str],
        fields: &mut Fields<'_>,
        secrets: &Secrets<'_>,
        diagnostics: &mut Diagnostics,
    ) -> Option<Self> {
        let Some(node) = fields.take("public_key") else { return Some(Self::Fetched(endings)) };
        PublicKey::read_all(node, KeyKind::Rsa, &KeyRule::default(), secrets, diagnostics).map(Self::Listed)
    }

    pub(super) fn fetches(&self) -> bool {
        matches!(self, Self::Fetched(_))
    }

    /// The keys for a request that names this URL, which was judged.
    pub(super) fn keys<'k>(
        &'k self,
        url: &str,
        now: Timestamp,
        fetched: &'k Fetched,
    ) -> Result<&'k [PublicKey], Reason> {
        let endings = match self {
            Self::Listed(keys) => return Ok(keys),
            Self::Fetched(endings) => endings,
        };
        let found = fetched.get(url).ok_or_else(|| Reason::NotFetched(url.to_owned()))?;
        let Certificate { key, name, from, until } = found;
        let is_theirs = endings.iter().any(|ending| name.ends_with(ending));
        if is_theirs && (*from..=*until).contains(&now) {
            Ok(key)
        } else {
            Err(Reason::Unexpected("the sender's certificate".into()))
        }
    }
}

/// The common name in a subject: a sequence of sets of attributes.
fn common_name(mut subject: &[u8]) -> Option<&str> {
    const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
    while let Some((_, set, rest)) = element(subject) {
        let (attribute, _) = sequence(set)?;
        let (_, identifier, value) = element(attribute)?;
        if identifier == COMMON_NAME {
            return std::str::from_utf8(element(value)?.1).ok();
        }
        subject = rest;
    }
    None
}

/// A moment as certificates write it: with two digits of the year up to 2049, with four from then on.
fn moment(written: &[u8]) -> Option<Timestamp> {
    let text = std::str::from_utf8(written).ok()?;
    let whole = match text.len() {
        13 => format!("{}{text}", if text < "50" { "20" } else { "19" }),
        _ => text.to_owned(),
    };
    let when = DateTime::strptime("%Y%m%d%H%M%SZ", whole).ok()?;
    TimeZone::UTC.to_timestamp(when).ok()
}

#[cfg(test)]
mod tests;
