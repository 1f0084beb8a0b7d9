//! An event at rest: what is kept so that the same event stands there again after a restart.

use super::{Came, Event, Origin, Proof};
use crate::decoder::{Decoded, FilePart};
use crate::headers::latin1;
use crate::{Blob, BlobFault, Body, BodySpec, DecodeRefusal, Head, Means, ReplayId, Route};
use bytes::Bytes;
use hookflow_expr::XmlShape;
use hookflow_text::Json;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// An event at rest, in two parts. What it has spooled stays where it is: [`Event::blobs`] names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRecord {
    /// Everything but the body, as JSON.
    pub head: String,
    /// The body as it was on the wire; empty when it is a blob.
    pub body: Bytes,
}

/// Why a record is no event.
#[derive(Debug, thiserror::Error)]
pub enum RecordFault {
    /// The head is not what this version writes.
    #[error("the stored event cannot be read: {0}")]
    Head(String),
    /// The body does not decode any more.
    #[error("the stored event cannot be decoded: {0}")]
    Body(#[from] DecodeRefusal),
}

impl RecordFault {
    /// Whether another try would end in the same.
    pub const fn is_lasting(&self) -> bool {
        !matches!(
            self,
            Self::Body(
                DecodeRefusal::NoRoom
                    | DecodeRefusal::Blob(BlobFault::Unavailable(_) | BlobFault::Full { .. })
            )
        )
    }
}

/// The head's fields. A new version may add optional ones and never changes what one means. Written, texts stand where they are.
#[derive(Serialize, Deserialize)]
struct Fields<'e> {
    id: Arc<str>,
    origin: Origin,
    flow: Arc<str>,
    suffix: Cow<'e, str>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    params: Vec<(Arc<str>, String)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    system: Option<Arc<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    credential: Option<Arc<str>>,
    /// The ID and for how many seconds it is remembered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    replay: Option<(Cow<'e, str>, u64)>,
    method: Cow<'e, str>,
    path: Cow<'e, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    query: Option<Cow<'e, str>>,
    /// Each byte of a value as the character of that number, so that every value can be kept.
    headers: Vec<(Cow<'e, str>, Cow<'e, str>)>,
    ip: IpAddr,
    received_at: Timestamp,
    base_url: Arc<str>,
    format: Cow<'e, str>,
    /// The prefix of attributes, the key of text and the lists; the usual ones when it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    xml: Option<(String, String, Vec<String>)>,
    limit: u64,
    /// The body as it was on the wire, when it is a blob.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    wire: Option<BlobAtRest>,
    /// The body without its content encoding, when it is a blob.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    content: Option<BlobAtRest>,
    /// What became of such a body when it was files: they are not read again only to be known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    decoded: Option<DecodedAtRest>,
}

/// A blob's ID and its bytes.
type BlobAtRest = (Arc<str>, u64);

#[derive(Serialize, Deserialize)]
struct DecodedAtRest {
    value: Json,
    files: Vec<FileAtRest>,
}

/// A file in a content that is a blob.
#[derive(Serialize, Deserialize)]
struct FileAtRest {
    name: String,
    filename: Option<String>,
    media_type: Option<String>,
    start: u64,
    length: u64,
    sha256: Option<String>,
}

impl Event {
    /// What has to be kept of it.
    pub fn to_record(&self) -> EventRecord {
        let parts = &self.0;
        let Route { flow, suffix, params, system } = &parts.route;
        let head = &parts.head;
        let headers = head.headers.iter().map(|(name, value)| (name.as_str().into(), as_characters(value)));
        let fields = Fields {
            id: Arc::clone(&parts.id),
            origin: parts.origin,
            flow: Arc::clone(flow),
            suffix: suffix.into(),
            params: params.clone(),
            system: system.clone(),
            credential: parts.credential.clone(),
            replay: parts.replay.as_ref().map(|replay| ((&replay.id).into(), replay.remember.as_secs())),
            method: head.method.as_str().into(),
            path: (&head.path).into(),
            query: head.query.as_ref().map(Cow::from),
            headers: headers.collect(),
            ip: head.ip,
            received_at: head.received_at,
            base_url: Arc::clone(&head.base_url),
            format: parts.spec.format().into(),
            xml: Some(parts.spec.xml())
                .filter(|xml| **xml != XmlShape::default())
                .map(|xml| (xml.attributes.clone(), xml.text.clone(), xml.lists.clone())),
            limit: parts.spec.limit(),
            wire: parts.wire.spooled().map(blob_at_rest),
            content: parts.content.spooled().map(blob_at_rest),
            decoded: self.decoded_at_rest(),
        };
        // Every field has a JSON form; were that to change, reading the record back would say so.
        let head = serde_json::to_string(&fields).unwrap_or_default();
        EventRecord { head, body: parts.wire.held().cloned().unwrap_or_default() }
    }

