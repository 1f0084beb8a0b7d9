//! Values: JSON in memory, and how a YAML scalar becomes one (YAML 1.2 core schema).

use crate::{Code, Diagnostics, Node, NodeValue, Scalar, Style};

/// A JSON value. Numbers keep their spelling (`10.10`, 30-digit integers), objects their order.
pub type Json = serde_json::Value;

/// About how many bytes a value takes in memory, which is many times its text when it is made of small parts.
pub fn weight(value: &Json) -> usize {
    /// A list grows by doubling, so half of its room may be empty.
    const ITEM: usize = 2 * size_of::<Json>();
    /// An object's entry: the key's own frame, its hash and its place in the index.
    const ENTRY: usize = size_of::<String>() + 32;
    /// The least that an allocation takes.
    const ALLOCATION: usize = 16;
    match value {
        Json::Null | Json::Bool(_) => ITEM,
        Json::Number(_) => ITEM + ALLOCATION,
        Json::String(text) => ITEM + ALLOCATION + text.len(),
        Json::Array(items) => ITEM + items.iter().map(weight).sum::<usize>(),
        Json::Object(map) => {
            ITEM + map.iter().map(|(key, value)| ENTRY + key.len() + weight(value)).sum::<usize>()
        }
    }
}

impl Node {
    /// The value of this node as JSON, by YAML 1.2's core schema: `null ~`, `true false`, integers
    /// (decimal, `0x`, `0o`), floats; everything else is text. Keys are text as written.
    pub fn to_json(&self, diagnostics: &mut Diagnostics) -> Json {
        match &self.value {
            NodeValue::Scalar(scalar) => scalar.to_json().unwrap_or_else(|| {
                diagnostics
                    .error(Code("yaml.number"), &self.span, format!("`{}` has no JSON value", scalar.text))
                    .help("put it in quotes to keep it as text");
                Json::Null
            }),
            NodeValue::Seq(items) => items.iter().map(|item| item.to_json(diagnostics)).collect(),
            NodeValue::Map(entries) => entries
                .iter()
                .map(|(key, value)| (key.text().to_owned(), value.to_json(diagnostics)))
                .collect::<serde_json::Map<_, _>>()
                .into(),
        }
    }
}

impl Scalar {
    /// The value by the core schema; `None` for `.inf` and `.nan`, which JSON does not have.
    pub fn to_json(&self) -> Option<Json> {
        if self.style != Style::Plain {
            return Some(Json::String(self.text.clone()));
        }
        match self.text.as_str() {
            "" | "~" | "null" | "Null" | "NULL" => return Some(Json::Null),
            "true" | "True" | "TRUE" => return Some(Json::Bool(true)),
            "false" | "False" | "FALSE" => return Some(Json::Bool(false)),
            ".nan" | ".NaN" | ".NAN" => return None,
            other if matches!(other.trim_start_matches(['-', '+']), ".inf" | ".Inf" | ".INF") => return None,
            _ => {}
        }
        Some(number(&self.text).unwrap_or_else(|| Json::String(self.text.clone())))
    }
}

fn number(text: &str) -> Option<Json> {
    for (prefix, radix) in [("0x", 16), ("0o", 8)] {
        if let Some(digits) = text.strip_prefix(prefix) {
            return u64::from_str_radix(digits, radix).ok().map(Json::from);
        }
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let sign = if text.starts_with('-') { "-" } else { "" };
    let (mantissa, exponent) = match unsigned.find(['e', 'E']) {
        Some(at) => unsigned.split_at_checked(at)?,
        None => (unsigned, ""),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || (whole.is_empty() && fraction.is_empty()) {
        return None;
    }
    let trimmed = whole.trim_start_matches('0');
    let whole = if trimmed.is_empty() { "0" } else { trimmed };
    let point = if fraction.is_empty() { "" } else { "." };
    serde_json::from_str(&format!("{sign}{whole}{point}{fraction}{exponent}")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Source, parse};

    fn json(text: &str) -> String {
        let mut diagnostics = Diagnostics::default();
        parse(&Source::new("a.yaml", text), &mut diagnostics).unwrap().to_json(&mut diagnostics).to_string()
    }

    #[test]
    fn scalars_follow_the_core_schema() {
        for (yaml, expected) in [
            ("no", "\"no\""),
            ("on", "\"on\""),
            ("true", "true"),
            ("~", "null"),
            ("\"1\"", "\"1\""),
            ("017", "17"),
            ("0o17", "15"),
            ("0xff", "255"),
            ("-12", "-12"),
            ("+3", "3"),
            ("10.10", "10.10"),
            (".5", "0.5"),
            ("1_000", "\"1_000\""),
            ("2024-01-01", "\"2024-01-01\""),
            ("12:30:45", "\"12:30:45\""),
            ("1.", "1"),
            ("123456789012345678901234567890", "123456789012345678901234567890"),
            ("-", "[null]"),
            ("e5", "\"e5\""),
            ("1e", "\"1e\""),
            ("{a: [1, x]}", "{\"a\":[1,\"x\"]}"),
        ] {
            assert_eq!(json(yaml), expected, "{yaml}");
        }
    }

    #[test]
    fn infinity_is_refused() {
        let mut diagnostics = Diagnostics::default();
        parse(&Source::new("a.yaml", "[.inf, -.Inf, .nan]"), &mut diagnostics)
            .unwrap()
            .to_json(&mut diagnostics);
        assert_eq!(diagnostics.codes(), ["yaml.number"; 3]);
    }
}
