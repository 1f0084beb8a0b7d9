//! What is remembered of one try of a call beside its outcome. It is written with the try's fact, in the same row, and no
//! replay reads it.

use crate::{CallBody, WaitToken};
use hookflow_text::Json;
use hookflow_trigger::to_base64;
use http::header::{AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION};
use http::{HeaderMap, HeaderName};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::sync::Arc;

/// The largest body that a list of attempts shows whole. The whole of a larger one is shown with its attempt alone.
pub const ATTEMPT_BODY: usize = 64 << 10;
/// The most of a body that is kept with an attempt; of a larger one, its beginning.
pub const ATTEMPT_BODY_KEPT: usize = 1 << 20;
/// How much of a larger body stands in a list.
const LISTED: usize = 4 << 10;
/// Headers of a request that are never shown, whoever has written them.
pub const MASKED_IN_REQUESTS: [HeaderName; 3] = [AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION];
/// What stands in place of what is not shown.
pub const MASK: &str = "***";

/// One try of a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// The step's ID, or its path.
    pub step: Arc<str>,
    /// What it went by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub integration: Option<Arc<str>>,
    /// Which of its webhooks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<Arc<str>>,
    /// What the other side knows it again by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transactional_id: Option<Arc<str>>,
    /// When it left, or would have.
    pub began_at: Timestamp,
    /// How long it took in milliseconds; `None`: it never left, or nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took_ms: Option<u64>,
    /// Whether it was good in the eyes of the flow.
    pub ok: bool,
    /// What was sent, masked.
    pub request: SentRequest,
    /// The redirects that were followed, in order; the last one's URL is who answered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hops: Vec<SentHop>,
    /// What was answered, when the outcome does not hold it or it is large.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<UnreadAnswer>,
}

/// What was sent, without what nobody is to see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentRequest {
    /// The method.
    pub method: String,
    /// The whole URL.
    pub url: String,
    /// By lower-case name; repeated ones joined with a comma.
    pub headers: serde_json::Map<String, Json>,
    /// `None` for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<KeptBody>,
}

/// A redirect that was followed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentHop {
    /// The answer that asked for it.
    pub status: u16,
    /// The method that it went on with.
    pub method: String,
    /// Where it led; what was in its query is not shown, for it is often what opens a file to whoever has it.
    pub url: String,
}

/// An answer that could not be read as its call wanted it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnreadAnswer {
    /// The status.
    pub status: u16,
    /// By lower-case name; repeated ones joined with a comma.
    pub headers: serde_json::Map<String, Json>,
    /// `None` for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<KeptBody>,
}

/// A body, or the beginning of one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptBody {
    /// How many bytes it had.
    pub bytes: u64,
    /// Its text, when it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Else its bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base64: Option<String>,
    /// The SHA-256 of all of it, in hex, when it is large; of a body with files, of all that tells of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Of a large one, that all of it is here, and not its beginning alone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub whole: bool,
}

impl SentRequest {
    /// A request as it may be written down. Values that are marked as sensitive are not, and of a file of the event only
    /// which it is.
    pub fn masked(method: &http::Method, url: &str, headers: &HeaderMap, body: &CallBody) -> Self {
        let kept = KeptBody::of(&body.shown());
        Self {
            method: method.as_str().to_owned(),
            url: shown(url),
            headers: header_texts(headers, &MASKED_IN_REQUESTS),
            body: kept.map(|kept| KeptBody { bytes: body.len(), ..kept }),
        }
    }
}

impl SentHop {
    /// A hop as it may be written down.
    pub fn masked(status: u16, method: &http::Method, url: &http::Uri) -> Self {
        let url = url.to_string();
        let url = url.split_once('?').map_or_else(|| url.clone(), |(place, _)| format!("{place}?{MASK}"));
        Self { status, method: method.as_str().to_owned(), url: shown(&url) }
    }
}

impl UnreadAnswer {
    /// An answer as it came.
    pub fn of(status: u16, headers: &HeaderMap, body: &[u8]) -> Self {
        Self { status, headers: header_texts(headers, &[]), body: KeptBody::of(body) }
    }
}

impl KeptBody {
    /// A body as it may be written down; `None` for an empty one.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        if bytes.is_empty() {
            return None;
        }
        let (is_large, whole) = (bytes.len() > ATTEMPT_BODY, bytes.len() <= ATTEMPT_BODY_KEPT);
        let start = bytes.get(..ATTEMPT_BODY_KEPT).unwrap_or(bytes);
        let text = match std::str::from_utf8(start) {
            Ok(text) => Some(text),
            // It was cut within a character.
            Err(cut) if !whole && cut.error_len().is_none() => {
                start.get(..cut.valid_up_to()).and_then(|start| std::str::from_utf8(start).ok())
            }
            Err(_) => None,
        };
        Some(Self {
            bytes: bytes.len() as u64,
            text: text.map(shown),
            base64: text.is_none().then(|| to_base64(start)),
            sha256: is_large.then(|| crate::flow::hex(&Sha256::digest(bytes))),
            whole: is_large && whole,
        })
    }

    /// Of a large one the beginning.
    fn outline(&self) -> Self {
        if self.sha256.is_none() {
            return self.clone();
        }
        let cut = |text: &String| {
            // Base64 stands in groups of four, and text is not cut within a character.
            let end = (0..=LISTED.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
            end.and_then(|end| text.get(..end)).unwrap_or_default().to_owned()
        };
        Self {
            bytes: self.bytes,
            text: self.text.as_ref().map(cut),
            base64: self.base64.as_ref().map(cut),
            sha256: self.sha256.clone(),
            whole: false,
        }
    }

    /// How many bytes it takes here.
    fn weight(&self) -> usize {
        [&self.text, &self.base64].into_iter().flatten().map(String::len).sum()
    }
}

