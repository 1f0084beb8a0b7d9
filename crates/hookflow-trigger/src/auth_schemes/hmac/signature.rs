//! Where a signature stands and how it is written there.

use super::algorithm::{ENCODING, Encoding};
use super::material::{Material, PLACE, Place};
use crate::Head;
use crate::auth_scheme::{CannotSign, Reason};
use crate::headers::load_name;
use hookflow_text::{Code, Diagnostics, Fields, Key, MapSchema, Node, Rule, Schema};
use http::HeaderValue;
use http::header::HeaderName;
use std::borrow::Cow;

pub(super) static SIGNATURE: MapSchema = MapSchema {
    name: "signature",
    about: "Where a signature stands and how it is written there.",
    keys: Cow::Borrowed(&{
        let [header, json, form] = PLACE;
        [
            header,
            Key::may("headers", Schema::List(&Schema::Like("")), "several headers; at least one is there"),
            Key::may("header_numbered", Schema::Like(""), "the beginning of headers that end in 1, 2, …"),
            Key::may("max", Schema::Integer(1, 100), "how many of them there may be (10)"),
            json,
            form,
            Key::may("prefix", Schema::Text, "what stands before the signature (nothing)"),
            Key::may(
                "kv",
                Schema::Map(&KV),
                "the signature stands in a list of keys and values, such as `t=1,v1=…`",
            ),
            Key::may(
                "list",
                Schema::Map(&LIST),
                "the signatures stand in a list, each behind a tag, such as `v1,… v2,…`",
            ),
            Key::may(
                "pairs",
                Schema::Map(&PAIRS),
                "the signatures stand in a list, each behind a name that says nothing, such as `a|…&b|…`",
            ),
            ENCODING,
        ]
    }),
    rules: &[
        Rule::One(&["header", "headers", "header_numbered", "json", "form"]),
        Rule::AtMostOne(&["kv", "list", "pairs"]),
    ],
};

const SEPARATOR: Key = Key::must("separator", Schema::Text, "what stands between two entries");
const TAG_SEPARATOR: Key =
    Key::must("tag_separator", Schema::Text, "what stands between a tag and its signature");

static KV: MapSchema = MapSchema {
    name: "signature-kv",
    about: "A list of keys and values.",
    keys: Cow::Borrowed(&[SEPARATOR, Key::must("key", Schema::Text, "the key of the signature")]),
    rules: &[],
};

static LIST: MapSchema = MapSchema {
    name: "signature-list",
    about: "A list of signatures, each behind a tag.",
    keys: Cow::Borrowed(&[
        SEPARATOR,
        Key::must("tag", Schema::Text, "the tag of those that count"),
        TAG_SEPARATOR,
    ]),
    rules: &[],
};

static PAIRS: MapSchema = MapSchema {
    name: "signature-pairs",
    about: "A list of signatures, each behind a name that says nothing.",
    keys: Cow::Borrowed(&[SEPARATOR, TAG_SEPARATOR]),
    rules: &[],
};

/// The place, the layout there and the encoding of a signature.
#[derive(Debug, Clone)]
pub(super) struct Signature {
    site: Site,
    layout: Layout,
    encoding: Encoding,
}

#[derive(Debug, Clone)]
enum Site {
    /// Any of these; at least one is there.
    Headers(Vec<HeaderName>),
    Body(Place),
}

#[derive(Debug, Clone)]
enum Layout {
    /// The signature alone, behind a literal that must be there.
    Single { prefix: String },
    /// `t=1,v1=…,v1=…`
    Kv { separator: String, key: String },
    /// `v1,… v1,… v2,…`
    List { separator: String, tag: String, tag_separator: String },
    /// `somebody|…&another|…`, where the name before the signature says nothing to us.
    Pairs { separator: String, tag_separator: String },
}

impl Signature {
    /// Reads `header`, `prefix` and `encoding` beside the other keys of a credential.
    pub(super) fn load_short(fields: &mut Fields<'_>, diagnostics: &mut Diagnostics) -> Option<Self> {
        let header = fields.take("header");
        let layout = load_single(fields, diagnostics);
        let encoding = load_encoding(fields, diagnostics);
        let Some(header) = header else {
            diagnostics
                .error(
                    Code("auth.no-signature"),
                    &fields.span().clone(),
                    "it is not said where the signature stands",
                )
                .help("name a `preset`, the `header` that holds the signature, or a whole `signature`");
            return None;
        };
        let site = Site::Headers(vec![load_name(header, diagnostics)?]);
        Some(Self { site, layout: layout?, encoding: encoding? })
    }

