//! What stands in for what is missing, null or empty.

use crate::arguments::Arguments;
use crate::function::Function;
use minijinja::Value;

pub(super) const DEFAULT: Function = Function {
    name: "default",
    aliases: &["d"],
    parameters: &["subject", "value", "boolean"],
    summary: "The fallback when any part of the path is missing or null; with `true` also when the value is empty, zero or false.",
    example: "nowhere.at.all | default(1)",
    result: "1",
    required: 1,
    covers_missing: true,
    call: |arguments| Ok(default(arguments)),
};

pub(super) const IS_EMPTY: Function = Function {
    name: "is_empty",
    aliases: &["isEmpty"],
    parameters: &["value"],
    summary: "Whether a value is missing, null, or an empty text, list or object.",
    example: "[isEmpty(''), isEmpty(nowhere.at.all), isEmpty(0)]",
    result: "[true,true,false]",
    required: 1,
    covers_missing: true,
    call: |arguments| Ok(Value::from(arguments.get(0).is_none_or(is_empty))),
};

pub(super) const REPLACE_IF_EMPTY: Function = Function {
    name: "replace_if_empty",
    aliases: &["replaceIfEmpty"],
    parameters: &["value", "fallback"],
    summary: "The fallback when a value is missing, null, or an empty text, list or object.",
    example: "'' | replaceIfEmpty('none')",
    result: "\"none\"",
    required: 2,
    covers_missing: true,
    call: |arguments| Ok(otherwise(arguments, arguments.get(0).is_none_or(is_empty))),
};

fn default(arguments: &Arguments<'_>) -> Value {
    if arguments.values.len() == 1 {
        let value = arguments.get(0).filter(|value| !value.is_none());
        return value.cloned().unwrap_or_else(|| Value::from(""));
    }
    let falls = |value: &Value| value.is_none() || (arguments.flag(2) && !value.is_true());
    otherwise(arguments, arguments.get(0).is_none_or(falls))
}

/// The second argument when the first does not count.
fn otherwise(arguments: &Arguments<'_>, falls: bool) -> Value {
    arguments.values.get(usize::from(falls)).cloned().unwrap_or_default()
}

/// Whether a value is there but holds nothing. Zero and `false` are values.
pub(crate) fn is_empty(value: &Value) -> bool {
    value.is_none()
        || value.is_undefined()
        || crate::value::is_nothing(value)
        || (!value.is_number() && value.len() == Some(0))
}
