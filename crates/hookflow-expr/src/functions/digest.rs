//! Digests, as hexadecimal text.

use crate::arguments::Arguments;
use crate::eval_error::Failure;
use crate::function::Function;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use md5::{Digest, Md5};
use minijinja::Value;
use sha1::Sha1;
use sha2::{Sha256, Sha512};

pub(super) const HMAC_SHA256: Function = Function {
    name: "hmac_sha256",
    aliases: &["hmacSha256"],
    parameters: &["value", "key", "encoding"],
    summary: "The HMAC-SHA256 of a text under a key, as `hex` or `base64`.",
    example: "'what do ya want for nothing?' | hmac_sha256('Jefe') | truncate(16, '')",
    result: "\"5bdcc146bf60754e\"",
    required: 2,
    covers_missing: false,
    call: hmac_sha256,
};

pub(super) const MD5: Function = Function {
    name: "md5",
    aliases: &[],
    parameters: &["value"],
    summary: "The MD5 digest, for services that still ask for it.",
    example: "'abc' | md5",
    result: "\"900150983cd24fb0d6963f7d28e17f72\"",
    required: 1,
    covers_missing: false,
    call: digest::<Md5>,
};

pub(super) const SHA1: Function = Function {
    name: "sha1",
    aliases: &[],
    parameters: &["value"],
    summary: "The SHA-1 digest, for services that still ask for it.",
    example: "'abc' | sha1",
    result: "\"a9993e364706816aba3e25717850c26c9cd0d89d\"",
    required: 1,
    covers_missing: false,
    call: digest::<Sha1>,
};

pub(super) const SHA256: Function = Function {
    name: "sha256",
    aliases: &[],
    parameters: &["value"],
    summary: "The SHA-256 digest.",
    example: "'abc' | sha256",
    result: "\"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\"",
    required: 1,
    covers_missing: false,
    call: digest::<Sha256>,
};

pub(super) const SHA512: Function = Function {
    name: "sha512",
    aliases: &[],
    parameters: &["value"],
    summary: "The SHA-512 digest.",
    example: "'abc' | sha512 | substring(0, 16)",
    result: "\"ddaf35a193617aba\"",
    required: 1,
    covers_missing: false,
    call: digest::<Sha512>,
};

fn digest<D: Digest>(arguments: &Arguments<'_>) -> Result<Value, Failure> {
    Ok(Value::from(hex(&D::digest(arguments.bytes(0)?))))
}

fn hmac_sha256(arguments: &Arguments<'_>) -> Result<Value, Failure> {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(&arguments.bytes(1)?).map_err(|error| arguments.failed(error))?;
    mac.update(&arguments.bytes(0)?);
    let code = mac.finalize().into_bytes();
    match arguments.text_or(2, "hex")?.as_ref() {
        "hex" => Ok(Value::from(hex(&code))),
        "base64" => Ok(Value::from(STANDARD.encode(code))),
        _ => Err(arguments.failed("the encoding is `hex` or `base64`")),
    }
}

/// Bytes as hexadecimal text.
pub(super) fn hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from_digit(u32::from(value), 16).unwrap_or('0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}
