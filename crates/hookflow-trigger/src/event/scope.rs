//! `webhook` in expressions.

use super::Event;
use crate::Body;
use crate::encoding;
use crate::headers::text_of;
use hookflow_expr::{Found, Lookup};
use hookflow_text::Json;
use http::header::SET_COOKIE;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use std::sync::Arc;

/// How much of a spooled body `webhook.raw` may be: it is memory that no queue has counted.
const LARGEST_RAW: u64 = 10 << 20;

impl Event {
    /// What `webhook` holds.
    pub const NAMES: [&str; 15] = [
        "id",
        "body",
        "raw",
        "files",
        "headers",
        "query",
        "params",
        "method",
        "path",
        "suffix",
        "url",
        "ip",
        "system",
        "credential",
        "received_at",
    ];
}

impl Lookup for Event {
    fn get(&self, name: &str) -> Option<Found> {
        let parts = &self.0;
        let text = |text: String| Json::String(text);
        let label =
            |label: Option<&Arc<str>>| label.map_or(Json::Null, |label| Json::String((**label).to_owned()));
        let value = match name {
            "body" => return Some(Found::Value(Arc::clone(&parts.value))),
            "raw" => return Some(parts.raw.get_or_init(|| self.raw()).clone()),
            "files" => {
                return Some(Found::Value(Arc::clone(self.file_list())));
            }
            "query" => return Some(Found::Value(Arc::clone(self.query()))),
            "headers" => return Some(Found::Part(Arc::new(Headers(self.clone())))),
            "id" => text((*parts.id).to_owned()),
            "params" => parts.route.params.iter().map(|(name, value)| (&**name, value.as_str())).collect(),
            "method" => text(parts.head.method.to_string()),
            "path" => text(parts.head.path.clone()),
            "suffix" => text(parts.route.suffix.clone()),
            "url" => text(parts.head.url()),
            "ip" => text(parts.head.ip.to_string()),
            "system" => label(parts.route.system.as_ref()),
            "credential" => label(parts.credential.as_ref()),
            "received_at" => text(parts.head.received_at.to_string()),
            _ => return None,
        };
        Some(Found::Value(Arc::new(value)))
    }

    fn names(&self) -> Vec<Arc<str>> {
        Self::NAMES.map(Arc::from).to_vec()
    }
}

impl Event {
    /// The body as text, without its content encoding: as it is when it is UTF-8 (a byte order mark stays), else in base64.
    /// A spooled one is read now, if it is not too large.
    fn raw(&self) -> Found {
        let body = &self.0.content;
        if body.spooled().is_some_and(|blob| blob.len() > LARGEST_RAW) {
            let most = LARGEST_RAW >> 20;
            return Found::Unreadable(
                format!("`webhook.raw` is larger than {most} MiB: use `webhook.files`").into(),
            );
        }
        match body.whole() {
            Ok(body) => Found::Value(Arc::new(Json::String(
                std::str::from_utf8(&body).map_or_else(|_| encoding::to_base64(&body), str::to_owned),
            ))),
            Err(fault) => Found::Unreadable(format!("`webhook.raw`: {fault}").into()),
        }
    }

    /// `webhook.headers`, all of them.
    pub fn headers(&self) -> serde_json::Map<String, Json> {
        let headers = Headers(self.clone());
        let named = headers.names().into_iter().filter_map(|name| {
            let Found::Value(value) = headers.get(&name)? else { return None };
            Some((name.to_string(), Json::clone(&value)))
        });
        named.collect()
    }

    /// The content of a file that came, by its digest as `webhook.files` tells it.
    pub fn file(&self, sha256: &str) -> Option<&Body> {
        let list = self.file_list().as_array()?;
        let at = list.iter().position(|file| file.get("sha256").and_then(Json::as_str) == Some(sha256))?;
        self.0.files.get(at).map(|file| &file.content)
    }

    fn file_list(&self) -> &Arc<Json> {
        self.0.file_list.get_or_init(|| Arc::new(self.files()))
    }

    /// `webhook.files`.
    pub fn files(&self) -> Json {
        let files = self.0.files.iter().map(|file| {
            json!({
                "name": file.name,
                "filename": file.filename,
                "type": file.media_type,
                "size": file.content.len(),
                "sha256": file.sha256.clone().or_else(|| {
                    file.content.held().map(|content| encoding::to_hex(&Sha256::digest(content)))
                }),
            })
        });
        files.collect()
    }
}

/// `webhook.headers`: lower-case names, looked up whatever their case; repeats joined by `, ` (RFC 9110), but for
/// `set-cookie`, which is a list when it repeats.
#[derive(Debug)]
struct Headers(Event);

impl Lookup for Headers {
    fn get(&self, name: &str) -> Option<Found> {
        let mut values = self.0.head().headers.get_all(name).iter();
        let mut value = Json::String(text_of(values.next()?).into_owned());
        for more in values {
            let more = text_of(more);
            match &mut value {
                Json::Array(items) => items.push(Json::String(more.into_owned())),
                first if name.eq_ignore_ascii_case(SET_COOKIE.as_str()) => {
                    *first = Json::Array(vec![first.take(), Json::String(more.into_owned())]);
                }
                Json::String(joined) => {
                    joined.push_str(", ");
                    joined.push_str(&more);
                }
                _ => {}
            }
        }
        Some(Found::Value(Arc::new(value)))
    }

    fn names(&self) -> Vec<Arc<str>> {
        self.0.head().headers.keys().map(|name| Arc::from(name.as_str())).collect()
    }
}
