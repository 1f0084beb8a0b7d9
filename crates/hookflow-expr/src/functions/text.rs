//! Texts as other texts.

use crate::arguments::Arguments;
use crate::escape::markup;
use crate::eval_error::Failure;
use crate::evaluation::MAX_OUTPUT;
use crate::function::Function;
use crate::value::text;
use minijinja::Value;

pub(super) const ESCAPE: Function = Function {
    name: "escape",
    aliases: &["e"],
    parameters: &["value"],
    summary: "A text with the signs of HTML and XML escaped; bodies of these types do so by themselves.",
    example: "'<a & b>' | escape",
    result: "\"&lt;a &amp; b&gt;\"",
    required: 1,
    covers_missing: false,
    call: |arguments| Ok(Value::from(markup(&arguments.text(0)?))),
};

pub(super) const REPLACE: Function = Function {
    name: "replace",
    aliases: &[],
    parameters: &["value", "from", "to"],
    summary: "A text with every occurrence of another text replaced.",
    example: "'a-b-c' | replace('-', '+')",
    result: "\"a+b+c\"",
    required: 3,
    covers_missing: false,
    call: replace,
};

pub(super) const STRING: Function = Function {
    name: "string",
    aliases: &["toString", "to_string"],
    parameters: &["value"],
    summary: "Any value as it is written into a text.",
    example: "[5 | string, [1, none] | string]",
    result: "[\"5\",\"[1,null]\"]",
    required: 1,
    covers_missing: false,
    call: |arguments| Ok(Value::from(text(arguments.need(0)?)?.into_owned())),
};

pub(super) const SUBSTRING: Function = Function {
    name: "substring",
    aliases: &["substr"],
    parameters: &["value", "start", "length"],
    summary: "A part of a text, counted in characters from 0; to its end without a length.",
    example: "'ORDER-42' | substring(6)",
    result: "\"42\"",
    required: 2,
    covers_missing: false,
    call: substring,
};

pub(super) const TO_LOWER: Function = Function {
    name: "to_lower",
    aliases: &["toLower", "lowercase"],
    parameters: &["value"],
    summary: "A text in lower case.",
    example: "'ADA' | toLower",
    result: "\"ada\"",
    required: 1,
    covers_missing: false,
    call: |arguments| Ok(Value::from(arguments.text(0)?.to_lowercase())),
};

pub(super) const TO_UPPER: Function = Function {
    name: "to_upper",
    aliases: &["toUpper", "uppercase"],
    parameters: &["value"],
    summary: "A text in upper case.",
    example: "toUpper('ada')",
    result: "\"ADA\"",
    required: 1,
    covers_missing: false,
    call: |arguments| Ok(Value::from(arguments.text(0)?.to_uppercase())),
};

pub(super) const TRUNCATE: Function = Function {
    name: "truncate",
    aliases: &[],
    parameters: &["value", "length", "end"],
    summary: "A text of at most so many characters; one that is cut ends in `...`, or in what you give.",
    example: "'Hello World' | truncate(8)",
    result: "\"Hello...\"",
    required: 2,
    covers_missing: false,
    call: truncate,
};

fn replace(arguments: &Arguments<'_>) -> Result<Value, Failure> {
    let (text, from, to) = (arguments.text(0)?, arguments.text(1)?, arguments.text(2)?);
    let more = text.matches(from.as_ref()).count().saturating_mul(to.len());
    if text.len().saturating_add(more) > MAX_OUTPUT {
        return Err(Failure::output());
    }
    Ok(Value::from(text.replace(from.as_ref(), &to)))
}

fn substring(arguments: &Arguments<'_>) -> Result<Value, Failure> {
    let length = if arguments.get(2).is_some() { arguments.count(2)? } else { usize::MAX };
    let text = arguments.text(0)?;
    Ok(Value::from(text.chars().skip(arguments.count(1)?).take(length).collect::<String>()))
}

fn truncate(arguments: &Arguments<'_>) -> Result<Value, Failure> {
    let (text, end, length) = (arguments.text(0)?, arguments.text_or(2, "...")?, arguments.count(1)?);
    if text.chars().nth(length).is_none() {
        return Ok(Value::from(text.into_owned()));
    }
    let kept = length.saturating_sub(end.chars().count());
    Ok(Value::from(text.chars().take(kept).chain(end.chars()).take(length).collect::<String>()))
}
