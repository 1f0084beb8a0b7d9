//! Public keys: how a file writes them, and signatures that are checked with them.
//!
//! A key stands there as its sender shows it: bare, as a `SubjectPublicKeyInfo` (in PEM or not), or within a
//! certificate. Of a certificate nothing but the key is read: whoever writes it into the file trusts it, so neither
//! its dates nor its issuer say more.

use super::algorithm::KeyRule;
use crate::auth_scheme::Secrets;
use crate::encoding;
use hookflow_text::{Code, Diagnostics, Fields, Node, NodeValue, SecretRef};
use ring::signature::{self, UnparsedPublicKey, VerificationAlgorithm};

/// What a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyKind {
    Ed25519,
    P256,
    Rsa,
}

/// How a signature was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Making {
    Ed25519,
    EcdsaP256Sha256,
    RsaSha1,
    RsaSha256,
}

/// One public key. An empty one verifies nothing.
#[derive(Debug, Clone)]
pub(super) struct PublicKey {
    kind: KeyKind,
    bytes: Vec<u8>,
}

impl KeyKind {
    /// How signatures of this kind of key are made when there is no choice.
    pub(super) fn making(self) -> Making {
        match self {
            Self::Ed25519 => Making::Ed25519,
            Self::P256 => Making::EcdsaP256Sha256,
            Self::Rsa => Making::RsaSha256,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Ed25519 => "an Ed25519 key of 32 bytes",
            Self::P256 => "a key on the curve P-256",
            Self::Rsa => "a certificate, or an RSA key, in PEM",
        }
    }

    /// What an algorithm identifier of this kind begins with.
    fn identifiers(self) -> &'static [u8] {
        match self {
            Self::Ed25519 => &[0x06, 0x03, 0x2b, 0x65, 0x70],
            Self::P256 => &[
                0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, // a key on a curve:
                0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, // P-256
            ],
            Self::Rsa => &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01],
        }
    }

    /// Whether these are the bytes of a key without its wrapping.
    fn is_bare(self, bytes: &[u8]) -> bool {
        match self {
            Self::Ed25519 => bytes.len() == 32,
            Self::P256 => bytes.len() == 65 && bytes.first() == Some(&4),
            // Two numbers, where a wrapping begins with a sequence.
            Self::Rsa => {
                sequence(bytes).and_then(|(key, _)| element(key)).is_some_and(|(tag, ..)| tag == 0x02)
            }
        }
    }
}

impl PublicKey {
    /// One whose bytes were found already.
    pub(super) fn of(kind: KeyKind, bytes: Vec<u8>) -> Self {
        Self { kind, bytes }
    }

    /// Reads what stands under `public_key`: one or a list, of which any may fit.
    pub(super) fn load(
        fields: &mut Fields<'_>,
        kind: KeyKind,
        rule: &KeyRule,
        secrets: &Secrets<'_>,
        diagnostics: &mut Diagnostics,
    ) -> Option<Vec<Self>> {
        let Some(node) = fields.take("public_key") else {
            diagnostics
                .error(Code("auth.public-key"), fields.span(), "the credential needs a `public_key`")
                .help(
                    "its sender signs with a private key and shows the public one; there is no secret to set",
                );
            return None;
        };
        Self::read_all(node, kind, rule, secrets, diagnostics)
    }

    /// Reads one or a list.
    pub(super) fn read_all(
        node: &Node,
        kind: KeyKind,
        rule: &KeyRule,
        secrets: &Secrets<'_>,
        diagnostics: &mut Diagnostics,
    ) -> Option<Vec<Self>> {
        let nodes = match &node.value {
            NodeValue::Seq(items) if !items.is_empty() => items.as_slice(),
            _ => std::slice::from_ref(node),
        };
        let read: Vec<_> =
            nodes.iter().map(|node| Self::read(node, kind, rule, secrets, diagnostics)).collect();
        read.into_iter().collect()
    }

