//! `multipart/form-data`: fields like those of a form, and files.
//!
//! A part is a range of the body, whether that is held or spooled, so nothing is copied but the fields; of a spooled one a
//! small window is in memory, which moves on. The delimiter counts only as a whole line: text that merely begins like it
//! is content.

use crate::decoder::{Decoded, Decoder, Encoded, FilePart};
use crate::encoding::to_hex;
use crate::media_type::{MediaType, text};
use crate::properties::Properties;
use crate::{BlobFault, BlobReader, Body, DecodeRefusal, charset, header_value};
use memchr::memmem::Finder;
use percent_encoding::percent_decode_str;
use sha2::{Digest as _, Sha256};
use std::io::Read as _;

/// How many parts a body may have.
const MAX_PARTS: usize = 1_000;
/// How many bytes the headers of a part may take.
const MAX_PART_HEAD: usize = 8 << 10;
/// How many bytes the name of a part may have.
const MAX_NAME: usize = 1 << 10;
/// The longest boundary that the standard allows.
const MAX_BOUNDARY: usize = 70;
/// How far the line of a boundary may go on behind it: blanks, for padding.
const MAX_LINE: usize = 256;
/// How much of a spooled body is read at a time.
const WINDOW: usize = 64 << 10;

pub(super) static MULTIPART: Decoder = Decoder {
    name: "multipart",
    summary: "`multipart/form-data`: fields as in a form; parts with a file name, or with a type that is no text, \
              are in `webhook.files`.",
    suits: MediaType::is_multipart,
    takes: |media_type| media_type.is_some_and(MediaType::is_multipart),
    decode,
};

fn decode(body: &mut Encoded<'_, '_>) -> Result<Decoded, DecodeRefusal> {
    let boundary =
        body.media_type.and_then(|media_type| media_type.parameter("boundary")).unwrap_or_default();
    if !(1..=MAX_BOUNDARY).contains(&boundary.len()) {
        return Err(malformed("its `Content-Type` has no boundary of 1 to 70 characters"));
    }
    let mut properties = Properties::default();
    let mut files = Vec::new();
    let mut walk = Walk::new(body.content, boundary);
    let mut goes_on = walk.first()?;
    for count in 0.. {
        if !goes_on {
            break;
        }
        if count >= MAX_PARTS {
            return Err(malformed("it has too many parts"));
        }
        let Head { name, filename, media_type } = walk.head()?;
        let start = walk.window.base;
        let is_field = filename.is_none() && media_type.as_ref().is_none_or(is_text);
        // What is in memory is hashed when somebody asks.
        let mut digest = (!is_field && body.content.spooled().is_some()).then(Sha256::new);
        let (end, next) = walk.content(|piece| {
            if let Some(digest) = &mut digest {
                digest.update(piece);
            }
        })?;
        goes_on = next;
        let content = body.content.slice(start..end);
        if is_field {
            let value = body.means.whole(&content)?;
            let value = text(&value, media_type.as_ref()).map_err(|refusal| match refusal {
                // The place in the part would mislead.
                DecodeRefusal::Malformed { .. } => malformed("a field is not text in its charset"),
                other => other,
            })?;
            properties.add(&name, value.into_owned());
        } else {
            let media_type = media_type.map(|found| found.essence);
            let sha256 = digest.map(|digest| to_hex(&digest.finalize()));
            files.push(FilePart { name, filename, media_type, content, sha256 });
        }
    }
    Ok(Decoded { value: properties.finish(), files })
}

/// What a field may be; everything else is a file, whether it has a name or not.
fn is_text(media_type: &MediaType) -> bool {
    media_type.is_text() || media_type.is_json() || media_type.is_xml() || media_type.is_form()
}

/// From delimiter to delimiter, once through the body.
struct Walk<'b> {
    window: Window<'b>,
    delimiter: Finder<'static>,
}

impl<'b> Walk<'b> {
    fn new(body: &'b Body, boundary: &str) -> Self {
        let delimiter = Finder::new(&format!("\r\n--{boundary}")).into_owned();
        Self { window: Window::new(body), delimiter }
    }

    /// Goes behind the first delimiter; whether a part follows.
    fn first(&mut self) -> Result<bool, DecodeRefusal> {
        // It may be the first line, which no line break precedes.
        let line = self.delimiter.needle().get(2..).unwrap_or_default();
        self.window.fill(line.len() + MAX_LINE)?;
        let found = self.window.bytes().strip_prefix(line).and_then(|rest| line_end(rest, self.window.ended));
        match found {
            Some(LineEnd::Last) => Ok(false),
            Some(LineEnd::Part(length)) => {
                self.window.skip(line.len() + length);
                Ok(true)
            }
            None => Ok(self.content(|_| {})?.1),
        }
    }

