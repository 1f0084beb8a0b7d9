//! Digests, the encodings they travel in, and the keys they are made with.

use super::public_key::KeyKind;
use crate::auth_scheme::{SHORTEST_SECRET, warn_if_short};
use crate::encoding;
use hmac::{Hmac, KeyInit as _, Mac as _};
use hookflow_text::{Code, Diagnostics, Fields, Key, MapSchema, Node, Schema, Secret};
use sha1::Sha1;
use sha2::{Digest as _, Sha256, Sha512};
use std::borrow::Cow;
use std::fmt;

/// How a digest is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Algorithm {
    HmacSha1,
    HmacSha256,
    HmacSha512,
    /// A plain SHA-256 over content that holds the secret.
    KeyedSha256,
    /// Verified with a public key.
    Ed25519,
    /// Verified with a public key; the signature is DER.
    EcdsaP256Sha256,
}

/// Every word for an algorithm.
pub(super) fn algorithms() -> Vec<(String, String)> {
    ALGORITHMS.iter().map(|(name, _)| ((*name).to_owned(), String::new())).collect()
}

const ALGORITHMS: [(&str, Algorithm); 9] = [
    ("hmac-sha256", Algorithm::HmacSha256),
    ("hmac-sha1", Algorithm::HmacSha1),
    ("hmac-sha512", Algorithm::HmacSha512),
    ("keyed-sha256", Algorithm::KeyedSha256),
    ("ed25519", Algorithm::Ed25519),
    ("ecdsa-p256-sha256", Algorithm::EcdsaP256Sha256),
    ("sha1", Algorithm::HmacSha1),
    ("sha256", Algorithm::HmacSha256),
    ("sha512", Algorithm::HmacSha512),
];

impl Algorithm {
    pub(super) fn load(node: &Node, diagnostics: &mut Diagnostics) -> Option<Self> {
        word(node, &ALGORITHMS, diagnostics)
    }

    /// The kind of public key that it is verified with, when it is.
    pub(super) fn key_kind(self) -> Option<KeyKind> {
        match self {
            Self::Ed25519 => Some(KeyKind::Ed25519),
            Self::EcdsaP256Sha256 => Some(KeyKind::P256),
            Self::HmacSha1 | Self::HmacSha256 | Self::HmacSha512 | Self::KeyedSha256 => None,
        }
    }

    /// A digest that is fed piece by piece.
    pub(super) fn begin(self, key: &[u8]) -> Digester {
        // An HMAC takes a key of any length: the error that the type allows does not occur.
        let begun = match self {
            Self::HmacSha1 => Hmac::new_from_slice(key).map(Digester::HmacSha1),
            Self::HmacSha256 => Hmac::new_from_slice(key).map(Digester::HmacSha256),
            Self::HmacSha512 => Hmac::new_from_slice(key).map(Digester::HmacSha512),
            Self::KeyedSha256 => Ok(Digester::Sha256(Sha256::new())),
            Self::Ed25519 | Self::EcdsaP256Sha256 => Ok(Digester::Whole(Vec::new())),
        };
        begun.unwrap_or(Digester::None)
    }
}

/// A digest that is being made. One that has begun with a key is as secret as that.
#[derive(Clone)]
pub(super) enum Digester {
    HmacSha1(Hmac<Sha1>),
    HmacSha256(Hmac<Sha256>),
    HmacSha512(Hmac<Sha512>),
    Sha256(Sha256),
    /// The content itself, for algorithms that take it whole.
    Whole(Vec<u8>),
    /// Equal to no signature.
    None,
}

impl fmt::Debug for Digester {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Digester").finish_non_exhaustive()
    }
}

impl Digester {
    pub(super) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::HmacSha1(mac) => mac.update(bytes),
            Self::HmacSha256(mac) => mac.update(bytes),
            Self::HmacSha512(mac) => mac.update(bytes),
            Self::Sha256(hash) => hash.update(bytes),
            Self::Whole(content) => content.extend_from_slice(bytes),
            Self::None => {}
        }
    }

    pub(super) fn finish(self) -> Vec<u8> {
        match self {
            Self::HmacSha1(mac) => mac.finalize().into_bytes().to_vec(),
            Self::HmacSha256(mac) => mac.finalize().into_bytes().to_vec(),
            Self::HmacSha512(mac) => mac.finalize().into_bytes().to_vec(),
            Self::Sha256(hash) => hash.finalize().to_vec(),
            Self::Whole(content) => content,
            Self::None => Vec::new(),
        }
    }
}

/// How a digest travels as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Hex,
    Base64,
    Base64Url,
}

/// How a digest is written.
pub(super) const ENCODING: Key = Key::may("encoding", Schema::Listed(encodings), "how it is written (hex)");

fn encodings() -> Vec<(String, String)> {
    ENCODINGS.iter().map(|(name, _)| ((*name).to_owned(), String::new())).collect()
}

const ENCODINGS: [(&str, Encoding); 3] =
    [("base64", Encoding::Base64), ("base64url", Encoding::Base64Url), ("hex", Encoding::Hex)];

