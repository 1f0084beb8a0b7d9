//! Regular expressions, which here take time in proportion to text and pattern, never more.

use crate::arguments::Arguments;
use crate::eval_error::Failure;
use crate::evaluation::MAX_OUTPUT;
use crate::function::Function;
use minijinja::Value;
use regex_lite::{Regex, RegexBuilder};

/// How large a compiled pattern may be, in bytes.
const MAX_PROGRAM: usize = 64 << 10;

pub(super) const REGEX_FIND: Function = Function {
    name: "regex_find",
    aliases: &["regexFind"],
    parameters: &["value", "pattern", "group"],
    summary: "The first match of a pattern, or one group of it; null when there is none.",
    example: "'refs/tags/v1.2' | regex_find('v([0-9]+)', 1)",
    result: "\"1\"",
    required: 2,
    covers_missing: false,
    call: find,
};

pub(super) const REGEX_MATCH: Function = Function {
    name: "regex_match",
    aliases: &["regexMatch"],
    parameters: &["value", "pattern"],
    summary: "Whether a pattern is found in a text.",
    example: "'refs/tags/v1' | regex_match('^refs/tags/')",
    result: "true",
    required: 2,
    covers_missing: false,
    call: |arguments| Ok(Value::from(pattern(arguments)?.is_match(&arguments.text(0)?))),
};

pub(super) const REGEX_REPLACE: Function = Function {
    name: "regex_replace",
    aliases: &["regexReplace"],
    parameters: &["value", "pattern", "replacement"],
    summary: "A text with every match of a pattern replaced; `$1` or `${1}` is the first group.",
    example: "'2024-05-01' | regex_replace('([0-9]+)-([0-9]+)-([0-9]+)', '$3.$2.$1')",
    result: "\"01.05.2024\"",
    required: 3,
    covers_missing: false,
    call: replace,
};

/// The pattern, once the work it can make is paid for.
fn pattern(arguments: &Arguments<'_>) -> Result<Regex, Failure> {
    let pattern = arguments.text(1)?;
    // A counted repetition is unrolled, so it weighs more than its letters.
    let states = if pattern.contains('{') { 1024 } else { pattern.len() };
    arguments.evaluation.charge(states + arguments.text(0)?.len().saturating_mul(states) / 8)?;
    RegexBuilder::new(&pattern)
        .size_limit(MAX_PROGRAM)
        .build()
        .map_err(|error| arguments.failed(format!("the pattern is not a regular expression: {error}")))
}

fn find(arguments: &Arguments<'_>) -> Result<Value, Failure> {
    let pattern = pattern(arguments)?;
    let group = if arguments.get(2).is_some() { arguments.count(2)? } else { 0 };
    if group >= pattern.captures_len() {
        return Err(arguments.failed(format!("the pattern has no group {group}")));
    }
    let text = arguments.text(0)?;
    let found = pattern.captures(&text).and_then(|captures| captures.get(group));
    Ok(found.map_or_else(|| Value::from(()), |found| Value::from(found.as_str())))
}

fn replace(arguments: &Arguments<'_>) -> Result<Value, Failure> {
    let (pattern, text, replacement) = (pattern(arguments)?, arguments.text(0)?, arguments.text(2)?);
    let mut out = String::new();
    let mut done = 0;
    for captures in pattern.captures_iter(&text) {
        let Some(found) = captures.get(0) else { continue };
        out.push_str(text.get(done..found.start()).unwrap_or_default());
        captures.expand(&replacement, &mut out);
        done = found.end();
        if out.len() > MAX_OUTPUT {
            return Err(Failure::output());
        }
    }
    out.push_str(text.get(done..).unwrap_or_default());
    Ok(Value::from(out))
}