    fn decoded_at_rest(&self) -> Option<DecodedAtRest> {
        let parts = &self.0;
        let files = parts.files.iter().filter_map(|file| {
            let content = file.content.spooled()?;
            Some(FileAtRest {
                name: file.name.clone(),
                filename: file.filename.clone(),
                media_type: file.media_type.clone(),
                start: content.start(),
                length: content.len(),
                sha256: file.sha256.clone(),
            })
        });
        let files: Vec<_> = files.collect();
        (!files.is_empty()).then(|| DecodedAtRest { value: (*parts.value).clone(), files })
    }

    /// The event that was kept, with the blobs that were kept for it.
    ///
    /// # Errors
    /// When the record was damaged, or written by another version in a way that this one does not know.
    pub fn from_record(record: EventRecord, means: &mut Means<'_>) -> Result<Self, RecordFault> {
        let fields: Fields<'_> =
            serde_json::from_str(&record.head).map_err(|error| RecordFault::Head(error.to_string()))?;
        let unknown = |what: &str| RecordFault::Head(format!("its {what} is not known"));
        let mut headers = HeaderMap::new();
        for (name, value) in &fields.headers {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| unknown("header"))?;
            let bytes: Option<Vec<u8>> = value.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect();
            let value = bytes.and_then(|bytes| HeaderValue::from_bytes(&bytes).ok());
            headers.append(name, value.ok_or_else(|| unknown("header"))?);
        }
        let head = Head {
            method: fields.method.parse().map_err(|_| unknown("method"))?,
            path: fields.path.into_owned(),
            query: fields.query.map(Cow::into_owned),
            headers,
            ip: fields.ip,
            received_at: fields.received_at,
            base_url: fields.base_url,
        };
        let spec = BodySpec::of_format(&fields.format, fields.limit).ok_or_else(|| unknown("body format"))?;
        let spec = match fields.xml {
            Some((attributes, text, lists)) => spec.with_xml(XmlShape { attributes, text, lists }),
            None => spec,
        };
        let Fields { flow, suffix, params, system, .. } = fields;
        let route = Route { flow, suffix: suffix.into_owned(), params, system };
        let replay = fields
            .replay
            .map(|(id, seconds)| ReplayId { id: id.into_owned(), remember: Duration::from_secs(seconds) });
        let proof = Proof { origin: fields.origin, credential: fields.credential, replay };
        let blob = |rest: Option<BlobAtRest>| match (rest, &means.blobs) {
            (None, _) => Ok(None),
            (Some((id, len)), Some(blobs)) => Ok(Some(Body::Spooled(Blob::kept(blobs, id, len)))),
            (Some(_), None) => Err(unknown("blob")),
        };
        let wire = blob(fields.wire)?.unwrap_or(Body::Held(record.body));
        let (content, decoded) = match (blob(fields.content)?, fields.decoded) {
            (Some(content), Some(decoded)) => {
                let decoded = decoded.of(&content);
                (content, decoded)
            }
            (Some(content), None) => {
                let decoded = spec.decode_content(&head.headers, &content, means)?;
                (content, decoded)
            }
            (None, _) => spec.decode(&head.headers, &wire, means)?,
        };
        Ok(Self::build(fields.id, proof, head, Came { wire, content, decoded }, spec, route))
    }
}

impl DecodedAtRest {
    fn of(self, content: &Body) -> Decoded {
        let files = self.files.into_iter().map(|file| {
            let FileAtRest { name, filename, media_type, start, length, sha256 } = file;
            let content = content.slice(start..start.saturating_add(length));
            FilePart { name, filename, media_type, content, sha256 }
        });
        Decoded { value: self.value, files: files.collect() }
    }
}

/// Most values are ASCII, and stand as they are.
fn as_characters(value: &HeaderValue) -> Cow<'_, str> {
    value.to_str().map_or_else(|_| latin1(value.as_bytes()).into(), Cow::Borrowed)
}

fn blob_at_rest(blob: &Blob) -> BlobAtRest {
    (Arc::clone(blob.id()), blob.len())
}
