//! What a body format is, and how a webhook names the one it takes.

use crate::content_encoding;
use crate::decoders::{self, DECODERS};
use crate::media_type::MediaType;
use crate::{BlobFault, Body, Means};
use bytes::Bytes;
use hookflow_expr::XmlShape;
use hookflow_text::{Code, Diagnostics, Fields, Json, Key, MapSchema, Node, NodeValue, Schema, nearest};
use http::header::{CONTENT_TYPE, HeaderMap};
use std::borrow::Cow;
use std::sync::Arc;

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
    pub(crate) decode: fn(&mut Encoded<'_, '_>) -> Result<Decoded, DecodeRefusal>,
}

/// A body that is to be decoded.
pub(crate) struct Encoded<'a, 'm> {
    /// Without its content encoding.
    pub(crate) content: &'a Body,
    pub(crate) media_type: Option<&'a MediaType>,
    pub(crate) xml: &'a XmlShape,
    pub(crate) means: &'a mut Means<'m>,
}

impl Encoded<'_, '_> {
    /// The content in memory, for formats whose value is there too.
    pub(crate) fn whole(&mut self) -> Result<Bytes, DecodeRefusal> {
        self.means.whole(self.content)
    }
}

/// What a body became.
#[derive(Debug)]
pub(crate) struct Decoded {
    pub(crate) value: Json,
    pub(crate) files: Vec<FilePart>,
}

impl Decoded {
    fn nothing() -> Self {
        Self { value: Json::Null, files: Vec::new() }
    }
}

/// A file that came in a body.
#[derive(Debug, Clone)]
pub(crate) struct FilePart {
    pub(crate) name: String,
    pub(crate) filename: Option<String>,
    pub(crate) media_type: Option<String>,
    pub(crate) content: Body,
    /// In hex, of a content that is not in memory: computed once, while it passed.
    pub(crate) sha256: Option<String>,
}

/// Why a body was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeRefusal {
    /// A media type that the webhook does not take, or none. 415.
    #[error("the webhook takes {takes}; this request has {found}")]
    MediaType {
        /// What came, in words.
        found: String,
        /// What is taken, in words.
        takes: String,
    },
    /// A `Content-Encoding` that is not undone. 415.
    #[error("bodies in the content encoding `{found}` are not taken; gzip, deflate and br are")]
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
    /// More than this many bytes once its `Content-Encoding` is undone. 413.
    #[error("at most {limit} bytes are taken, and the body has more when it is decoded")]
    TooLarge {
        /// The most that is taken.
        limit: u64,
    },
    /// Lists and maps that nest too deep. 400.
    #[error("the body nests deeper than {limit} levels")]
    TooDeep {
        /// The deepest that is taken.
        limit: usize,
    },
    /// There is no memory left for a body that has to be there whole. 503.
    #[error("there is no memory left for the body")]
    NoRoom,
    /// What is too large for memory could not be put elsewhere, or read from there. 503.
    #[error(transparent)]
    Blob(#[from] BlobFault),
}

impl DecodeRefusal {
    /// The word for it.
    pub fn code(&self) -> Code {
        match self {
            Self::MediaType { .. } => Code("body.media-type"),
            Self::Encoding { .. } => Code("body.content-encoding"),
            Self::Malformed { .. } => Code("body.malformed"),
            Self::TooLarge { .. } => Code("body.too-large"),
            Self::TooDeep { .. } => Code("body.too-deep"),
            Self::NoRoom => Code("service.memory"),
            Self::Blob(_) => Code("store.blobs"),
        }
    }

    /// A body that is wrong in no particular line.
    pub(crate) fn malformed(message: impl Into<String>) -> Self {
        Self::Malformed { message: message.into(), line: None, column: None }
    }
}

/// How XML becomes a value.
pub static XML_SHAPE: MapSchema = MapSchema {
    name: "xml",
    about: "How XML becomes a value.",
    keys: Cow::Borrowed(&[
        Key::may("attributes", Schema::Text, "what stands before the name of an attribute (@)"),
        Key::may("text", Schema::Text, "the name of text that stands beside something else (#text)"),
        Key::may(
            "lists",
            Schema::List(&Schema::Text),
            "the paths of elements that are lists, even when there is one",
        ),
    ]),
    rules: &[],
};

