//! Where on an HTTP/1.1 connection one request ends and the next head begins, told from the bytes alone.
//!
//! The HTTP library parses requests; this only watches, for what the library does not let us see: a head with both
//! `Content-Length` and `Transfer-Encoding` (the library forgets one of them, the proxy before us may forget the
//! other), a head that is too large, and whether a part of a head has come.

/// What a head may hold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HeadLimits {
    pub(crate) bytes: usize,
    pub(crate) fields: usize,
}

/// Why a head is refused before the library has read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Violation {
    /// More bytes or fields than [`HeadLimits`] allows.
    TooLarge,
    /// Two statements of the body's length.
    AmbiguousLength,
    /// A length that is no number, or is written longer than any.
    Malformed,
}

/// How long a line that states a length may be. Longer ones are refused, so that no more of an unfinished line has to
/// be kept to know what the library will make of it.
const KEPT: usize = 256;
/// The first line of an HTTP/2 connection, and how many bytes of its preface follow.
const HTTP2: (&[u8], u64) = (b"PRI * HTTP/2.0", 8);

#[derive(Debug)]
pub(crate) struct Framing {
    limits: HeadLimits,
    place: Place,
    /// The beginning of a line whose end has not come.
    unfinished: Vec<u8>,
    head: Head,
    first: bool,
    sound: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Head,
    Body(u64),
    ChunkSize,
    ChunkData(u64),
    Trailers,
    Preface(u64),
    Http2,
    /// The library will refuse what has come and close.
    Lost,
}

/// What is known of the head that is being read.
#[derive(Debug, Default)]
struct Head {
    bytes: usize,
    /// The request line and the fields.
    lines: usize,
    length: Option<u64>,
    lengths: usize,
    chunked: bool,
}

impl Framing {
    pub(crate) fn new(limits: HeadLimits) -> Self {
        let (place, head) = (Place::Head, Head::default());
        Self { limits, place, unfinished: Vec::new(), head, first: true, sound: 0 }
    }

    /// Whether some of a head has come, and not all of it.
    pub(crate) fn is_within_head(&self) -> bool {
        self.place == Place::Head && self.head.bytes > 0
    }

    /// Whether this is an HTTP/2 connection, which is framed by other means.
    pub(crate) fn is_http2(&self) -> bool {
        self.place == Place::Http2
    }

    /// How many of the bytes that were followed last come before the line that was refused.
    pub(crate) fn sound(&self) -> usize {
        self.sound
    }

    /// Follows the next bytes that were read.
    pub(crate) fn follow(&mut self, mut bytes: &[u8]) -> Result<(), Violation> {
        let all = bytes.len();
        while !bytes.is_empty() {
            self.sound = all - bytes.len();
            bytes = match self.place {
                Place::Http2 | Place::Lost => return Ok(()),
                Place::Body(left) => self.skip(bytes, left, Place::Body, Place::Head),
                Place::ChunkData(left) => self.skip(bytes, left, Place::ChunkData, Place::ChunkSize),
                Place::Preface(left) => self.skip(bytes, left, Place::Preface, Place::Http2),
                Place::Head | Place::ChunkSize | Place::Trailers => self.follow_line(bytes)?,
            };
        }
        Ok(())
    }