    /// Shows the content that begins here, and goes behind the delimiter after it. Where that begins, and whether
    /// another part follows.
    fn content(&mut self, mut see: impl FnMut(&[u8])) -> Result<(u64, bool), DecodeRefusal> {
        let length = self.delimiter.needle().len();
        loop {
            let bytes = self.window.bytes();
            let found = self.delimiter.find(bytes);
            if found.is_none() && self.window.ended {
                return Err(malformed("it ends before its last boundary"));
            }
            // The window may end within a delimiter.
            let sure = found.unwrap_or_else(|| bytes.len().saturating_sub(length - 1));
            see(bytes.get(..sure).unwrap_or_default());
            self.window.skip(sure);
            self.window.fill(length + MAX_LINE)?;
            if found.is_none() {
                continue;
            }
            let end = self.window.base;
            let bytes = self.window.bytes();
            match line_end(bytes.get(length..).unwrap_or_default(), self.window.ended) {
                Some(LineEnd::Last) => return Ok((end, false)),
                Some(LineEnd::Part(more)) => {
                    self.window.skip(length + more);
                    return Ok((end, true));
                }
                // It only begins like a delimiter.
                None => {
                    see(bytes.get(..length).unwrap_or_default());
                    self.window.skip(length);
                }
            }
        }
    }

    /// Reads the headers of the part that begins here, and goes behind them.
    fn head(&mut self) -> Result<Head, DecodeRefusal> {
        let length = self.delimiter.needle().len();
        self.window.fill(MAX_PART_HEAD + length + MAX_LINE)?;
        let bytes = self.window.bytes();
        let begin = bytes.get(..bytes.len().min(MAX_PART_HEAD)).unwrap_or_default();
        // A part whose headers reach to the next delimiter has no end of them.
        let end = memchr::memmem::find(begin, b"\r\n\r\n").filter(|end| {
            let head = bytes.get(..bytes.len().min(end + 2 + length)).unwrap_or_default();
            let after = |at: usize| bytes.get(at + length..).unwrap_or_default();
            !self.delimiter.find_iter(head).any(|at| line_end(after(at), self.window.ended).is_some())
        });
        let end = end.ok_or_else(|| malformed("the headers of a part do not end, or are too long"))?;
        let head = Head::read(begin.get(..end).unwrap_or_default())?;
        self.window.skip(end + 4);
        Ok(head)
    }
}

/// All of a held body, or a piece of a spooled one, which moves on.
struct Window<'b> {
    held: &'b [u8],
    spooled: Option<Spooled>,
    /// Where it begins in the body.
    base: u64,
    /// Whether it reaches to the body's end.
    ended: bool,
}

struct Spooled {
    reader: BlobReader,
    buffer: Vec<u8>,
    /// How much of the buffer lies before the window.
    past: usize,
}

impl<'b> Window<'b> {
    fn new(body: &'b Body) -> Self {
        let (held, spooled) = match body {
            Body::Held(bytes) => (&**bytes, None),
            Body::Spooled(blob) => {
                let reader = blob.reader().into_inner();
                (&[][..], Some(Spooled { reader, buffer: Vec::new(), past: 0 }))
            }
        };
        Self { held, ended: spooled.is_none(), spooled, base: 0 }
    }

    fn bytes(&self) -> &[u8] {
        match &self.spooled {
            Some(Spooled { buffer, past, .. }) => buffer.get(*past..).unwrap_or_default(),
            None => self.held,
        }
    }

    /// Moves its beginning.
    fn skip(&mut self, length: usize) {
        match &mut self.spooled {
            Some(spooled) => spooled.past += length,
            None => self.held = self.held.get(length..).unwrap_or_default(),
        }
        self.base += length as u64;
    }

    /// Reads on until it has at least so many bytes, or reaches to the body's end.
    fn fill(&mut self, least: usize) -> Result<(), BlobFault> {
        while !self.ended && self.bytes().len() < least {
            let Some(Spooled { reader, buffer, past }) = &mut self.spooled else { break };
            buffer.drain(..*past);
            *past = 0;
            let before = buffer.len();
            buffer.resize(before + WINDOW, 0);
            let read = reader.read(buffer.get_mut(before..).unwrap_or_default())?;
            buffer.truncate(before + read);
            self.ended = read == 0;
        }
        Ok(())
    }
}

/// What may follow a boundary in its line.
enum LineEnd {
    /// `--`: no part follows.
    Last,
    /// So many bytes up to the part.
    Part(usize),
}

/// `None` when the line goes on, so that it only began like a delimiter. `rest` is what follows the boundary, up to the
/// body's end or further than a line may go on.
fn line_end(rest: &[u8], ended: bool) -> Option<LineEnd> {
    let ended = ended && rest.len() <= MAX_LINE;
    let rest = rest.get(..rest.len().min(MAX_LINE))?;
    let blanks = |text: &[u8]| text.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    if let Some(rest) = rest.strip_prefix(b"--") {
        return match rest.get(blanks(rest)) {
            Some(b'\r' | b'\n') => Some(LineEnd::Last),
            None if ended => Some(LineEnd::Last),
            _ => None,
        };
    }
    let length = blanks(rest);
    rest.get(length..)?.starts_with(b"\r\n").then_some(LineEnd::Part(length + 2))
}

/// The headers of a part, read.
struct Head {
    name: String,
    filename: Option<String>,
    media_type: Option<MediaType>,
}

impl Head {
    fn read(head: &[u8]) -> Result<Self, DecodeRefusal> {
        let head = std::str::from_utf8(head).map_err(|_| malformed("the headers of a part are not UTF-8"))?;
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
        Ok(Self { name, filename, media_type: media_type.and_then(MediaType::read) })
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
