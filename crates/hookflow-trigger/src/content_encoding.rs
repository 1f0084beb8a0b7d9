//! `Content-Encoding`: undone for the decoders, under a cap. Signatures are over the bytes as they were sent.

use crate::{BlobFault, Blobs, Body, DecodeRefusal, Gathering};
use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};
use bytes::Bytes;
use flate2::bufread::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use http::header::{CONTENT_ENCODING, HeaderMap};
use std::io::{self, BufRead, Read};
use std::sync::Arc;

/// How often a body may have been encoded. Each time costs as much as a whole body.
const MAX_CODINGS: usize = 2;
/// How many bytes a decoder gives at a time.
const CHUNK: usize = 8 << 10;

/// One way to encode a body.
#[derive(Debug, Clone, Copy)]
enum Coding {
    Gzip,
    Deflate,
    Brotli,
}

/// The body without its encodings, never longer than `limit`; what is large goes to `blobs`.
pub(crate) fn undo(
    headers: &HeaderMap,
    body: &Body,
    limit: u64,
    blobs: Option<&Arc<dyn Blobs>>,
) -> Result<Body, DecodeRefusal> {
    let mut body = body.clone();
    // The last was applied last.
    for coding in codings(headers)?.into_iter().rev() {
        body = coding.undo(&body, limit, Gathering::new(blobs.cloned()))?;
    }
    Ok(body)
}

fn codings(headers: &HeaderMap) -> Result<Vec<Coding>, DecodeRefusal> {
    let mut codings = Vec::new();
    for value in headers.get_all(CONTENT_ENCODING) {
        let value = crate::headers::text_of(value);
        for word in value.split(',').map(str::trim).filter(|word| !word.is_empty()) {
            let coding = match word.to_ascii_lowercase().as_str() {
                "identity" => continue,
                "gzip" | "x-gzip" => Some(Coding::Gzip),
                "deflate" => Some(Coding::Deflate),
                "br" => Some(Coding::Brotli),
                _ => None,
            };
            match coding {
                Some(coding) if codings.len() < MAX_CODINGS => codings.push(coding),
                _ => return Err(DecodeRefusal::Encoding { found: value.chars().take(100).collect() }),
            }
        }
    }
    Ok(codings)
}

impl Coding {
    fn undo(self, body: &Body, limit: u64, out: Gathering) -> Result<Body, DecodeRefusal> {
        let mut rest = body.reader();
        let mut out = Capped { out, limit, length: 0 };
        match self {
            Self::Gzip => self.gather(MultiGzDecoder::new(&mut rest), &mut out)?,
            // Most senders mean zlib, as the standard says; some send the bare stream.
            Self::Deflate if is_zlib(rest.fill_buf().map_err(|error| self.refusal(error))?) => {
                self.gather(ZlibDecoder::new(&mut rest), &mut out)?;
            }
            Self::Deflate => self.gather(DeflateDecoder::new(&mut rest), &mut out)?,
            Self::Brotli => self.gather_brotli(&mut rest, &mut out)?,
        }
        let left = rest.fill_buf().map_err(|error| self.refusal(error))?;
        if left.is_empty() { Ok(out.out.finish()?) } else { Err(self.malformed()) }
    }

    /// What a decoder gives.
    fn gather(self, mut decoder: impl Read, out: &mut Capped) -> Result<(), DecodeRefusal> {
        let mut chunk = [0; CHUNK];
        loop {
            let length = decoder.read(&mut chunk).map_err(|error| self.refusal(error))?;
            if length == 0 {
                return Ok(());
            }
            out.add(chunk.get(..length).unwrap_or_default())?;
        }
    }

    /// The library's own reader would take windows of a gigabyte and pass over what follows the end.
    fn gather_brotli(self, rest: &mut dyn BufRead, out: &mut Capped) -> Result<(), DecodeRefusal> {
        let alloc = StandardAlloc::default();
        let mut state = BrotliState::new_strict(alloc, alloc, alloc);
        let (mut chunk, mut total) = ([0; CHUNK], 0);
        loop {
            let piece = rest.fill_buf().map_err(|error| self.refusal(error))?;
            let (mut left, mut at, mut room, mut filled) = (piece.len(), 0, chunk.len(), 0);
            let is_last = piece.is_empty();
            let result = BrotliDecompressStream(
                &mut left,
                &mut at,
                piece,
                &mut room,
                &mut filled,
                &mut chunk,
                &mut total,
                &mut state,
            );
            rest.consume(at);
            out.add(chunk.get(..filled).unwrap_or_default())?;
            match result {
                BrotliResult::ResultSuccess => return Ok(()),
                BrotliResult::NeedsMoreOutput => {}
                BrotliResult::NeedsMoreInput if !is_last => {}
                BrotliResult::NeedsMoreInput | BrotliResult::ResultFailure => return Err(self.malformed()),
            }
        }
    }

