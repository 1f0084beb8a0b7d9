//! A delivery as it leaves: its body, and the signatures of it.

use super::{FORM, JSON, Key, Signs, Subscription};
use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use hookflow_text::Json;
use hookflow_trigger::to_base64;
use http::header::{CONTENT_TYPE, HeaderName};
use http::{HeaderMap, HeaderValue, Request};
use jiff::Timestamp;
use sha2::Sha256;
use url::form_urlencoded::Serializer;

const X_SIGNATURE: HeaderName = HeaderName::from_static("x-signature");
const WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");
const WEBHOOK_TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const WEBHOOK_SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");

/// What a delivery carries.
#[derive(Debug, Clone, Copy)]
pub struct Message<'m> {
    /// The delivery's ID, the same in each of its tries.
    pub delivery: &'m str,
    /// The event's ID.
    pub event_id: &'m str,
    /// The event's name.
    pub event: &'m str,
    /// When the event was emitted.
    pub created_at: Timestamp,
    /// What the event carries, as JSON: these bytes are sent.
    pub data: &'m str,
}

impl Subscription {
    /// One try of a delivery, which leaves `now`.
    ///
    /// # Errors
    /// Why it cannot be sent.
    pub fn request(&self, message: &Message<'_>, now: Timestamp) -> Result<Request<Bytes>, String> {
        let body = if self.form { form(message)? } else { document(message) };
        let request = Request::builder().method(&self.method).uri(self.callback_url.as_str());
        let request = request.body(Bytes::from(body));
        let mut request = request.map_err(|_| "its URL cannot be called".to_owned())?;
        let body = request.body().clone();
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(if self.form { FORM } else { JSON }));
        insert(headers, WEBHOOK_ID, message.delivery)?;
        if self.signs != Signs::StandardWebhooks {
            self.sign_plainly(headers, &body)?;
        }
        if self.signs != Signs::XSignature {
            self.sign_as_standard(headers, message.delivery, &body, now)?;
        }
        Ok(request)
    }

    /// The first secret's signature stands where everybody looks for it, and each further one in a header of its own, so that
    /// a receiver with either secret finds one that fits.
    fn sign_plainly(&self, headers: &mut HeaderMap, body: &[u8]) -> Result<(), String> {
        for (n, Key { text, .. }) in self.secrets.iter().enumerate() {
            let name = match n {
                0 => X_SIGNATURE,
                n => HeaderName::try_from(format!("x-signature-{}", n + 1)).map_err(|it| it.to_string())?,
            };
            insert(headers, name, &hex(&mac(text.expose(), &[body])))?;
        }
        Ok(())
    }

    pub(super) fn sign_as_standard(
        &self,
        headers: &mut HeaderMap,
        id: &str,
        body: &[u8],
        now: Timestamp,
    ) -> Result<(), String> {
        let timestamp = now.as_second().to_string();
        let keys = self.secrets.iter().filter_map(|key| key.decoded.as_ref());
        let sign = |key: &hookflow_text::Secret| {
            let mac = mac(key.expose(), &[id.as_bytes(), b".", timestamp.as_bytes(), b".", body]);
            format!("v1,{}", to_base64(&mac))
        };
        let signatures = keys.map(sign).collect::<Vec<_>>().join(" ");
        insert(headers, WEBHOOK_TIMESTAMP, &timestamp)?;
        insert(headers, WEBHOOK_SIGNATURE, &signatures)
    }
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) -> Result<(), String> {
    let value = HeaderValue::from_str(value).map_err(|error| error.to_string())?;
    headers.insert(name, value);
    Ok(())
}

/// Written around the data, which stays as it was kept to the byte.
fn document(message: &Message<'_>) -> String {
    let text = |value: &str| Json::from(value).to_string();
    format!(
        r#"{{"id":{},"event":{},"created_at":{},"data":{}}}"#,
        text(message.event_id),
        text(message.event),
        text(&message.created_at.to_string()),
        message.data
    )
}

/// The same as the fields of a form: `data[a][b]=…`, `data[list][0]=…`.
fn form(message: &Message<'_>) -> Result<String, String> {
    let mut parser = serde_json::Deserializer::from_str(message.data);
    parser.disable_recursion_limit();
    let data = <Json as serde::Deserialize>::deserialize(&mut parser).map_err(|error| error.to_string())?;
    let mut fields = Serializer::new(String::new());
    fields.append_pair("id", message.event_id);
    fields.append_pair("event", message.event);
    fields.append_pair("created_at", &message.created_at.to_string());
    write("data", &data, &mut fields);
    Ok(fields.finish())
}

/// What is null or empty is there, with an empty text.
fn write(name: &str, value: &Json, fields: &mut Serializer<'_, String>) {
    match value {
        Json::Object(map) if !map.is_empty() => {
            for (key, value) in map {
                write(&format!("{name}[{key}]"), value, fields);
            }
        }
        Json::Array(items) if !items.is_empty() => {
            for (n, value) in items.iter().enumerate() {
                write(&format!("{name}[{n}]"), value, fields);
            }
        }
        Json::String(text) => drop(fields.append_pair(name, text)),
        Json::Bool(_) | Json::Number(_) => drop(fields.append_pair(name, &value.to_string())),
        Json::Null | Json::Object(_) | Json::Array(_) => drop(fields.append_pair(name, "")),
    }
}

fn mac(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    // Every length of a key is taken.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return Vec::new() };
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}