    /// Reads a whole `signature`.
    pub(super) fn load(node: &Node, diagnostics: &mut Diagnostics) -> Option<Self> {
        let mut fields = Fields::of(node, "a signature", diagnostics)?;
        let site = load_site(&mut fields, diagnostics);
        let layout = load_layout(&mut fields, diagnostics);
        let encoding = load_encoding(&mut fields, diagnostics);
        fields.finish(diagnostics);
        Some(Self { site: site?, layout: layout?, encoding: encoding? })
    }

    /// Whether the head alone holds it.
    pub(super) fn in_head(&self) -> bool {
        matches!(self.site, Site::Headers(_))
    }

    /// Every signature that was received, decoded. Never empty, nor is any of them.
    pub(super) fn received(&self, material: &Material<'_>) -> Result<Vec<Vec<u8>>, Reason> {
        let mut found = Vec::new();
        self.each_text(material, |text| {
            let signatures = self.layout.split(text);
            found.extend(signatures.into_iter().filter_map(|signature| self.encoding.decode(signature)));
        })?;
        if found.is_empty() { Err(Reason::Unreadable("the signature".into())) } else { Ok(found) }
    }

    /// Whether something was received that may be a signature. Guard 7 asks no more: the decoding comes with the body.
    pub(super) fn is_there(&self, material: &Material<'_>) -> Result<(), Reason> {
        self.each_text(material, |_| {})
    }

    /// The value under another key of the same list, which must come exactly once: Stripe's `t`.
    pub(super) fn companion(&self, key: &str, material: &Material<'_>) -> Result<String, Reason> {
        let what = || format!("`{key}` beside the signature");
        let Layout::Kv { separator, .. } = &self.layout else { return Err(Reason::Missing(what())) };
        let mut values = Vec::new();
        self.each_text(material, |text| {
            let here = entries(text, separator, "=").filter(|(name, _)| *name == key);
            values.extend(here.map(|(_, value)| value.to_owned()));
        })?;
        match values.pop() {
            Some(value) if values.is_empty() => Ok(value),
            Some(_) => Err(Reason::Repeated(what())),
            None => Err(Reason::Missing(what())),
        }
    }

    /// Whether the signature is one of a list with keys.
    pub(super) fn is_kv(&self) -> bool {
        matches!(self.layout, Layout::Kv { .. })
    }

    /// Shows each text in which signatures stand; there is at least one.
    fn each_text(&self, material: &Material<'_>, mut see: impl FnMut(&str)) -> Result<(), Reason> {
        let names = match &self.site {
            Site::Headers(names) => names,
            Site::Body(place) => {
                see(&place.read(material)?);
                return Ok(());
            }
        };
        let single = matches!(self.layout, Layout::Single { .. });
        let mut found = false;
        for name in names {
            let what = || format!("the header `{name}`");
            for (count, value) in material.head.headers.get_all(name).iter().enumerate() {
                if single && count > 0 {
                    return Err(Reason::Repeated(what()));
                }
                see(value.to_str().map_err(|_| Reason::Unreadable(what()))?);
                found = true;
            }
        }
        if found {
            return Ok(());
        }
        let first = names.first().map(HeaderName::as_str).unwrap_or_default();
        Err(Reason::Missing(format!("the header `{first}`")))
    }

    /// Writes a signature, and the timestamp when it belongs beside it, into a header.
    pub(super) fn write(
        &self,
        head: &mut Head,
        digest: &[u8],
        companion: Option<(&str, &str)>,
    ) -> Result<(), CannotSign> {
        let Site::Headers(names) = &self.site else {
            return Err(CannotSign("the signature stands in the body, which signing does not change".into()));
        };
        let encoded = self.encoding.encode(digest);
        let text = match &self.layout {
            Layout::Single { prefix } => format!("{prefix}{encoded}"),
            Layout::Kv { separator, key } => {
                let before =
                    companion.map(|(name, value)| format!("{name}={value}{separator}")).unwrap_or_default();
                format!("{before}{key}={encoded}")
            }
            Layout::List { tag, tag_separator, .. } => format!("{tag}{tag_separator}{encoded}"),
            Layout::Pairs { tag_separator, .. } => format!("key{tag_separator}{encoded}"),
        };
        let value = HeaderValue::try_from(text)
            .map_err(|_| CannotSign("the signature cannot stand in a header".into()))?;
        if let Some(name) = names.first() {
            head.headers.insert(name, value);
        }
        Ok(())
    }
}

impl Layout {
    /// The encoded signatures in a text; what is of another version is left out.
    fn split<'t>(&self, text: &'t str) -> Vec<&'t str> {
        match self {
            Self::Single { prefix } => text.strip_prefix(prefix.as_str()).into_iter().collect(),
            Self::Kv { separator, key } => named(text, separator, "=", Some(key)),
            Self::List { separator, tag, tag_separator } => named(text, separator, tag_separator, Some(tag)),
            Self::Pairs { separator, tag_separator } => named(text, separator, tag_separator, None),
        }
    }
}