impl Encoding {
    pub(super) fn load(node: &Node, diagnostics: &mut Diagnostics) -> Option<Self> {
        word(node, &ENCODINGS, diagnostics)
    }

    /// A digest; an empty text is none.
    pub(super) fn decode(self, text: &str) -> Option<Vec<u8>> {
        let decoded = match self {
            Self::Hex => encoding::hex(text),
            Self::Base64 => encoding::base64(text),
            Self::Base64Url => encoding::base64url(text),
        };
        decoded.filter(|digest| !digest.is_empty())
    }

    pub(super) fn encode(self, digest: &[u8]) -> String {
        match self {
            Self::Hex => encoding::to_hex(digest),
            Self::Base64 => encoding::to_base64(digest),
            Self::Base64Url => encoding::to_base64url(digest),
        }
    }
}

/// How a key is made of a secret.
#[derive(Debug, Clone, Default)]
pub(super) struct KeyRule {
    strip_prefix: Option<String>,
    decode: Option<Encoding>,
    sha1: bool,
}

const DECODINGS: &[&str] = &["base64", "hex", "utf8"];
const HASHES: &[&str] = &["sha1"];

pub(super) static KEY_RULE: MapSchema = MapSchema {
    name: "key-rule",
    about: "How the key is made of the secret.",
    keys: Cow::Borrowed(&[
        Key::may("strip_prefix", Schema::Text, "what is taken off its beginning"),
        Key::may("decode", Schema::Word(DECODINGS), "how its bytes are written (utf8)"),
        Key::may("hash", Schema::Word(HASHES), "the hash of it is the key (none)"),
    ]),
    rules: &[],
};

impl KeyRule {
    /// A secret that is written in an encoding.
    pub(super) fn decoded(encoding: Encoding) -> Self {
        Self { strip_prefix: None, decode: Some(encoding), sha1: false }
    }

    pub(super) fn load(node: &Node, diagnostics: &mut Diagnostics) -> Option<Self> {
        let mut fields = Fields::of(node, "a `key`", diagnostics)?;
        let strip_prefix = match fields.take("strip_prefix") {
            Some(node) => Some(node.as_str(diagnostics)?.to_owned()),
            None => None,
        };
        let decode = match fields.take("decode") {
            Some(node) => match node.one_of(DECODINGS, diagnostics)? {
                "base64" => Some(Encoding::Base64),
                "hex" => Some(Encoding::Hex),
                _ => None,
            },
            None => None,
        };
        let sha1 = match fields.take("hash") {
            Some(node) => node.one_of(HASHES, diagnostics).map(|_| true)?,
            None => false,
        };
        fields.finish(diagnostics);
        Some(Self { strip_prefix, decode, sha1 })
    }

    /// The key of a secret that stands at `node`.
    pub(super) fn make(&self, secret: &Secret, node: &Node, diagnostics: &mut Diagnostics) -> Option<Secret> {
        let bytes = self.strip(secret.expose());
        let made = match self.decode {
            None => Some(bytes.to_vec()),
            Some(encoding) => std::str::from_utf8(bytes).ok().and_then(|text| encoding.decode(text)),
        };
        // One that is short as it was written has been told of already.
        if let Some(key) = made.as_ref().filter(|_| secret.expose().len() >= SHORTEST_SECRET) {
            warn_if_short(key.len(), "is the text of a key of only", node, diagnostics);
        }
        let made = made.map(|key| if self.sha1 { Sha1::digest(key).to_vec() } else { key });
        let key = made.and_then(Secret::new);
        if key.is_none() {
            let what = match self.decode {
                Some(Encoding::Hex) => "hex",
                Some(_) => "base64",
                None => "a key behind its prefix",
            };
            diagnostics
                .error(
                    Code("secret.encoding"),
                    &node.span,
                    format!("this secret is not {what}, which the scheme needs"),
                )
                .help("copy the whole secret as the sender shows it");
        }
        key
    }

    /// The bytes of a public key that is written as text; without a `decode` it is base64.
    pub(super) fn public(&self, text: &str) -> Option<Vec<u8>> {
        let text = std::str::from_utf8(self.strip(text.as_bytes())).ok()?;
        self.decode.unwrap_or(Encoding::Base64).decode(text)
    }

    fn strip<'k>(&self, bytes: &'k [u8]) -> &'k [u8] {
        self.strip_prefix.as_ref().and_then(|it| bytes.strip_prefix(it.as_bytes())).unwrap_or(bytes)
    }
}

/// One word of a table.
pub(super) fn word<T: Copy>(
    node: &Node,
    table: &[(&'static str, T)],
    diagnostics: &mut Diagnostics,
) -> Option<T> {
    let words: Vec<_> = table.iter().map(|(name, _)| *name).collect();
    let found = node.one_of(&words, diagnostics)?;
    table.iter().find(|(name, _)| *name == found).map(|(_, value)| *value)
}
