//! PayPal: an RSA signature in the head over the ID, the time, the webhook's ID and the CRC-32 of the body, by a
//! certificate whose URL stands there too.

use super::super::algorithm::Encoding;
use super::super::certificate::Trust;
use super::super::only_the_sender;
use super::super::public_key::Making;
use super::Sender;
use crate::auth_scheme::{CannotSign, HeadProof, Reason, ReplayId, Secrets, Verifier};
use crate::headers::only_text;
use crate::{Fetched, Head, Preset};
use hookflow_text::{Diagnostics, Fields, Secret};
use http::header::HeaderName;
use jiff::Timestamp;
use std::time::Duration;

pub(super) static SENDER: Sender = Sender { preset: "paypal", load };

const ID: HeaderName = HeaderName::from_static("paypal-transmission-id");
const TIME: HeaderName = HeaderName::from_static("paypal-transmission-time");
const SIGNATURE: HeaderName = HeaderName::from_static("paypal-transmission-sig");
const CERTIFICATE: HeaderName = HeaderName::from_static("paypal-cert-url");
const ALGORITHM: HeaderName = HeaderName::from_static("paypal-auth-algo");

const HOSTS: [&str; 4] =
    ["api.paypal.com", "api-m.paypal.com", "api.sandbox.paypal.com", "api-m.sandbox.paypal.com"];
/// The longest URL of a certificate.
const LONGEST_URL: usize = 256;
/// What the names in its certificates end with.
const NAMES: &[&str] = &[".paypal.com"];
/// PayPal tries again for three days.
const REMEMBER: Duration = Duration::from_hours(72);

#[derive(Debug)]
struct Paypal {
    preset: &'static Preset,
    webhooks: Vec<Secret>,
    trust: Trust,
}

/// What the head says of the signature.
struct Transmission<'h> {
    id: &'h str,
    time: &'h str,
    certificate: &'h str,
    signature: Vec<u8>,
}

fn load(
    preset: &'static Preset,
    fields: &mut Fields<'_>,
    secrets: &Secrets<'_>,
    diagnostics: &mut Diagnostics,
) -> Option<Box<dyn Verifier>> {
    let webhooks = secrets.any(fields, "secret", "secrets", diagnostics);
    let trust = Trust::load(NAMES, fields, secrets, diagnostics)?;
    let webhooks = webhooks?.into_iter().map(|(_, id)| id).collect();
    Some(Box::new(Paypal { preset, webhooks, trust }))
}

/// The host and the path of an https URL that has nothing else.
pub(super) fn https(url: &str) -> Option<(&str, &str)> {
    let rest = url.strip_prefix("https://")?;
    let (host, path) = rest.split_at_checked(rest.find('/')?)?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._/".contains(&byte);
    let sound = rest.bytes().all(plain) && !rest.contains("..") && url.len() <= LONGEST_URL;
    (sound && !host.is_empty()).then_some((host, path))
}

fn is_paypals(url: &str) -> bool {
    https(url)
        .is_some_and(|(host, path)| HOSTS.contains(&host) && path.starts_with("/v1/notifications/certs/"))
}

fn transmission(head: &Head) -> Result<Transmission<'_>, Reason> {
    let text = |name| only_text(&head.headers, &name).map_err(|why| Reason::header(&why, &name));
    let (id, time) = (text(ID)?, text(TIME)?);
    // A value that holds the separator could move bytes across it under the same signature.
    for (name, value) in [(ID, id), (TIME, time)] {
        if value.is_empty() || value.contains('|') {
            return Err(Reason::Unexpected(format!("the header `{name}`")));
        }
    }
    if text(ALGORITHM)? != "SHA256withRSA" {
        return Err(Reason::Unexpected(format!("the header `{ALGORITHM}`")));
    }
    let certificate = text(CERTIFICATE)?;
    if !is_paypals(certificate) {
        return Err(Reason::Unexpected(format!("the header `{CERTIFICATE}`")));
    }
    let signature = Encoding::Base64
        .decode(text(SIGNATURE)?)
        .ok_or_else(|| Reason::Unreadable(format!("the header `{SIGNATURE}`")))?;
    Ok(Transmission { id, time, certificate, signature })
}

impl Verifier for Paypal {
    fn verify_head(&self, head: &Head) -> Result<HeadProof, Reason> {
        transmission(head).map(|_| HeadProof::NeedsBody)
    }

    fn verify_body(
        &self,
        head: &Head,
        body: &[u8],
        now: Timestamp,
        fetched: &Fetched,
    ) -> Result<Option<ReplayId>, Reason> {
        let Transmission { id, time, certificate, signature } = transmission(head)?;
        let keys = self.trust.keys(certificate, now, fetched)?;
        let sum = crc32(body).to_string();
        let fits = self.webhooks.iter().any(|webhook| {
            let parts = [id.as_bytes(), time.as_bytes(), webhook.expose(), sum.as_bytes()];
            let content = parts.join(&b'|');
            keys.iter().any(|key| key.verifies(Making::RsaSha256, &content, &signature))
        });
        if fits {
            Ok(Some(ReplayId { id: id.to_owned(), remember: REMEMBER }))
        } else {
            Err(Reason::Mismatch)
        }
    }

    fn fetches(&self) -> bool {
        self.trust.fetches()
    }

    fn sign(&self, _: &mut Head, _: &[u8], _: Timestamp) -> Result<(), CannotSign> {
        Err(only_the_sender())
    }

    fn preset(&self) -> Option<&'static Preset> {
        Some(self.preset)
    }
}

/// The CRC-32 that zip and Ethernet use.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |sum: u32, byte: &u8| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| {
            let low = (sum & 1).wrapping_neg();
            (sum >> 1) ^ (0xedb8_8320 & low)
        })
    };
    !bytes.iter().fold(!0, step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_is_the_common_one() {
        assert_eq!(crc32(b""), 0);
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn only_paypals_certificates_count() {
        for (url, expected) in [
            ("https://api.paypal.com/v1/notifications/certs/CERT-360caa42-fca2a594", true),
            ("https://api.sandbox.paypal.com/v1/notifications/certs/CERT-1", true),
            ("http://api.paypal.com/v1/notifications/certs/CERT-1", false),
            ("https://api.paypal.com.evil.test/v1/notifications/certs/CERT-1", false),
            ("https://api.paypal.com@evil.test/v1/notifications/certs/CERT-1", false),
            ("https://api.paypal.com/other", false),
            ("https://api.paypal.com", false),
            ("https://", false),
        ] {
            assert_eq!(is_paypals(url), expected, "{url}");
        }
    }
}
