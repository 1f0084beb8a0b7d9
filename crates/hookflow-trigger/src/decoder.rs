//! What a body format is, and how a webhook names the one it takes.

use crate::decoders::{self, DECODERS};
use crate::media_type::MediaType;
use bytes::Bytes;
use hookflow_text::{Code, Diagnostics, Json, Node, nearest};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap};

/// A body format: one entry of the table in `decoders.rs`.
#[derive(Debug)]
pub struct Decoder {
    /// The word under `body:`.
    pub name: &'static str,
    /// One sentence for the documentation.
    pub summary: &'static str,
    /// Whether `auto` chooses it for this media type.
    pub(crate) suits: fn(&MediaType) -> bool,
    /// Whether a webhook that names it takes this media type, or a body without one.
    pub(crate) takes: fn(Option<&MediaType>) -> bool,
    /// Bytes, never empty, to a value.
    pub(crate) decode: fn(&Bytes, Option<&MediaType>) -> Result<Decoded, DecodeRefusal>,
}

/// What a body became.
#[derive(Debug)]
pub(crate) struct Decoded {
    pub(crate) value: Json,
    pub(crate) files: Vec<FilePart>,
}

/// A file that came in a body.
#[derive(Debug, Clone)]
pub(crate) struct FilePart {
    pub(crate) name: String,
    pub(crate) filename: Option<String>,
    pub(crate) media_type: Option<String>,
    pub(crate) content: Bytes,
}

/// Why a body was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeRefusal {
    /// A media type that the webhook does not take, or none. 415.
    #[error("the webhook takes {takes}, not {found}")]
    MediaType {
        /// What came, in words.
        found: String,
        /// What is taken, in words.
        takes: String,
    },
    /// A `Content-Encoding` that is not undone. 415.
    #[error("bodies in the content encoding `{found}` are not taken")]
    Encoding {
        /// What came.
        found: String,
    },
    /// A body that is not what its type says. 400.
    #[error("{message}")]
    Malformed {
        /// One sentence for an honest caller.
        message: String,
        /// From 1, where the format has lines.
        line: Option<usize>,
        /// From 1, in bytes.
        column: Option<usize>,
    },
    /// Lists and maps that nest too deep. 400.
    #[error("the body nests deeper than {limit} levels")]
    TooDeep {
        /// The deepest that is taken.
        limit: usize,
    },
}

impl DecodeRefusal {
    /// The word for it.
    pub fn code(&self) -> Code {
        match self {
            Self::MediaType { .. } => Code("body.media-type"),
            Self::Encoding { .. } => Code("body.content-encoding"),
            Self::Malformed { .. } => Code("body.malformed"),
            Self::TooDeep { .. } => Code("body.too-deep"),
        }
    }

    /// A body that is wrong in no particular line.
    pub(crate) fn malformed(message: impl Into<String>) -> Self {
        Self::Malformed { message: message.into(), line: None, column: None }
    }
}

/// A webhook's `body` and `body_limit`.
#[derive(Debug, Clone, Copy)]
pub struct BodySpec {
    /// `None`: the media type decides.
    format: Option<&'static Decoder>,
    /// The most bytes a body may have.
    limit: u64,
}

impl BodySpec {
    /// `auto`, up to `limit` bytes.
    pub fn auto(limit: u64) -> Self {
        Self { format: None, limit }
    }

    /// Reads `body` and `body_limit`; `service_limit` is the service's own, which no webhook exceeds.
    pub fn load(
        body: Option<&Node>,
        limit: Option<&Node>,
        service_limit: u64,
        diagnostics: &mut Diagnostics,
    ) -> Option<Self> {
        let format = match body {
            Some(node) if node.text() != "auto" => Some(load_format(node, diagnostics)?),
            _ => None,
        };
        let Some(node) = limit else { return Some(Self { format, limit: service_limit }) };
        let limit = node.as_size(diagnostics)?;
        if limit > service_limit {
            diagnostics
                .warning(
                    Code("webhook.body-limit"),
                    &node.span,
                    format!(
                        "the service takes bodies of at most {service_limit} bytes, so this webhook does too"
                    ),
                )
                .help("raise `public.limits.body`, or lower this limit");
        }
        Some(Self { format, limit: limit.min(service_limit) })
    }

    /// The most bytes a body may have.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// The word under `body:`.
    pub fn format(&self) -> &'static str {
        self.format.map_or("auto", |decoder| decoder.name)
    }

    /// The same format by its word; `None` for a word that is none.
    pub(crate) fn of_format(name: &str, limit: u64) -> Option<Self> {
        match name {
            "auto" => Some(Self::auto(limit)),
            name => Some(Self { format: Some(decoders::find(name)?), limit }),
        }
    }

    /// Guards 11 and 12: the media type, then the body itself. An empty body is null, whatever its type.
    pub(crate) fn decode(&self, headers: &HeaderMap, body: &Bytes) -> Result<Decoded, DecodeRefusal> {
        if body.is_empty() {
            return Ok(Decoded { value: Json::Null, files: Vec::new() });
        }
        let media_type = MediaType::of(headers);
        let decoder = self.choose(headers, media_type.as_ref())?;
        refuse_encoding(headers)?;
        (decoder.decode)(body, media_type.as_ref())
    }

    fn choose(
        &self,
        headers: &HeaderMap,
        media_type: Option<&MediaType>,
    ) -> Result<&'static Decoder, DecodeRefusal> {
        let chosen = match self.format {
            // With two types it is not known what the sender means.
            _ if headers.get_all(CONTENT_TYPE).iter().count() > 1 => None,
            Some(decoder) => (decoder.takes)(media_type).then_some(decoder),
            None => {
                media_type.and_then(|media_type| DECODERS.iter().find(|it| (it.suits)(media_type)).copied())
            }
        };
        chosen.ok_or_else(|| DecodeRefusal::MediaType {
            found: media_type
                .map_or_else(|| "a body without a media type".into(), |found| format!("`{}`", found.essence)),
            takes: self
                .format
                .map_or_else(|| "bodies with one media type".into(), |it| format!("`{}` bodies", it.name)),
        })
    }
}

fn load_format(node: &Node, diagnostics: &mut Diagnostics) -> Option<&'static Decoder> {
    let word = node.as_str(diagnostics)?;
    let found = decoders::find(word);
    if found.is_none() {
        let words = || std::iter::once("auto").chain(DECODERS.iter().map(|decoder| decoder.name));
        let list = words().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
        let diagnostic = diagnostics.error(
            Code("webhook.body-format"),
            &node.span,
            format!("there is no body format `{word}`; there are {list}"),
        );
        if let Some(near) = nearest(word, words()) {
            diagnostic.help(format!("did you mean `{near}`?"));
        }
    }
    found
}

fn refuse_encoding(headers: &HeaderMap) -> Result<(), DecodeRefusal> {
    for value in headers.get_all(CONTENT_ENCODING) {
        let value = crate::headers::text_of(value);
        if let Some(found) =
            value.split(',').map(str::trim).find(|it| !it.is_empty() && !it.eq_ignore_ascii_case("identity"))
        {
            return Err(DecodeRefusal::Encoding { found: found.to_owned() });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