    fn read(
        node: &Node,
        kind: KeyKind,
        rule: &KeyRule,
        secrets: &Secrets<'_>,
        diagnostics: &mut Diagnostics,
    ) -> Option<Self> {
        // It is no secret, so it may stand in the file.
        let text = if matches!(node.value, NodeValue::Map(_)) {
            let secret = SecretRef::load(node, secrets.source, diagnostics)?;
            if secrets.source.is_invented() {
                return Some(Self { kind, bytes: Vec::new() });
            }
            String::from_utf8_lossy(secret.expose()).into_owned()
        } else {
            node.as_str(diagnostics)?.to_owned()
        };
        let key = decode(text.trim(), rule).and_then(|bytes| {
            if kind.is_bare(&bytes) { Some(bytes) } else { key_within(&bytes, kind).map(<[u8]>::to_vec) }
        });
        if key.is_none() {
            diagnostics
                .error(Code("auth.public-key"), &node.span, format!("this is not {}", kind.word()))
                .help("copy the whole key as the sender shows it; it may come from `{file: path}` as well");
        }
        Some(Self { kind, bytes: key? })
    }

    /// Whether a signature over `content` was made with its private half.
    pub(super) fn verifies(&self, making: Making, content: &[u8], received: &[u8]) -> bool {
        let (kind, algorithm): (_, &'static dyn VerificationAlgorithm) = match making {
            Making::Ed25519 => (KeyKind::Ed25519, &signature::ED25519),
            Making::EcdsaP256Sha256 => (KeyKind::P256, &signature::ECDSA_P256_SHA256_ASN1),
            Making::RsaSha1 => (KeyKind::Rsa, &signature::RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY),
            Making::RsaSha256 => (KeyKind::Rsa, &signature::RSA_PKCS1_2048_8192_SHA256),
        };
        kind == self.kind && UnparsedPublicKey::new(algorithm, &self.bytes).verify(content, received).is_ok()
    }
}

/// The bytes behind PEM's armour, or behind the encoding that the scheme names.
pub(super) fn decode(text: &str, rule: &KeyRule) -> Option<Vec<u8>> {
    let Some(armoured) = text.strip_prefix("-----BEGIN ") else { return rule.public(text) };
    let (_, rest) = armoured.split_once("-----")?;
    let (inner, _) = rest.split_once("-----END ")?;
    encoding::base64(&inner.split_whitespace().collect::<String>())
}

/// The key within a `SubjectPublicKeyInfo` or within a certificate.
pub(super) fn key_within(der: &[u8], kind: KeyKind) -> Option<&[u8]> {
    const OBJECT_IDENTIFIER: u8 = 0x06;
    let (whole, _) = sequence(der)?;
    let (first, _) = sequence(whole)?;
    if first.first() == Some(&OBJECT_IDENTIFIER) {
        return key_of(whole, kind);
    }
    key_of(parts(der)?.key, kind)
}

/// What a certificate says, as far as anybody here reads it.
pub(super) struct Parts<'d> {
    pub(super) dates: &'d [u8],
    pub(super) subject: &'d [u8],
    key: &'d [u8],
}

/// Takes a certificate apart: its version, when it is not the first, then number, algorithm, issuer, dates, subject
/// and key.
pub(super) fn parts(der: &[u8]) -> Option<Parts<'_>> {
    const VERSION: u8 = 0xa0;
    let (whole, _) = sequence(der)?;
    let (first, _) = sequence(whole)?;
    let (tag, _, rest) = element(first)?;
    let mut rest = if tag == VERSION { rest } else { first };
    for _ in 0..3 {
        rest = element(rest)?.2;
    }
    let (dates, rest) = sequence(rest)?;
    let (subject, rest) = sequence(rest)?;
    Some(Parts { dates, subject, key: sequence(rest)?.0 })
}

/// The key behind its algorithm.
fn key_of(info: &[u8], kind: KeyKind) -> Option<&[u8]> {
    const BIT_STRING: u8 = 0x03;
    let (algorithm, rest) = sequence(info)?;
    let (tag, bits, _) = element(rest)?;
    // No bit of a key is left over.
    let key = bits.strip_prefix(&[0])?;
    let sound = tag == BIT_STRING && algorithm.starts_with(kind.identifiers()) && kind.is_bare(key);
    sound.then_some(key)
}

/// What is in a sequence, and what follows it.
pub(super) fn sequence(der: &[u8]) -> Option<(&[u8], &[u8])> {
    const SEQUENCE: u8 = 0x30;
    element(der).filter(|(tag, ..)| *tag == SEQUENCE).map(|(_, content, rest)| (content, rest))
}

