//! Chance, which comes with the evaluation: the same at a replay.

use crate::arguments::Arguments;
use crate::eval_error::Failure;
use crate::function::Function;
use minijinja::Value;

pub(super) const RANDOM: Function = Function {
    name: "random",
    aliases: &["rand"],
    parameters: &["least", "most"],
    summary: "A whole number by chance, from the least to the most; not for secrets.",
    example: "random(1, 6) in [1, 2, 3, 4, 5, 6]",
    result: "true",
    required: 2,
    covers_missing: false,
    call: random,
};

pub(super) const UUID: Function = Function {
    name: "uuid",
    aliases: &["guid", "newGuid"],
    parameters: &[],
    summary: "A new UUID (version 4).",
    example: "uuid() | length",
    result: "36",
    required: 0,
    covers_missing: false,
    call: |arguments| Ok(Value::from(uuid(arguments.evaluation.draw()))),
};

fn random(arguments: &Arguments<'_>) -> Result<Value, Failure> {
    let (least, most) = (i128::from(arguments.integer(0)?), i128::from(arguments.integer(1)?));
    let drawn =
        arguments.evaluation.draw().iter().take(8).fold(0, |drawn, byte| drawn << 8 | i128::from(*byte));
    match most - least {
        span if span < 0 => Err(arguments.failed("the least is more than the most")),
        span => Ok(Value::from(least + drawn % (span + 1))),
    }
}

/// A UUID (version 4) of bytes by chance.
pub fn uuid(mut bytes: [u8; 32]) -> String {
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let mut out = String::with_capacity(36);
    for (nth, byte) in bytes.iter().take(16).enumerate() {
        if matches!(nth, 4 | 6 | 8 | 10) {
            out.push('-');
        }
        out.push_str(&format!("{byte:02x}"));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_says_its_version() {
        assert_eq!(uuid([0xff; 32]), "ffffffff-ffff-4fff-bfff-ffffffffffff");
        assert_eq!(uuid([0; 32]), "00000000-0000-4000-8000-000000000000");
    }
}
