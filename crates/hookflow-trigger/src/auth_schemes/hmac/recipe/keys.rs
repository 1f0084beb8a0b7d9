//! The keys of a recipe, for the documentation and for editors.

use super::super::PUBLIC_KEY;
use super::super::algorithm::{ENCODING, KEY_RULE, algorithms};
use super::super::material::PLACE;
use super::super::signature::SIGNATURE;
use super::super::window::TIMESTAMP;
use crate::auth_scheme::SECRETS;
use hookflow_text::{Key, MapSchema, Rule, Schema};
use std::borrow::Cow;

/// The keys of a recipe as they stand beside `secret`.
pub(in super::super) const KEYS: [Key; 13] = [
    Key::may("header", Schema::Like(""), "the header that holds the signature"),
    Key::may("prefix", Schema::Text, "what stands before the signature there (nothing)"),
    ENCODING,
    Key::may(
        "signature",
        Schema::Map(&SIGNATURE),
        "where the signature stands, when `header`, `prefix` and `encoding` do not say it",
    ),
    Key::may("algorithm", Schema::Listed(algorithms), "how it is signed (hmac-sha256)"),
    Key::may("key", Schema::Map(&KEY_RULE), "how the key is made of the secret"),
    Key::may(
        "content",
        Schema::Text,
        "what is signed, such as `{timestamp}.{body}`; known are {body}, {timestamp}, {url}, {method}, {form_sorted}, {secret}, {header:NAME}, {json:PATH} and {form:FIELD} ({body})",
    ),
    Key::may(
        "timestamp",
        Schema::Map(&TIMESTAMP),
        "where the sender's timestamp stands, and how old it may be",
    ),
    Key::may("require", Schema::TEXTS, "headers that have to have these values; with `*` before it, hold it"),
    Key::may(
        "body_hash",
        Schema::Map(&BODY_HASH),
        "where a hash of the body stands, when the URL alone is signed",
    ),
    Key::may(
        "url_ports",
        Schema::Word(PORTS),
        "whether the URL is tried with and without its scheme's port (as_sent)",
    ),
    Key::may(
        "id",
        Schema::Map(&ID),
        "where the sender's own ID of the request stands: a second request with it is a duplicate",
    ),
    Key::may(
        "body",
        Schema::Word(FORMS),
        "whether the body is signed as it came or behind its `Content-Encoding` (as_received)",
    ),
];

/// A recipe with the secrets beside it.
pub(in super::super) const WRITTEN_OUT: [Key; 16] = {
    let [
        header,
        prefix,
        encoding,
        signature,
        algorithm,
        key,
        content,
        timestamp,
        require,
        body_hash,
        ports,
        id,
        body,
    ] = KEYS;
    let [secret, secrets] = SECRETS;
    [
        header, prefix, encoding, signature, algorithm, key, content, timestamp, require, body_hash, ports,
        id, body, secret, secrets, PUBLIC_KEY,
    ]
};

pub(super) const PORTS: &[&str] = &["as_sent", "both"];
pub(super) const FORMS: &[&str] = &["as_received", "content_decoded"];

static BODY_HASH: MapSchema = MapSchema {
    name: "body-hash",
    about: "A hash of the body in a field of the query.",
    keys: Cow::Borrowed(&[
        Key::must("query", Schema::Text, "the field of the query"),
        Key::may("algorithm", Schema::Word(HASHES), "the hash (sha256)"),
        ENCODING,
        Key::may("optional", Schema::Bool, "whether it may be missing (false)"),
    ]),
    rules: &[],
};

pub(super) const HASHES: &[&str] = &["sha256"];

static ID: MapSchema = MapSchema {
    name: "request-id",
    about: "Where the sender's own ID of a request stands.",
    keys: Cow::Borrowed(&PLACE),
    rules: &[Rule::One(&["header", "json", "form"])],
};
