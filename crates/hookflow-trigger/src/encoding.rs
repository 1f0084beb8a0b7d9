//! Hex and base64, as strict as signatures need them: nothing is skipped, no bit is left over.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

const CONFIG: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, CONFIG);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, CONFIG.with_encode_padding(false));

/// Standard base64, with or without padding.
pub fn base64(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

/// The alphabet for URLs, with or without padding.
pub(crate) fn base64url(text: &str) -> Option<Vec<u8>> {
    URL_SAFE.decode(text).ok()
}

/// Hex in either case.
pub(crate) fn hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    };
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    // Room for all of it: collecting options grows it bit by bit.
    let mut bytes = Vec::with_capacity(pairs.len());
    for [high, low] in pairs {
        bytes.push(digit(*high)? << 4 | digit(*low)?);
    }
    Some(bytes)
}

/// Standard base64 with padding.
pub fn to_base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// The alphabet for URLs, without padding.
pub(crate) fn to_base64url(bytes: &[u8]) -> String {
    URL_SAFE.encode(bytes)
}

/// Lower-case hex.
pub(crate) fn to_hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decoding_is_strict() {
        assert_eq!(hex("00fFaB"), Some(vec![0, 255, 0xab]));
        assert_eq!(hex(""), Some(Vec::new()));
        for bad in ["0", "0g", " 00", "0x00", "é"] {
            assert_eq!(hex(bad), None, "{bad}");
        }
        assert_eq!(base64("AP8="), Some(vec![0, 255]));
        assert_eq!(base64("AP8"), Some(vec![0, 255]));
        assert_eq!(base64("//8="), Some(vec![255, 255]));
        assert_eq!(base64url("__8"), Some(vec![255, 255]));
        for bad in ["AP9=", "AP8==", "A", "AP 8", "__8=", "AP8=\n"] {
            assert_eq!(base64(bad), None, "{bad}");
        }
    }

    #[test]
    fn encoding_is_undone_by_decoding() {
        let bytes: Vec<u8> = (0..=255).collect();
        assert_eq!(hex(&to_hex(&bytes)), Some(bytes.clone()));
        assert_eq!(base64(&to_base64(&bytes)), Some(bytes.clone()));
        assert_eq!(base64url(&to_base64url(&bytes)), Some(bytes));
    }
}
