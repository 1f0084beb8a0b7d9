//! Ways to write bytes and text with fewer signs.

use crate::arguments::Arguments;
use crate::escape::percent_encoded;
use crate::eval_error::Failure;
use crate::function::Function;
use base64::Engine as _;
use base64::alphabet::{STANDARD as STANDARD_ALPHABET, URL_SAFE};
use base64::engine::general_purpose::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use minijinja::Value;
use percent_encoding::percent_decode_str;

pub(super) const BASE64: Function = Function {
    name: "base64",
    aliases: &["base64_encode", "toBase64", "to_base64"],
    parameters: &["value"],
    summary: "A text or bytes in Base64.",
    example: "'Hello' | base64",
    result: "\"SGVsbG8=\"",
    required: 1,
    covers_missing: false,
    call: |arguments| Ok(Value::from(STANDARD.encode(arguments.bytes(0)?))),
};

pub(super) const BASE64_DECODE: Function = Function {
    name: "base64_decode",
    aliases: &["fromBase64", "from_base64"],
    parameters: &["value"],
    summary: "What a Base64 text holds, with or without padding, in the standard or the URL alphabet: text, or bytes when it is none.",
    example: "'SGVsbG8' | base64_decode",
    result: "\"Hello\"",
    required: 1,
    covers_missing: false,
    call: base64_decode,
};

pub(super) const HEX: Function = Function {
    name: "hex",
    aliases: &["toHex", "to_hex"],
    parameters: &["value"],
    summary: "A text or bytes in hexadecimal digits.",
    example: "'Hi' | hex",
    result: "\"4869\"",
    required: 1,
    covers_missing: false,
    call: |arguments| Ok(Value::from(super::digest::hex(&arguments.bytes(0)?))),
};

pub(super) const URL_DECODE: Function = Function {
    name: "url_decode",
    aliases: &["urlDecode"],
    parameters: &["value"],
    summary: "A percent-encoded text as it was.",
    example: "'a%20%26%C3%A4' | url_decode",
    result: "\"a &ä\"",
    required: 1,
    covers_missing: false,
    call: url_decode,
};

pub(super) const URL_ENCODE: Function = Function {
    name: "url_encode",
    aliases: &["urlEncode"],
    parameters: &["value"],
    summary: "A text with every sign but letters, digits and `-._~` percent-encoded.",
    example: "'a &/ä' | url_encode",
    result: "\"a%20%26%2F%C3%A4\"",
    required: 1,
    covers_missing: false,
    call: |arguments| Ok(Value::from(percent_encoded(&arguments.text(0)?))),
};

fn base64_decode(arguments: &Arguments<'_>) -> Result<Value, Failure> {
    let text = arguments.text(0)?;
    let compact: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    let alphabet = if compact.contains(['-', '_']) { &URL_SAFE } else { &STANDARD_ALPHABET };
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let bytes = GeneralPurpose::new(alphabet, config)
        .decode(compact)
        .map_err(|_| arguments.failed("the text is not Base64"))?;
    Ok(String::from_utf8(bytes).map_or_else(|error| Value::from_bytes(error.into_bytes()), Value::from))
}

fn url_decode(arguments: &Arguments<'_>) -> Result<Value, Failure> {
    let text = arguments.text(0)?.replace('+', " ");
    let decoded = percent_decode_str(&text).decode_utf8();
    decoded.map(Value::from).map_err(|_| arguments.failed("the decoded bytes are not text"))
}