fn named<'t>(text: &'t str, separator: &str, tag_separator: &str, name: Option<&str>) -> Vec<&'t str> {
    entries(text, separator, tag_separator)
        .filter(|(tag, _)| name.is_none_or(|name| name == *tag))
        .map(|(_, value)| value)
        .collect()
}

/// The named entries of a list. Blanks around one do not count, nor does a comma that is left when header lines were
/// merged into one.
fn entries<'t>(
    text: &'t str,
    separator: &str,
    tag_separator: &str,
) -> impl Iterator<Item = (&'t str, &'t str)> {
    text.split(separator)
        .map(|entry| entry.trim().trim_end_matches(','))
        .filter_map(move |entry| entry.split_once(tag_separator))
}

fn load_encoding(fields: &mut Fields<'_>, diagnostics: &mut Diagnostics) -> Option<Encoding> {
    fields.take("encoding").map_or(Some(Encoding::Hex), |node| Encoding::load(node, diagnostics))
}

fn load_single(fields: &mut Fields<'_>, diagnostics: &mut Diagnostics) -> Option<Layout> {
    let prefix = match fields.take("prefix") {
        Some(node) => node.as_str(diagnostics)?.to_owned(),
        None => String::new(),
    };
    Some(Layout::Single { prefix })
}

fn load_site(fields: &mut Fields<'_>, diagnostics: &mut Diagnostics) -> Option<Site> {
    let several = fields.take("headers");
    let numbered = fields.take("header_numbered");
    let most = fields.take("max");
    let one = fields.has("header") || fields.has("json") || fields.has("form");
    let place = Place::load(fields, diagnostics);
    match (one, several, numbered) {
        (true, None, None) => Some(match place? {
            Place::Header(name) => Site::Headers(vec![name]),
            other => Site::Body(other),
        }),
        (false, Some(node), None) => {
            let items = node.as_list(diagnostics)?;
            let names: Vec<_> = items.iter().map(|item| load_name(item, diagnostics)).collect();
            let names: Vec<_> = names.into_iter().collect::<Option<_>>()?;
            if names.is_empty() {
                node.mistyped("a list of header names", diagnostics)
            } else {
                Some(Site::Headers(names))
            }
        }
        (false, None, Some(node)) => {
            let most = most.map_or(Some(10), |node| node.as_integer(1, 100, diagnostics))?;
            let prefix = load_name(node, diagnostics)?;
            let numbered = |number| HeaderName::try_from(format!("{prefix}{number}")).ok();
            Some(Site::Headers((1..=most).map(numbered).collect::<Option<_>>()?))
        }
        _ => {
            diagnostics
                .error(Code("auth.no-signature"), fields.span(), "a signature stands in one place")
                .help("write one of `header`, `headers`, `header_numbered`, `json` and `form`");
            None
        }
    }
}

fn load_layout(fields: &mut Fields<'_>, diagnostics: &mut Diagnostics) -> Option<Layout> {
    let single = load_single(fields, diagnostics)?;
    let [kv, list, pairs] = ["kv", "list", "pairs"].map(|key| fields.take(key));
    match (kv, list, pairs) {
        (None, None, None) => Some(single),
        (Some(node), None, None) => {
            let [separator, key] = load_texts(node, ["separator", "key"], diagnostics)?;
            Some(Layout::Kv { separator, key })
        }
        (None, Some(node), None) => {
            let [separator, tag, tag_separator] =
                load_texts(node, ["separator", "tag", "tag_separator"], diagnostics)?;
            Some(Layout::List { separator, tag, tag_separator })
        }
        (None, None, Some(node)) => {
            let [separator, tag_separator] = load_texts(node, ["separator", "tag_separator"], diagnostics)?;
            Some(Layout::Pairs { separator, tag_separator })
        }
        _ => {
            diagnostics.error(
                Code("auth.layout"),
                fields.span(),
                "a signature has one layout: none of, or one of `kv`, `list` and `pairs`",
            );
            None
        }
    }
}

/// A map of texts, each of which must be there and not empty.
fn load_texts<const N: usize>(
    node: &Node,
    keys: [&'static str; N],
    diagnostics: &mut Diagnostics,
) -> Option<[String; N]> {
    let mut fields = Fields::of(node, "the layout of a signature", diagnostics)?;
    let found = keys.map(|key| {
        let node = fields.require(key, diagnostics)?;
        let text = node.as_str(diagnostics)?;
        if text.is_empty() {
            node.mistyped("at least one character", diagnostics)
        } else {
            Some(text.to_owned())
        }
    });
    fields.finish(diagnostics);
    found.into_iter().collect::<Option<Vec<_>>>()?.try_into().ok()
}
