//! Texts as numbers.

use crate::arguments::Arguments;
use crate::eval_error::Failure;
use crate::function::Function;
use crate::value::number_value;
use minijinja::Value;

pub(super) const NUMBER: Function = Function {
    name: "number",
    aliases: &["toNumber", "to_number"],
    parameters: &["value", "fallback"],
    summary: "The number that a text holds, or the fallback when it holds none.",
    example: "['12.50' | number, ' 7 ' | number, 'x' | number(0)]",
    result: "[12.5,7,0]",
    required: 1,
    covers_missing: false,
    call: number,
};

fn number(arguments: &Arguments<'_>) -> Result<Value, Failure> {
    let value = arguments.need(0)?;
    if value.is_number() {
        return Ok(value.clone());
    }
    // JSON's way of writing, and what people write besides: `+5`, `007`, `.5`.
    let text = value.as_str().unwrap_or_default().trim();
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let trimmed = digits.trim_start_matches('0');
    let zero = if trimmed.starts_with(|c: char| c.is_ascii_digit()) { "" } else { "0" };
    let plain = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    match serde_json::from_str(&format!("{sign}{zero}{trimmed}")) {
        Ok(number) if plain => Ok(number_value(&number)),
        _ => match arguments.get(1) {
            Some(fallback) => Ok(fallback.clone()),
            None if value.as_str().is_some() => Err(arguments.failed("the text is not a number")),
            None => Err(arguments.mistyped(0, "text")),
        },
    }
}
