//! Texts in the encodings of the web, strictly: what is not what it claims to be is refused, never mended.

use crate::DecodeRefusal;
use encoding_rs::{Encoding, REPLACEMENT, UTF_8, UTF_16BE, UTF_16LE};
use std::borrow::Cow;

/// How far into a document its XML declaration may reach.
const XML_DECLARATION: usize = 256;

/// The encoding that goes by this label, as browsers know them (`latin1` is windows-1252).
pub(crate) fn of_label(label: &str) -> Result<&'static Encoding, DecodeRefusal> {
    // The replacement encoding stands for those that nobody should decode.
    Encoding::for_label(label.as_bytes()).filter(|found| *found != REPLACEMENT).ok_or_else(|| {
        DecodeRefusal::MediaType {
            found: format!("text in the charset `{}`", label.chars().take(40).collect::<String>()),
            takes: "charsets that browsers know, such as UTF-8 and ISO-8859-1".into(),
        }
    })
}

/// A body as text. Its byte order mark, which is not part of the text, outranks what was said of it.
pub(crate) fn text<'b>(
    body: &'b [u8],
    said: Option<&'static Encoding>,
) -> Result<Cow<'b, str>, DecodeRefusal> {
    match Encoding::for_bom(body) {
        Some((encoding, length)) => decode(body.get(length..).unwrap_or_default(), encoding),
        None => decode(body, said.unwrap_or(UTF_8)),
    }
}

/// Bytes as text, whatever they begin with.
pub(crate) fn decode<'b>(
    bytes: &'b [u8],
    encoding: &'static Encoding,
) -> Result<Cow<'b, str>, DecodeRefusal> {
    if encoding == UTF_8 {
        return match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Cow::Borrowed(text)),
            Err(error) => Err(not_utf8(bytes, error.valid_up_to())),
        };
    }
    encoding
        .decode_without_bom_handling_and_without_replacement(bytes)
        .ok_or_else(|| DecodeRefusal::malformed(format!("the body is not text in {}", encoding.name())))
}

/// What a document says about itself in its first line, without a byte order mark.
pub(crate) fn of_xml(document: &[u8]) -> Result<Option<&'static Encoding>, DecodeRefusal> {
    match document {
        [b'<', 0, ..] => return Ok(Some(UTF_16LE)),
        [0, b'<', ..] => return Ok(Some(UTF_16BE)),
        _ => {}
    }
    let Some(label) = declared(document) else { return Ok(None) };
    let encoding = of_label(label)?;
    // Whoever writes UTF-16 into a line of single bytes has changed its mind since.
    Ok(Some(if encoding.is_ascii_compatible() { encoding } else { UTF_8 }))
}

/// The label in `<?xml version="1.0" encoding="label"?>`.
fn declared(document: &[u8]) -> Option<&str> {
    let begin = document.get(..document.len().min(XML_DECLARATION))?;
    let end = begin.iter().position(|byte| *byte == b'>')?;
    let line = std::str::from_utf8(begin.get(..end)?).ok()?.strip_prefix("<?xml")?;
    let value = line.split_once("encoding")?.1.trim_start().strip_prefix('=')?.trim_start();
    let quote = value.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
    Some(value.strip_prefix(quote)?.split_once(quote)?.0)
}

fn not_utf8(body: &[u8], at: usize) -> DecodeRefusal {
    let before = body.get(..at).unwrap_or_default();
    let mut lines = before.split(|byte| *byte == b'\n');
    let last = lines.next_back().unwrap_or_default();
    DecodeRefusal::Malformed {
        message: "the body is not UTF-8".into(),
        line: Some(lines.count() + 1),
        column: Some(last.len() + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_outrank_labels_and_labels_are_those_of_browsers() {
        for (bytes, label, expected) in [
            (b"\xe9".as_slice(), "latin1", "é"),
            (b"\x80", "ISO-8859-1", "€"),
            (b"\xe9", "us-ascii", "é"),
            (b"\xef\xbb\xbf\xc3\xa9", "latin1", "é"),
            (b"\x83\x65", "Shift_JIS", "テ"),
            (b"a\0\xe9\0", "utf-16", "aé"),
            (b"\xfe\xff\0a", "utf-16", "a"),
            (b"\0a", "utf-16be", "a"),
            (b"", "utf-16", ""),
        ] {
            assert_eq!(text(bytes, Some(of_label(label).unwrap())).as_deref(), Ok(expected), "{label}");
        }
        for (bytes, label) in [
            (b"\xff".as_slice(), "utf-8"),
            (b"\x81\x00", "shift_jis"),
            (b"a\0b", "utf-16le"),
            (b"\x00\xd8", "utf-16le"),
        ] {
            let refusal = text(bytes, Some(of_label(label).unwrap())).unwrap_err();
            assert_eq!(refusal.code().0, "body.malformed", "{label}");
        }
        for label in ["", "utf-7", "utf-32", "iso-2022-kr", "utf 8"] {
            assert_eq!(of_label(label).unwrap_err().code().0, "body.media-type", "{label}");
        }
    }

    #[test]
    fn a_document_says_its_encoding() {
        for (document, expected) in [
            (b"<a/>".as_slice(), None),
            (b"<?xml version='1.0'?><a encoding='x'/>", None),
            (b"<?xml version=\"1.0\" encoding = 'ISO-8859-15' ?>", Some("ISO-8859-15")),
            (b"<?xml encoding=\"utf-16\"?>", Some("UTF-8")),
            (b"<\0?\0", Some("UTF-16LE")),
            (b"\0<\0?", Some("UTF-16BE")),
            (b"<?xml encoding='", None),
            (b"<?xml encoding='utf-8>", None),
        ] {
            assert_eq!(of_xml(document).unwrap().map(Encoding::name), expected);
        }
        assert!(of_xml(b"<?xml encoding='martian'?>").is_err());
    }
}
