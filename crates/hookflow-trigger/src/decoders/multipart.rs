//! `multipart/form-data`: fields like those of a form, and files.
//!
//! The body lies in memory, so a part is a range of it and nothing is copied but the fields. The delimiter counts only
//! as a whole line: text that merely begins like it is content.

use crate::decoder::{Decoded, Decoder, Encoded, FilePart};
use crate::media_type::{MediaType, text};
use crate::properties::Properties;
use crate::{DecodeRefusal, charset, header_value};
use bytes::Bytes;
use memchr::memmem::Finder;
use percent_encoding::percent_decode_str;

/// How many parts a body may have.
const MAX_PARTS: usize = 1_000;
/// How many bytes the headers of a part may take.
const MAX_PART_HEAD: usize = 8 << 10;
/// How many bytes the name of a part may have.
const MAX_NAME: usize = 1 << 10;
/// The longest boundary that the standard allows.
const MAX_BOUNDARY: usize = 70;

pub(super) static MULTIPART: Decoder = Decoder {
    name: "multipart",
    summary: "`multipart/form-data`: fields as in a form; parts with a file name, or with a type that is no text, \
              are in `webhook.files`.",
    suits: MediaType::is_multipart,
    takes: |media_type| media_type.is_some_and(MediaType::is_multipart),
    decode,
};

fn decode(body: &Encoded<'_>) -> Result<Decoded, DecodeRefusal> {
    let boundary =
        body.media_type.and_then(|media_type| media_type.parameter("boundary")).unwrap_or_default();
    if !(1..=MAX_BOUNDARY).contains(&boundary.len()) {
        return Err(malformed("its `Content-Type` has no boundary of 1 to 70 characters"));
    }
    let mut properties = Properties::default();
    let mut files = Vec::new();
    for (count, part) in Parts::of(body.content, boundary)?.enumerate() {
        if count >= MAX_PARTS {
            return Err(malformed("it has too many parts"));
        }
        let Part { name, filename, media_type, content } = Part::read(&part?)?;
        if filename.is_none() && media_type.as_ref().is_none_or(is_text) {
            let value = text(&content, media_type.as_ref()).map_err(|refusal| match refusal {
                // The place in the part would mislead.
                DecodeRefusal::Malformed { .. } => malformed("a field is not text in its charset"),
                other => other,
            })?;
            properties.add(&name, value.into_owned());
        } else {
            let media_type = media_type.map(|found| found.essence);
            files.push(FilePart { name, filename, media_type, content });
        }
    }
    Ok(Decoded { value: properties.finish(), files })
}

/// What a field may be; everything else is a file, whether it has a name or not.
fn is_text(media_type: &MediaType) -> bool {
    media_type.is_text() || media_type.is_json() || media_type.is_xml() || media_type.is_form()
}

/// What stands between the delimiters, one after the other.
struct Parts<'b> {
    body: &'b Bytes,
    delimiter: Finder<'static>,
    /// Where the next part begins; `None` after the last.
    next: Option<usize>,
}

impl<'b> Parts<'b> {
    fn of(body: &'b Bytes, boundary: &str) -> Result<Self, DecodeRefusal> {
        let delimiter = Finder::new(&format!("\r\n--{boundary}")).into_owned();
        let mut parts = Self { body, delimiter, next: None };
        // The first delimiter may be the first line, which no line break precedes.
        let first =
            body.strip_prefix(b"--".as_slice()).and_then(|rest| rest.strip_prefix(boundary.as_bytes()));
        parts.next = match first.and_then(line_end) {
            Some(LineEnd::Last) => None,
            Some(LineEnd::Part(length)) => Some(2 + boundary.len() + length),
            None => parts.seek(0)?.1,
        };
        Ok(parts)
    }

    /// Where the next delimiter begins, and where the part behind it does.
    fn seek(&self, from: usize) -> Result<(usize, Option<usize>), DecodeRefusal> {
        let rest = self.body.get(from..).unwrap_or_default();
        let found = self.delimiter.find_iter(rest).find_map(|at| {
            let after = at + self.delimiter.needle().len();
            let next = match line_end(rest.get(after..)?)? {
                LineEnd::Last => None,
                LineEnd::Part(length) => Some(from + after + length),
            };
            Some((from + at, next))
        });
        found.ok_or_else(|| malformed("it ends before its last boundary"))
    }
}

