//! The keys of a call.

use super::{FORMATS, METHODS, multipart};
use crate::sent_file::FILE;
use crate::written::{HEADERS, NAME, REDIRECTS, STATUSES};
use hookflow_text::{Key, MapSchema, Rule, Schema};
use std::borrow::Cow;

/// What stands in its map.
pub(super) static CALL: MapSchema = MapSchema {
    name: "outgoing-call",
    about: "What is called, and how.",
    keys: Cow::Borrowed(&[
        Key::may("integration", NAME, "the service it goes to: its root URL, headers and limits hold"),
        Key::may("method", Schema::Word(METHODS), "GET, or POST when there is a body"),
        Key::may(
            "url",
            Schema::Text,
            "the whole URL, or what follows the integration's root; what templates put into its path or query is percent-encoded",
        ),
        Key::may("query", Schema::TEXTS, "a map of names to text, added to the URL's query"),
        Key::may("headers", HEADERS, "a map of names to text; null: the integration's is not sent"),
        Key::may("json", Schema::Any, "the body as a value"),
        Key::may("text", Schema::Text, "the body as text"),
        Key::may(
            "form",
            Schema::ANY_MAP,
            "the body as form fields: a map; what nests in it is sent as `a[b][c]`, a list as `a[]`",
        ),
        Key::may(
            "xml",
            Schema::Any,
            "the body as a value, written as XML: its one key is the root element, `@name` an attribute, `#text` text beside others, a list repeats its element",
        ),
        Key::may("bytes", Schema::Text, "the body as bytes, in base64"),
        Key::may(
            "file",
            FILE,
            "the body as a file: an expression that gives one of `webhook.files`, or a map with `of` or `bytes`, `filename` and `type`",
        ),
        Key::may(
            "multipart",
            multipart::FIELDS,
            "the body as `multipart/form-data`: a map of names to text, lists, `{file: …}` and `{json: …}`",
        ),
        Key::may(
            "redirects",
            REDIRECTS,
            "how many redirects are followed; after that a 3xx is the answer (the integration's, or 0)",
        ),
        Key::may("ok", STATUSES, "which answers are good: statuses and classes ([2xx])"),
        Key::may(
            "response",
            Schema::Word(FORMATS),
            "how the answer's body is read: auto (JSON by its type, else text), json, xml, text or bytes, which is base64 (auto)",
        ),
        Key::may(
            "sign",
            Schema::Text,
            "a credential: each try is signed as its sender would sign, over the bytes that leave",
        ),
        Key::may("capture", Schema::TEXTS, "a map of names to paths into the answer's body"),
    ]),
    rules: &[
        Rule::AtLeastOne(&["integration", "url"]),
        Rule::AtMostOne(&["json", "text", "form", "xml", "bytes", "file", "multipart"]),
    ],
};