impl Attempt {
    /// How many bytes it takes, more or less.
    pub fn weight(&self) -> usize {
        let (sent, answer) = (&self.request, self.answer.as_ref());
        let headers = std::iter::once(&sent.headers).chain(answer.map(|answer| &answer.headers));
        let headers = headers.flatten().map(|(name, value)| name.len() + hookflow_text::weight(value));
        let hops = self.hops.iter().map(|hop| hop.url.len());
        let bodies = self.bodies().map(KeptBody::weight);
        sent.url.len() + hops.sum::<usize>() + headers.sum::<usize>() + bodies.sum::<usize>()
    }

    /// Whether a body is too large for a list.
    pub fn is_large(&self) -> bool {
        self.bodies().any(|body| body.sha256.is_some())
    }

    /// The same with the beginnings of large bodies, for lists.
    #[must_use]
    pub fn outline(&self) -> Self {
        let cut = |body: &Option<KeptBody>| body.as_ref().map(KeptBody::outline);
        let request = SentRequest { body: cut(&self.request.body), ..self.request.clone() };
        let answer = self.answer.as_ref();
        let answer = answer.map(|answer| UnreadAnswer { body: cut(&answer.body), ..answer.clone() });
        Self { request, answer, ..self.clone() }
    }

    fn bodies(&self) -> impl Iterator<Item = &KeptBody> {
        let answer = self.answer.as_ref().and_then(|answer| answer.body.as_ref());
        self.request.body.iter().chain(answer)
    }
}

/// Headers as text, but those that are sensitive or named here.
pub fn header_texts(headers: &HeaderMap, masked: &[HeaderName]) -> serde_json::Map<String, Json> {
    let mut texts = serde_json::Map::new();
    for name in headers.keys() {
        let values: Vec<_> = headers.get_all(name).iter().collect();
        let text = if masked.contains(name) || values.iter().any(|value| value.is_sensitive()) {
            MASK.to_owned()
        } else {
            let text = |value: &&http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
            shown(&values.iter().map(text).collect::<Vec<_>>().join(", "))
        };
        texts.insert(name.as_str().to_owned(), text.into());
    }
    texts
}

/// Who sees a try is not who may go on with a run that waits.
fn shown(text: &str) -> String {
    WaitToken::mask(text).unwrap_or_else(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderValue, Method};
    use serde_json::json;

    #[test]
    fn what_is_secret_is_masked_when_it_is_written() {
        let mut headers = HeaderMap::new();
        headers.insert("authorization", HeaderValue::from_static("Bearer of a flow"));
        headers.append("x-many", HeaderValue::from_static("one"));
        headers.append("x-many", HeaderValue::from_static("two"));
        let mut secret = HeaderValue::from_static("quiet");
        secret.set_sensitive(true);
        headers.insert("x-key", secret);
        let place = crate::Place { step: crate::StepNumber(0), turns: Vec::new() };
        let token = WaitToken::mint("r-1", b"0123456789abcdef", &place);
        let url = format!("https://a.example/?back=https%3A%2F%2Fme%2Fresume%2F{token}");
        let sent = SentRequest::masked(&Method::POST, &url, &headers, &token.as_bytes().to_vec().into());
        let code = token.rsplit('~').next().unwrap();
        let far = format!("{}{token}", "x".repeat(2 * ATTEMPT_BODY)).into_bytes();
        let far = SentRequest::masked(&Method::POST, "/", &headers, &far.into()).body.unwrap();
        assert!(far.whole && !far.text.unwrap().contains(code), "wherever it stands");
        let text = serde_json::to_string(&sent).unwrap();
        assert!(!text.contains("quiet") && !text.contains("Bearer") && !text.contains(code), "{text}");
        assert_eq!(sent.headers.get("x-many"), Some(&json!("one, two")));
        assert_eq!(sent.headers.get("x-key"), Some(&json!(MASK)));
    }

    #[test]
    fn a_body_is_text_or_bytes_and_of_a_large_one_the_beginning_is_kept() {
        assert_eq!(KeptBody::of(b""), None);
        let small = KeptBody::of("grüß".as_bytes()).unwrap();
        assert_eq!((small.text.as_deref(), small.bytes, small.sha256), (Some("grüß"), 6, None));
        let bytes = KeptBody::of(&[0xff, 0, 1]).unwrap();
        assert_eq!((bytes.text, bytes.base64.as_deref()), (None, Some("/wAB")));
        let large = format!("x{}", "ü".repeat(ATTEMPT_BODY));
        let kept = KeptBody::of(large.as_bytes()).unwrap();
        assert_eq!((kept.bytes, kept.text.as_ref(), kept.whole), (large.len() as u64, Some(&large), true));
        let listed = kept.outline();
        assert_eq!(listed.text.as_ref().map(String::len), Some(LISTED - 1), "not within a character");
        assert_eq!((listed.bytes, &listed.sha256, listed.whole), (kept.bytes, &kept.sha256, false));
        assert_eq!(kept.sha256.map(|hash| hash.len()), Some(64));
        let larger = format!("x{}", "ü".repeat(ATTEMPT_BODY_KEPT));
        let kept = KeptBody::of(larger.as_bytes()).unwrap();
        assert_eq!((kept.bytes, kept.whole), (larger.len() as u64, false));
        assert_eq!(kept.text.map(|text| text.len()), Some(ATTEMPT_BODY_KEPT - 1), "not within a character");
        let noise = vec![0xff; ATTEMPT_BODY + 1];
        let listed = KeptBody::of(&noise).unwrap().outline().base64.unwrap();
        assert_eq!((listed.len(), listed.len() % 4), (LISTED, 0));
        assert!(KeptBody::of(&noise).unwrap().text.is_none());
    }
}