impl Iterator for Parts<'_> {
    type Item = Result<Bytes, DecodeRefusal>;

    fn next(&mut self) -> Option<Self::Item> {
        let start = self.next.take()?;
        Some(self.seek(start).map(|(end, next)| {
            self.next = next;
            self.body.slice(start..end)
        }))
    }
}

/// What may follow a boundary in its line.
enum LineEnd {
    /// `--`: no part follows.
    Last,
    /// So many bytes up to the part.
    Part(usize),
}

/// `None` when the line goes on, so that it only began like a delimiter.
fn line_end(rest: &[u8]) -> Option<LineEnd> {
    let blanks = |text: &[u8]| text.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    if let Some(rest) = rest.strip_prefix(b"--") {
        let ended = matches!(rest.get(blanks(rest)), None | Some(b'\r' | b'\n'));
        return ended.then_some(LineEnd::Last);
    }
    let length = blanks(rest);
    rest.get(length..)?.starts_with(b"\r\n").then_some(LineEnd::Part(length + 2))
}

/// One part, read.
struct Part {
    name: String,
    filename: Option<String>,
    media_type: Option<MediaType>,
    content: Bytes,
}

impl Part {
    fn read(part: &Bytes) -> Result<Self, DecodeRefusal> {
        let begin = part.get(..part.len().min(MAX_PART_HEAD)).unwrap_or_default();
        let Some(end) = memchr::memmem::find(begin, b"\r\n\r\n") else {
            return Err(malformed("the headers of a part do not end, or are too long"));
        };
        let head = begin.get(..end).and_then(|head| std::str::from_utf8(head).ok());
        let head = head.ok_or_else(|| malformed("the headers of a part are not UTF-8"))?;
        let (mut disposition, mut media_type) = (None, None);
        for line in head.split("\r\n") {
            let Some((name, value)) = line.split_once(':') else {
                return Err(malformed("a header of a part has no colon"));
            };
            let again = match name.to_ascii_lowercase().as_str() {
                "content-disposition" => disposition.replace(value).is_some(),
                "content-type" => media_type.replace(value).is_some(),
                "content-transfer-encoding" => {
                    let value = value.trim();
                    if !["7bit", "8bit", "binary"].iter().any(|plain| plain.eq_ignore_ascii_case(value)) {
                        return Err(malformed("a part has a transfer encoding, which forms do not have"));
                    }
                    false
                }
                _ => false,
            };
            if again {
                return Err(malformed("a part has a header twice"));
            }
        }
        let (name, filename) = names(disposition.unwrap_or_default())?;
        let media_type = media_type.and_then(MediaType::read);
        Ok(Self { name, filename, media_type, content: part.slice(end + 4..) })
    }
}

/// The name and the file name in a `Content-Disposition`.
fn names(disposition: &str) -> Result<(String, Option<String>), DecodeRefusal> {
    let (kind, parameters) = header_value::split(disposition)
        .ok_or_else(|| malformed("a quote in a header of a part is not closed"))?;
    if !kind.eq_ignore_ascii_case("form-data") {
        return Err(malformed("a part has no `Content-Disposition: form-data`"));
    }
    let (mut name, mut filename, mut encoded) = (None, None, None);
    for (key, value) in parameters {
        let slot = match key.as_str() {
            "name" => &mut name,
            "filename" => &mut filename,
            "filename*" => &mut encoded,
            _ => continue,
        };
        if slot.replace(value).is_some() {
            return Err(malformed("a part has two names"));
        }
    }
    let name = name.filter(|name| name.len() <= MAX_NAME);
    let name = name.ok_or_else(|| malformed("a part has no name, or one that is too long"))?;
    // The encoded one can say more, so it is the one that is meant.
    Ok((name, encoded.map(|value| decoded_name(&value)).transpose()?.or(filename)))
}

/// `UTF-8''na%C3%AFve.txt`.
fn decoded_name(value: &str) -> Result<String, DecodeRefusal> {
    let mut pieces = value.splitn(3, '\'');
    let (Some(label), Some(_language), Some(text)) = (pieces.next(), pieces.next(), pieces.next()) else {
        return Err(malformed("the encoded file name of a part cannot be read"));
    };
    let bytes: Vec<u8> = percent_decode_str(text).collect();
    Ok(charset::decode(&bytes, charset::of_label(label)?)?.into_owned())
}

fn malformed(what: &str) -> DecodeRefusal {
    DecodeRefusal::malformed(format!("the body is not multipart that is taken: {what}"))
}

#[cfg(test)]
mod tests;
