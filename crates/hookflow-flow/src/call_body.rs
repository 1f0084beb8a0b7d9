//! What a call carries: bytes that the run has made, and files of its event, which are named and stay where they are.

use crate::flow::hex;
use bytes::{BufMut as _, Bytes, BytesMut};
use hookflow_text::Json;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use std::borrow::Cow;
use std::sync::Arc;

/// The body of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallBody {
    /// In memory; empty for none.
    Bytes(Bytes),
    /// A file of the event.
    File(FileRef),
    /// `multipart/form-data`.
    Multipart(Multipart),
}

/// A file of the run's event, known by what it holds: equal bytes are the same file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRef {
    /// The digest of its content, in hex.
    pub sha256: Arc<str>,
    /// How many bytes it has.
    pub size: u64,
}

/// The parts of a `multipart/form-data` body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Multipart {
    /// What stands between them; nobody who sends a file can know it before.
    pub boundary: String,
    /// In the order of the file.
    pub parts: Vec<Part>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The field's name.
    pub name: String,
    /// Of a file.
    pub filename: Option<String>,
    /// Its content type, if it says one.
    pub media_type: Option<String>,
    /// What it holds.
    pub content: Piece,
}

/// A stretch of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// In memory.
    Bytes(Bytes),
    /// All of a file of the event.
    File(FileRef),
}

impl Piece {
    /// How many bytes it has.
    pub fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File(file) => file.size,
        }
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl CallBody {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Bytes(bytes) if bytes.is_empty())
    }

    /// How many bytes it has.
    pub fn len(&self) -> u64 {
        self.pieces().iter().map(Piece::len).sum()
    }

    /// What leaves, in order.
    pub fn pieces(&self) -> Vec<Piece> {
        match self {
            Self::Bytes(bytes) => vec![Piece::Bytes(bytes.clone())],
            Self::File(file) => vec![Piece::File(file.clone())],
            Self::Multipart(multipart) => multipart.pieces(),
        }
    }

    /// What is known of each part of a `multipart` body, or of the one file that it is: names, types, sizes, digests, and
    /// the text of what is text.
    pub fn parts(&self) -> Json {
        match self {
            Self::Bytes(_) => Json::Array(Vec::new()),
            Self::File(file) => Json::Array(vec![json!({"size": file.size, "sha256": &*file.sha256})]),
            Self::Multipart(multipart) => multipart.parts.iter().map(Part::known).collect(),
        }
    }

    /// For people: a file of the event is a line that says which it is.
    pub fn shown(&self) -> Cow<'_, [u8]> {
        if let Self::Bytes(bytes) = self {
            return Cow::Borrowed(bytes);
        }
        let mut shown = Vec::new();
        for piece in self.pieces() {
            match piece {
                Piece::Bytes(bytes) => shown.extend_from_slice(&bytes),
                Piece::File(FileRef { sha256, size }) => {
                    shown.extend_from_slice(format!("[a file of {size} bytes, sha256 {sha256}]").as_bytes());
                }
            }
        }
        Cow::Owned(shown)
    }
}

impl<B: Into<Bytes>> From<B> for CallBody {
    fn from(bytes: B) -> Self {
        Self::Bytes(bytes.into())
    }
}

impl Part {
    fn known(&self) -> Json {
        let (sha256, text) = match &self.content {
            Piece::File(file) => (file.sha256.to_string(), None),
            Piece::Bytes(bytes) => (hex(&Sha256::digest(bytes)), std::str::from_utf8(bytes).ok()),
        };
        let (size, name) = (self.content.len(), &self.name);
        let mut known = json!({"name": name, "filename": self.filename, "type": self.media_type, "size": size, "sha256": sha256});
        if let (Json::Object(known), Some(text)) = (&mut known, text) {
            known.insert("text".to_owned(), text.into());
        }
        known
    }
}

impl Multipart {
    fn pieces(&self) -> Vec<Piece> {
        let mut pieces = Vec::with_capacity(2 * self.parts.len() + 1);
        let mut between = String::new();
        for Part { name, filename, media_type, content } in &self.parts {
            between.push_str(&format!("--{}\r\nContent-Disposition: form-data; name=\"", self.boundary));
            quote(name, &mut between);
            between.push('"');
            if let Some(filename) = filename {
                between.push_str("; filename=\"");
                quote(filename, &mut between);
                between.push('"');
            }
            if let Some(media_type) = media_type {
                between.push_str(&format!("\r\nContent-Type: {media_type}"));
            }
            between.push_str("\r\n\r\n");
            add(&mut pieces, Piece::Bytes(std::mem::take(&mut between).into()));
            add(&mut pieces, content.clone());
            between.push_str("\r\n");
        }
        between.push_str(&format!("--{}--\r\n", self.boundary));
        add(&mut pieces, Piece::Bytes(between.into()));
        pieces
    }
}

/// Bytes that follow each other are one piece.
fn add(pieces: &mut Vec<Piece>, piece: Piece) {
    if let (Some(Piece::Bytes(before)), Piece::Bytes(more)) = (pieces.last_mut(), &piece) {
        let mut both = BytesMut::with_capacity(before.len() + more.len());
        both.put_slice(before);
        both.put_slice(more);
        *before = both.freeze();
    } else {
        pieces.push(piece);
    }
}

/// A name between quotes, as browsers write it. The backslash goes the same way: some readers take it for an escape, and
/// the rest of the line would then mean something else to them.
fn quote(name: &str, out: &mut String) {
    for c in name.chars() {
        match c {
            '"' | '\\' => percent(c, out),
            c if c.is_ascii_control() => percent(c, out),
            c => out.push(c),
        }
    }
}

fn percent(c: char, out: &mut String) {
    out.push_str(&format!("%{:02X}", u32::from(c)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_name_stays_between_its_quotes() {
        let part = Part {
            name: "a\"; filename=\"x".into(),
            filename: Some("é\r\nX-Evil: 1\r\n\r\n\\\"\0.txt".into()),
            media_type: Some("text/plain".into()),
            content: Piece::Bytes("hi".into()),
        };
        let body = CallBody::Multipart(Multipart { boundary: "b".into(), parts: vec![part] });
        let text = "--b\r\nContent-Disposition: form-data; name=\"a%22; filename=%22x\"; \
                    filename=\"é%0D%0AX-Evil: 1%0D%0A%0D%0A%5C%22%00.txt\"\r\nContent-Type: text/plain\r\n\r\nhi\r\n--b--\r\n";
        assert_eq!(body.pieces(), [Piece::Bytes(text.into())]);
        assert_eq!(body.len(), text.len() as u64);
    }

    #[test]
    fn a_file_is_named_and_not_held() {
        let file = FileRef { sha256: "ab".into(), size: 1 << 40 };
        let part =
            |name: &str, content| Part { name: name.into(), filename: None, media_type: None, content };
        let parts = vec![part("a", Piece::Bytes("1".into())), part("b", Piece::File(file.clone()))];
        let body = CallBody::Multipart(Multipart { boundary: "b".into(), parts });
        assert_eq!(body.pieces().len(), 3);
        assert_eq!(body.len(), (1 << 40) + body.pieces()[0].len() + body.pieces()[2].len());
        let shown = String::from_utf8(body.shown().into_owned()).unwrap();
        assert!(shown.contains("\r\n\r\n[a file of 1099511627776 bytes, sha256 ab]\r\n--b--"), "{shown}");
        assert!(!CallBody::File(file).is_empty() && CallBody::from("").is_empty());
    }
}