    /// A decoder stops at what it cannot read; or what it reads from cannot be read.
    fn refusal(self, error: io::Error) -> DecodeRefusal {
        error.downcast::<BlobFault>().map_or_else(|_| self.malformed(), DecodeRefusal::Blob)
    }

    fn malformed(self) -> DecodeRefusal {
        let name = match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Brotli => "br",
        };
        DecodeRefusal::malformed(format!("the body is not whole {name}, which its `Content-Encoding` says"))
    }
}

/// What was decoded so far, under the limit.
struct Capped {
    out: Gathering,
    limit: u64,
    length: u64,
}

impl Capped {
    fn add(&mut self, bytes: &[u8]) -> Result<(), DecodeRefusal> {
        self.length += bytes.len() as u64;
        if self.length > self.limit {
            return Err(DecodeRefusal::TooLarge { limit: self.limit });
        }
        Ok(self.out.add(Bytes::copy_from_slice(bytes))?)
    }
}

/// A header of zlib: its method, and a check that makes both bytes a multiple of 31.
fn is_zlib(body: &[u8]) -> bool {
    matches!(body, [method, flags, ..]
        if method & 15 == 8 && u16::from_be_bytes([*method, *flags]).is_multiple_of(31))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::tests::{Shelf, gather};
    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
    use http::HeaderValue;
    use proptest::prelude::*;
    use std::io::Write as _;

    /// `hello, hello, hello` by the reference encoder.
    const BROTLI: &[u8] =
        &[27, 18, 0, 248, 141, 148, 110, 222, 68, 9, 82, 134, 150, 108, 44, 111, 17, 79, 36, 208, 113, 0];
    /// Ten mebibytes of zeros.
    const BROTLI_BOMB: &[u8] = &[
        203, 255, 255, 63, 248, 39, 0, 226, 177, 64, 32, 247, 254, 47, 255, 255, 63, 240, 79, 0, 196, 97, 17,
        128, 238, 253, 7,
    ];

    fn encode(coding: &str, body: &[u8]) -> Vec<u8> {
        let level = Compression::best();
        match coding {
            "gzip" => {
                let mut encoder = GzEncoder::new(Vec::new(), level);
                encoder.write_all(body).unwrap();
                encoder.finish().unwrap()
            }
            "deflate" => {
                let mut encoder = ZlibEncoder::new(Vec::new(), level);
                encoder.write_all(body).unwrap();
                encoder.finish().unwrap()
            }
            _ => {
                let mut encoder = DeflateEncoder::new(Vec::new(), level);
                encoder.write_all(body).unwrap();
                encoder.finish().unwrap()
            }
        }
    }

    fn decode(value: &str, body: &[u8], limit: u64) -> Result<Vec<u8>, &'static str> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_ENCODING, HeaderValue::from_str(value).unwrap());
        let shelf = Shelf::new(limit);
        let blobs = Arc::clone(&shelf) as Arc<dyn Blobs>;
        let wire = Body::from(body.to_vec());
        let undone = undo(&headers, &wire, limit, Some(&blobs)).map(|body| body.whole().unwrap().to_vec());
        assert_eq!(shelf.count(), 0, "nothing stays behind");
        undone.map_err(|refusal| refusal.code().0)
    }

    #[test]
    fn every_coding_is_undone() {
        let text = b"{\"a\": \"\xc3\xa9\"}".as_slice();
        for (value, body) in [
            ("gzip", encode("gzip", text)),
            ("X-GZIP", encode("gzip", text)),
            ("deflate", encode("deflate", text)),
            ("deflate", encode("raw", text)),
            ("deflate, gzip", encode("gzip", &encode("deflate", text))),
            ("identity, , gzip", encode("gzip", text)),
            ("identity", text.to_vec()),
            ("", text.to_vec()),
        ] {
            assert_eq!(decode(value, &body, 100).as_deref(), Ok(text), "{value}");
        }
        let two_members = [encode("gzip", b"a"), encode("gzip", b"b")].concat();
        assert_eq!(decode("gzip", &two_members, 2).as_deref(), Ok(b"ab".as_slice()));
        assert_eq!(decode("br", BROTLI, 100).as_deref(), Ok(b"hello, hello, hello".as_slice()));
        assert_eq!(decode("deflate", &encode("deflate", b""), 0).as_deref(), Ok(b"".as_slice()));
    }

    #[test]
    fn what_is_not_whole_is_refused() {
        let good = [
            ("gzip", encode("gzip", b"some text")),
            ("deflate", encode("deflate", b"some text")),
            ("deflate", encode("raw", b"some text")),
            ("br", BROTLI.to_vec()),
        ];
        for (value, body) in &good {
            for cut in 0..body.len() {
                assert_eq!(decode(value, &body[..cut], 100), Err("body.malformed"), "{value} {cut}");
            }
            let longer = [body.as_slice(), b"x"].concat();
            assert_eq!(decode(value, &longer, 100), Err("body.malformed"), "{value}");
            assert_eq!(decode(value, b"no such thing", 100), Err("body.malformed"), "{value}");
        }
        let mut wrong_sum = encode("gzip", b"some text");
        let at = wrong_sum.len() - 5;
        wrong_sum[at] ^= 1;
        assert_eq!(decode("gzip", &wrong_sum, 100), Err("body.malformed"));
    }

    #[test]
    fn a_bomb_is_cut_at_the_limit() {
        let zeros = vec![0; 10 << 20];
        for value in ["gzip", "deflate", "raw"] {
            let bomb = encode(value, &zeros);
            assert!(bomb.len() < 20_000);
            let value = if value == "raw" { "deflate" } else { value };
            assert_eq!(decode(value, &bomb, 65_536), Err("body.too-large"), "{value}");
            assert_eq!(decode(value, &bomb, (10 << 20) - 1), Err("body.too-large"), "{value}");
            assert_eq!(decode(value, &bomb, 10 << 20).map(|body| body.len()), Ok(10 << 20), "{value}");
        }
        let twice = encode("gzip", &encode("gzip", &zeros));
        assert_eq!(decode("gzip, gzip", &twice, 65_536), Err("body.too-large"));
        assert_eq!(decode("br", BROTLI_BOMB, (10 << 20) - 1), Err("body.too-large"));
        assert_eq!(decode("br", BROTLI_BOMB, 10 << 20).map(|body| body.len()), Ok(10 << 20));
        assert_eq!(decode("br", BROTLI, 18), Err("body.too-large"));
        assert_eq!(decode("br", BROTLI, 19).map(|body| body.len()), Ok(19));
    }

    #[test]
    fn a_spooled_body_is_undone_into_another() {
        let text: Vec<u8> = (0..40_000_u32).flat_map(|n| (n * n).to_le_bytes()).collect();
        for value in ["gzip", "deflate", "raw"] {
            let packed = encode(value, &text);
            let mut headers = HeaderMap::new();
            let coding = if value == "raw" { "deflate" } else { value };
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding));
            let shelf = Shelf::new(1 << 20);
            let blobs = Arc::clone(&shelf) as Arc<dyn Blobs>;
            let wire = gather(&shelf, &packed, 5_000).unwrap();
            let body = undo(&headers, &wire, 1 << 20, Some(&blobs)).unwrap();
            assert!(wire.spooled().is_some() && body.spooled().is_some() && shelf.count() == 2);
            assert_eq!(body.whole().unwrap(), text, "{value}");
            drop(body);
            shelf.blobs.lock().unwrap().clear();
            let refusal = undo(&headers, &wire, 1 << 20, Some(&blobs)).unwrap_err();
            assert_eq!(refusal.code().0, "store.blobs", "a disk that fails is nobody's bad body");
        }
    }

    #[test]
    fn what_is_not_known_is_refused() {
        for value in ["zstd", "compress", "gzip, zstd", "gzip, gzip, gzip", "gzip;q=1", "\"gzip\""] {
            assert_eq!(decode(value, b"x", 100), Err("body.content-encoding"), "{value}");
        }
    }

    proptest! {
        #[test]
        fn hostile_bytes_never_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
            value in proptest::sample::select(vec!["gzip", "deflate", "br", "br, gzip"]),
        ) {
            if let Ok(body) = decode(value, &bytes, 1000) {
                prop_assert!(body.len() <= 1000);
            }
        }

        #[test]
        fn damaged_brotli_never_panics(at in 0..BROTLI.len(), byte in any::<u8>()) {
            let mut damaged = BROTLI.to_vec();
            damaged[at] = byte;
            if let Ok(body) = decode("br", &damaged, 1000) {
                prop_assert!(body.len() <= 1000);
            }
        }
    }
}
