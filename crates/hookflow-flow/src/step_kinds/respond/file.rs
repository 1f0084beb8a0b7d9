//! `file`: an answer that is to be saved. Whoever sent the file may have chosen its name and its type, so a browser is
//! told to save it and not to guess, unless the flow says otherwise.

use crate::sent_file::{SentFile, UNKNOWN_TYPE};
use crate::step_kind::Stop;
use crate::{Fault, FaultKind, Piece};
use hookflow_text::Code;
use http::{HeaderName, HeaderValue, header};

/// How large a file may be that is answered: it is in memory, and kept with its run.
const LARGEST_FILE: u64 = 10 << 20;
/// How much of a file's name is told, in characters.
const LONGEST_NAME: usize = 200;

/// What the file holds, when it is not too large. Headers that the flow has not written itself are added.
pub(super) fn answered_file(
    file: SentFile,
    headers: &mut Vec<(HeaderName, HeaderValue)>,
) -> Result<Piece, Stop> {
    let size = file.content.len();
    if size > LARGEST_FILE {
        let most = LARGEST_FILE >> 20;
        let message =
            format!("a file that is answered has at most {most} MiB, and this one has {size} bytes");
        return Err(Fault::new(FaultKind::Limit, Code("respond.file-too-large"), message).into());
    }
    let media_type = file.media_type.and_then(|own| HeaderValue::try_from(own).ok());
    let unknown = HeaderValue::from_static(UNKNOWN_TYPE);
    let disposition = HeaderValue::try_from(disposition(file.filename.as_deref()));
    for (name, value) in [
        (header::CONTENT_TYPE, media_type.unwrap_or(unknown)),
        (header::CONTENT_DISPOSITION, disposition.unwrap_or_else(|_| HeaderValue::from_static("attachment"))),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ] {
        if !headers.iter().any(|(own, _)| *own == name) {
            headers.push((name, value));
        }
    }
    Ok(file.content)
}

/// `Content-Disposition` (RFC 6266): a name in ASCII for those who know no other, and the whole one (RFC 8187).
fn disposition(filename: Option<&str>) -> String {
    let Some(filename) = filename else { return "attachment".to_owned() };
    let (mut plain, mut whole) = (String::new(), String::new());
    for c in filename.chars().take(LONGEST_NAME) {
        let c = if is_misleading(c) { '_' } else { c };
        plain.push(if matches!(c, ' '..='~') && !matches!(c, '"' | '%') { c } else { '_' });
        for byte in c.encode_utf8(&mut [0; 4]).bytes() {
            if byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&byte) {
                whole.push(char::from(byte));
            } else {
                whole.push_str(&format!("%{byte:02X}"));
            }
        }
    }
    format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{whole}")
}

/// A character that ends a folder's name or a line, or turns the direction of reading: a name has none.
fn is_misleading(c: char) -> bool {
    c.is_control()
        || matches!(c, '/' | '\\' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FileRef;

    fn answered(file: SentFile, own: &[(HeaderName, &'static str)]) -> Vec<(String, String)> {
        let own = own.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value)));
        let mut headers = own.collect();
        answered_file(file, &mut headers).unwrap();
        let text = |value: &HeaderValue| value.to_str().unwrap().to_owned();
        headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect()
    }

    fn sent(filename: Option<&str>, media_type: Option<&str>) -> SentFile {
        let (filename, media_type) = (filename.map(str::to_owned), media_type.map(str::to_owned));
        SentFile { filename, media_type, content: Piece::Bytes("hi".into()) }
    }

    #[test]
    fn a_hostile_name_is_encoded() {
        for (name, header) in [
            ("a.pdf", "attachment; filename=\"a.pdf\"; filename*=UTF-8''a.pdf"),
            ("é 1%.txt", "attachment; filename=\"_ 1_.txt\"; filename*=UTF-8''%C3%A9%201%25.txt"),
            (
                "a\"; x=\"\r\nX-Evil: 1",
                "attachment; filename=\"a_; x=___X-Evil: 1\"; filename*=UTF-8''a%22%3B%20x%3D%22__X-Evil%3A%201",
            ),
            (
                "../..\\x\u{202e}fdp.exe",
                "attachment; filename=\".._.._x_fdp.exe\"; filename*=UTF-8''.._.._x_fdp.exe",
            ),
        ] {
            assert_eq!(disposition(Some(name)), header, "{name:?}");
        }
        assert_eq!(disposition(None), "attachment");
        let long = disposition(Some(&"ü".repeat(10_000)));
        assert!(HeaderValue::try_from(&long).is_ok() && long.len() < 8 * LONGEST_NAME, "{}", long.len());
    }

    #[test]
    fn headers_of_the_flow_win() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            answered(sent(None, None), &[]),
            [
                pair("content-type", "application/octet-stream"),
                pair("content-disposition", "attachment"),
                pair("x-content-type-options", "nosniff")
            ]
        );
        let own = [(header::CONTENT_DISPOSITION, "inline"), (header::CONTENT_TYPE, "image/png")];
        assert_eq!(
            answered(sent(Some("a"), Some("text/html")), &own),
            [
                pair("content-disposition", "inline"),
                pair("content-type", "image/png"),
                pair("x-content-type-options", "nosniff")
            ]
        );
    }

    #[test]
    fn a_large_file_is_not_answered() {
        let large = |size| Piece::File(FileRef { sha256: "ab".into(), size });
        let file = |size| SentFile { content: large(size), ..sent(None, None) };
        assert_eq!(answered_file(file(LARGEST_FILE), &mut Vec::new()).unwrap(), large(LARGEST_FILE));
        let Err(Stop::Fault(fault)) = answered_file(file(LARGEST_FILE + 1), &mut Vec::new()) else {
            panic!()
        };
        assert_eq!((fault.kind, fault.code.as_str()), (FaultKind::Limit, "respond.file-too-large"));
    }
}