/// A webhook's `body`, `xml` and `body_limit`.
#[derive(Debug, Clone)]
pub struct BodySpec {
    /// `None`: the media type decides.
    format: Option<&'static Decoder>,
    xml: Arc<XmlShape>,
    /// The most bytes a body may have, as it is sent and once its content encoding is undone.
    limit: u64,
}

impl BodySpec {
    /// `auto`, up to `limit` bytes.
    pub fn auto(limit: u64) -> Self {
        Self { format: None, xml: Arc::default(), limit }
    }

    /// Reads `body`, `xml` and `body_limit`; `service_limit` is the service's own, which no webhook exceeds.
    pub fn load(
        body: Option<&Node>,
        xml: Option<&Node>,
        limit: Option<&Node>,
        service_limit: u64,
        diagnostics: &mut Diagnostics,
    ) -> Option<Self> {
        let format = match body {
            Some(node) if node.text() != "auto" => Some(load_format(node, diagnostics)?),
            _ => None,
        };
        let xml = match xml {
            Some(node) => Arc::new(load_shape(node, diagnostics)?),
            None => Arc::default(),
        };
        let Some(node) = limit else { return Some(Self { format, xml, limit: service_limit }) };
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
        Some(Self { format, xml, limit: limit.min(service_limit) })
    }

    /// How XML becomes a value.
    pub fn xml(&self) -> &XmlShape {
        &self.xml
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
            name => Some(Self { format: Some(decoders::find(name)?), ..Self::auto(limit) }),
        }
    }

    /// The same with another shape of XML.
    pub(crate) fn with_xml(self, xml: XmlShape) -> Self {
        Self { xml: Arc::new(xml), ..self }
    }

    /// Guards 11 and 12: the media type, then the content encoding, then the body itself, which is returned without
    /// that encoding beside what became of it. An empty body is null, whatever its type.
    pub(crate) fn decode(
        &self,
        headers: &HeaderMap,
        wire: &Body,
        means: &mut Means<'_>,
    ) -> Result<(Body, Decoded), DecodeRefusal> {
        if wire.is_empty() {
            return Ok((Body::Held(Bytes::new()), Decoded::nothing()));
        }
        let media_type = MediaType::of(headers);
        let format = self.choose(headers, media_type.as_ref())?;
        let content = content_encoding::undo(headers, wire, self.limit, means.blobs.as_ref())?;
        let decoded = self.decode_as(format, media_type.as_ref(), &content, means)?;
        Ok((content, decoded))
    }

    /// The same for a body whose content encoding was undone before.
    pub(crate) fn decode_content(
        &self,
        headers: &HeaderMap,
        content: &Body,
        means: &mut Means<'_>,
    ) -> Result<Decoded, DecodeRefusal> {
        let media_type = MediaType::of(headers);
        self.decode_as(self.choose(headers, media_type.as_ref())?, media_type.as_ref(), content, means)
    }

    fn decode_as(
        &self,
        format: &Decoder,
        media_type: Option<&MediaType>,
        content: &Body,
        means: &mut Means<'_>,
    ) -> Result<Decoded, DecodeRefusal> {
        if content.is_empty() {
            return Ok(Decoded::nothing());
        }
        (format.decode)(&mut Encoded { content, media_type, xml: &self.xml, means })
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
            found: match media_type {
                _ if headers.get_all(CONTENT_TYPE).iter().count() > 1 => "more than one Content-Type".into(),
                Some(found) => format!("the Content-Type `{}`", found.essence),
                None => "no Content-Type".into(),
            },
            takes: self
                .format
                .map_or_else(|| "bodies of any media type".into(), |it| format!("`{}` bodies", it.name)),
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

fn load_shape(node: &Node, diagnostics: &mut Diagnostics) -> Option<XmlShape> {
    let mut fields = Fields::of(node, "the shape of XML", diagnostics)?;
    let mut shape = XmlShape::default();
    for (name, word) in [("attributes", &mut shape.attributes), ("text", &mut shape.text)] {
        if let Some(node) = fields.take(name) {
            node.as_str(diagnostics)?.clone_into(word);
        }
    }
    if let Some(node) = fields.take("lists") {
        let NodeValue::Seq(items) = &node.value else {
            return node.mistyped("a list of paths such as `order.items.item`", diagnostics);
        };
        let paths = items.iter().map(|item| item.as_str(diagnostics).map(str::to_owned));
        shape.lists = paths.collect::<Option<_>>()?;
    }
    fields.finish(diagnostics);
    Some(shape)
}

#[cfg(test)]
mod tests;