/// The tag and the content of the first element, and what follows it.
pub(super) fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let ([tag, length], rest) = der.split_first_chunk::<2>()?;
    let (length, rest) = match usize::from(*length) {
        short @ ..=0x7f => (short, rest),
        // Three bytes say more than any key is long.
        long @ 0x81..=0x83 => {
            let (digits, rest) = rest.split_at_checked(long - 0x80)?;
            (digits.iter().fold(0, |sum, digit| sum << 8 | usize::from(*digit)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((*tag, content, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hookflow_text::{SecretSource, Source, parse};

    const P256: &str = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE83T4O/n84iotIvIW4mdBgQ/7dAfSmpqIM8kF9mN1flpVKS3GRqe62gw+2fNNRaINXvVpiglSI8eNEc6wEA3F+g==";

    struct Nothing(bool);

    impl SecretSource for Nothing {
        fn resolve(&self, _: &SecretRef) -> Result<Vec<u8>, String> {
            if self.0 { Ok(b"invented".to_vec()) } else { Err("it is not set".into()) }
        }

        fn is_invented(&self) -> bool {
            self.0
        }
    }

    fn read(text: &str, kind: KeyKind, source: &Nothing) -> (Option<Vec<PublicKey>>, Vec<&'static str>) {
        let mut diagnostics = Diagnostics::default();
        let node = parse(&Source::new("a.yaml", text), &mut diagnostics).unwrap();
        let secrets = Secrets { source };
        let keys = PublicKey::read_all(&node, kind, &KeyRule::default(), &secrets, &mut diagnostics);
        (keys, diagnostics.codes())
    }

    #[test]
    fn a_key_is_read_bare_and_in_its_wrapping() {
        let bare = encoding::to_base64(&encoding::base64(P256).unwrap()[26..]);
        let (first, second) = P256.split_at(64);
        let pem =
            format!("|\n  -----BEGIN PUBLIC KEY-----\n  {first}\n  {second}\n  -----END PUBLIC KEY-----\n");
        for text in [P256, &bare, &pem, &format!("[{P256}]")] {
            let (keys, codes) = read(text, KeyKind::P256, &Nothing(false));
            assert_eq!((keys.map(|keys| keys[0].bytes.len()), codes), (Some(65), Vec::new()), "{text}");
        }
        let thirty_two = "7UkoxijRwsbq6QM4kFmVYSlZJzpcY/k2NsFGFKyHN9E=";
        assert_eq!(read(thirty_two, KeyKind::Ed25519, &Nothing(false)).0.unwrap()[0].bytes.len(), 32);
    }

    #[test]
    fn what_is_no_key_is_said() {
        for (text, kind) in [
            (P256, KeyKind::Ed25519),
            (P256, KeyKind::Rsa),
            ("''", KeyKind::P256),
            ("'%'", KeyKind::Ed25519),
            ("AAAA", KeyKind::Rsa),
            ("'-----BEGIN CERTIFICATE-----'", KeyKind::Rsa),
            ("'-----BEGIN CERTIFICATE-----MIID-----END CERTIFICATE-----'", KeyKind::Rsa),
        ] {
            assert_eq!(read(text, kind, &Nothing(false)).1, ["auth.public-key"], "{text}");
        }
        assert_eq!(read("{env: A}", KeyKind::Rsa, &Nothing(false)).1, ["secret.missing"]);
    }

    #[test]
    fn an_invented_key_verifies_nothing() {
        let (keys, codes) = read("{env: A}", KeyKind::Ed25519, &Nothing(true));
        assert!(codes.is_empty());
        assert!(!keys.unwrap()[0].verifies(Making::Ed25519, b"", &[0; 64]));
    }

    #[test]
    fn a_cut_key_is_none() {
        let der = encoding::base64(P256).unwrap();
        for length in 0..der.len() {
            assert!(key_within(&der[..length], KeyKind::P256).is_none(), "{length}");
        }
        for at in 0..26 {
            let mut other = der.clone();
            other[at] ^= 0x40;
            assert!(key_within(&other, KeyKind::P256).is_none(), "{at}");
        }
    }
}