    /// Passes over `left` bytes; what comes after them.
    fn skip<'b>(&mut self, bytes: &'b [u8], left: u64, here: fn(u64) -> Place, then: Place) -> &'b [u8] {
        let take = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
        let left = left - take as u64;
        self.place = if left == 0 { then } else { here(left) };
        bytes.get(take..).unwrap_or_default()
    }

    fn follow_line<'b>(&mut self, bytes: &'b [u8]) -> Result<&'b [u8], Violation> {
        let end = memchr::memchr(b'\n', bytes);
        let (part, rest) =
            bytes.split_at_checked(end.map_or(bytes.len(), |at| at + 1)).unwrap_or((bytes, &[]));
        if self.place == Place::Head {
            self.head.bytes += part.len();
            if self.head.bytes > self.limits.bytes {
                return Err(Violation::TooLarge);
            }
        }
        if end.is_none() || !self.unfinished.is_empty() {
            // With its end, whose bytes may come apart.
            let room = (KEPT + 2).saturating_sub(self.unfinished.len());
            self.unfinished.extend(part.iter().take(room));
        }
        if end.is_none() {
            return Ok(rest);
        }
        let unfinished = std::mem::take(&mut self.unfinished);
        let line = if unfinished.is_empty() { part } else { &unfinished };
        self.line(without_end(line))?;
        Ok(rest)
    }

    fn line(&mut self, line: &[u8]) -> Result<(), Violation> {
        match self.place {
            Place::ChunkSize => self.place = chunk_size(line)?,
            Place::Trailers if line.is_empty() => self.place = Place::Head,
            Place::Head if line.is_empty() => return self.end_head(),
            Place::Head => {
                if std::mem::take(&mut self.first) && line == HTTP2.0 {
                    self.place = Place::Preface(HTTP2.1);
                    return Ok(());
                }
                self.head.lines += 1;
                // The first line is the request's.
                if self.head.lines > self.limits.fields + 1 {
                    return Err(Violation::TooLarge);
                }
                if self.head.lines > 1 && matches!(line.first(), Some(b'c' | b'C' | b't' | b'T')) {
                    return self.head.field(line);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn end_head(&mut self) -> Result<(), Violation> {
        let head = std::mem::take(&mut self.head);
        if head.lengths > 1 || (head.lengths == 1 && head.chunked) {
            return Err(Violation::AmbiguousLength);
        }
        self.place = match head.length {
            _ if head.chunked => Place::ChunkSize,
            Some(length) if length > 0 => Place::Body(length),
            // Empty lines before a request line are none of its bytes.
            _ => Place::Head,
        };
        Ok(())
    }
}

impl Head {
    fn field(&mut self, line: &[u8]) -> Result<(), Violation> {
        let mut parts = line.splitn(2, |byte| *byte == b':');
        let name = parts.next().unwrap_or_default();
        if name.eq_ignore_ascii_case(b"transfer-encoding") {
            self.chunked = true;
        } else if name.eq_ignore_ascii_case(b"content-length") {
            if line.len() > KEPT {
                return Err(Violation::Malformed);
            }
            let value = parts.next().unwrap_or_default().trim_ascii();
            let digits = value.iter().all(u8::is_ascii_digit);
            let value = std::str::from_utf8(value).ok().filter(|_| digits);
            self.length = Some(value.and_then(|value| value.parse().ok()).ok_or(Violation::Malformed)?);
            self.lengths += 1;
        }
        Ok(())
    }
}

/// A line without the bytes that end it. Spaces before them stay: a line of spaces is no empty one.
fn without_end(line: &[u8]) -> &[u8] {
    let Some(line) = line.strip_suffix(b"\n") else { return line };
    line.strip_suffix(b"\r").unwrap_or(line)
}

fn chunk_size(line: &[u8]) -> Result<Place, Violation> {
    let digits = line.split(|byte| matches!(byte, b';' | b' ' | b'\t')).next().unwrap_or_default();
    if digits.len() > KEPT {
        return Err(Violation::Malformed);
    }
    let size = std::str::from_utf8(digits).ok().and_then(|digits| u64::from_str_radix(digits, 16).ok());
    Ok(match size {
        Some(0) => Place::Trailers,
        // The chunk's own line end belongs to it.
        Some(size) => Place::ChunkData(size.saturating_add(2)),
        None => Place::Lost,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: HeadLimits = HeadLimits { bytes: 200, fields: 4 };

    /// Follows `text` whole and byte by byte: both must agree.
    fn follow(text: &str) -> (Result<(), Violation>, Place, bool) {
        let mut whole = Framing::new(LIMITS);
        let outcome = whole.follow(text.as_bytes());
        let mut single = Framing::new(LIMITS);
        let single_outcome = text.bytes().try_for_each(|byte| single.follow(&[byte]));
        assert_eq!((outcome, whole.place), (single_outcome, single.place), "{text:?}");
        (outcome, whole.place, whole.is_within_head())
    }

    #[test]
    fn a_request_ends_where_its_head_says() {
        let get = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
        let sized = "POST / HTTP/1.1\r\nContent-length:  5 \r\n\r\nhello";
        let chunked = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\nA\r\n0123456789\r\n0\r\nX: y\r\n\r\n";
        for text in ["", get, sized, chunked, &format!("\r\n{sized}{chunked}{get}")] {
            assert_eq!(follow(text), (Ok(()), Place::Head, false), "{text:?}");
        }
        assert_eq!(follow(&format!("{sized}G")), (Ok(()), Place::Head, true));
        assert_eq!(follow(sized.strip_suffix("lo").unwrap()), (Ok(()), Place::Body(2), false));
        assert_eq!(follow(chunked.strip_suffix("\r\n").unwrap()), (Ok(()), Place::Trailers, false));
        assert_eq!(follow("GET / HTTP/1.1\nHost: x\n\n").1, Place::Head);
    }

    #[test]
    fn two_lengths_are_ambiguous_and_only_in_a_head() {
        let ambiguous = |fields: &str| follow(&format!("POST / HTTP/1.1\r\n{fields}\r\n\r\n")).0;
        for fields in [
            "Content-Length: 5\r\nTransfer-Encoding: chunked",
            "transfer-encoding: chunked\r\ncontent-length: 5",
            "Content-Length: 5\r\nContent-Length: 5",
            "Content-Length: 5\r\nContent-Length: 6",
        ] {
            assert_eq!(ambiguous(fields), Err(Violation::AmbiguousLength), "{fields:?}");
        }
        for fields in [
            "Content-Length: 5, 5",
            "Content-Length: -1",
            "Content-Length:",
            "Content-Length: 99999999999999999999",
        ] {
            assert_eq!(ambiguous(fields), Err(Violation::Malformed), "{fields:?}");
        }
        let body = "POST / HTTP/1.1\r\nContent-Length: 38\r\n\r\nContent-Length: 5\r\nContent-Length: 5\r\n";
        assert_eq!(follow(body), (Ok(()), Place::Head, false));
    }

    #[test]
    fn a_length_is_not_hidden_in_a_long_line() {
        let limits = HeadLimits { bytes: 4096, fields: 4 };
        let outcomes = |text: &str| {
            [1, 7, 255, 256, 257, 258, 259, 4096].map(|size| {
                let mut framing = Framing::new(limits);
                let outcome = text.as_bytes().chunks(size).try_for_each(|part| framing.follow(part));
                outcome.map(|()| framing.place)
            })
        };
        let length = |digits: usize| format!("POST / HTTP/1.1\r\nContent-Length: {:0>digits$}\r\n\r\nhel", 5);
        let chunk = |digits| {
            format!("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{:0>1$}\r\nhel", 5, digits)
        };
        let name = "Content-Length: ".len();
        assert_eq!(outcomes(&length(KEPT - name)), [Ok(Place::Body(2)); 8]);
        assert_eq!(outcomes(&chunk(KEPT)), [Ok(Place::ChunkData(4)); 8]);
        for more in [1, 2, 3, 500] {
            assert_eq!(outcomes(&length(KEPT - name + more)), [Err(Violation::Malformed); 8], "{more}");
            assert_eq!(outcomes(&chunk(KEPT + more)), [Err(Violation::Malformed); 8], "{more}");
        }
        let padded = format!(
            "POST / HTTP/1.1\r\nContent-Length:{}5\r\nTransfer-Encoding: chunked\r\n\r\n",
            " ".repeat(300)
        );
        assert_eq!(outcomes(&padded), [Err(Violation::Malformed); 8]);
        let coded = format!(
            "POST / HTTP/1.1\r\nTransfer-Encoding:{}chunked\r\nContent-Length: 5\r\n\r\n",
            " ".repeat(300)
        );
        assert_eq!(outcomes(&coded), [Err(Violation::AmbiguousLength); 8]);
        let blank =
            format!("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n{}x\r\n", " ".repeat(300));
        assert_eq!(outcomes(&blank), [Ok(Place::Trailers); 8], "a line of spaces ends nothing");
        let extended =
            format!("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5;{}\r\nhel", "a".repeat(300));
        assert_eq!(outcomes(&extended), [Ok(Place::ChunkData(4)); 8]);
    }

    #[test]
    fn heads_are_bounded() {
        let fields = |count: usize| format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(count));
        assert_eq!(follow(&fields(4)).0, Ok(()));
        assert_eq!(follow(&fields(5)).0, Err(Violation::TooLarge));
        assert_eq!(follow(&"x".repeat(200)).0, Ok(()));
        assert_eq!(follow(&"x".repeat(201)).0, Err(Violation::TooLarge));
        assert_eq!(follow(&fields(4).repeat(50)).0, Ok(()), "each head has its own bounds");
        assert_eq!(follow(&"\r\n".repeat(101)).0, Ok(()), "lines before a request are not in its head");
    }

    #[test]
    fn http2_is_left_alone_once_its_preface_is_whole() {
        let preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
        assert_eq!(follow(preface).1, Place::Http2);
        assert_eq!(follow(&format!("{preface}{}", "\n".repeat(1000))).1, Place::Http2);
        assert_eq!(follow(preface.get(..20).unwrap()).1, Place::Preface(4));
        assert_eq!(follow(&format!("GET / HTTP/1.1\r\n\r\n{preface}")).1, Place::Head);
    }
}
