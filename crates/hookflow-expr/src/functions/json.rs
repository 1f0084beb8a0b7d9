//! Values as JSON text, and texts as values.

use crate::arguments::Arguments;
use crate::eval_error::Failure;
use crate::function::Function;
use crate::value::{View, to_json};
use hookflow_text::Json;
use minijinja::Value;
use std::sync::Arc;

pub(super) const JSON: Function = Function {
    name: "json",
    aliases: &["tojson", "toJson", "to_json"],
    parameters: &["value", "indent"],
    summary: "A value as JSON text; with `indent=true` over several lines.",
    example: "{'a': [1, none]} | json",
    result: "\"{\\\"a\\\":[1,null]}\"",
    required: 1,
    covers_missing: false,
    call: json,
};

pub(super) const PARSE_CSV: Function = Function {
    name: "parse_csv",
    aliases: &["parseCsv"],
    parameters: &["value", "header", "separator"],
    summary: "The rows of a CSV text: objects by the names in the first row, or with `header=false` lists.",
    example: "'sku,name\n1,\"a, b\"' | parse_csv",
    result: "[{\"sku\":\"1\",\"name\":\"a, b\"}]",
    required: 1,
    covers_missing: false,
    call: parse_csv,
};

pub(super) const PARSE_JSON: Function = Function {
    name: "parse_json",
    aliases: &["fromjson", "fromJson", "parseJson"],
    parameters: &["value"],
    summary: "The value that a JSON text holds.",
    example: "('{\"a\": [1, 2]}' | parse_json).a[1]",
    result: "2",
    required: 1,
    covers_missing: false,
    call: parse_json,
};

fn json(arguments: &Arguments<'_>) -> Result<Value, Failure> {
    let value = to_json(arguments.need(0)?)?;
    let text = if arguments.flag(1) {
        serde_json::to_string_pretty(&*value).map_err(|error| arguments.failed(error))?
    } else {
        value.to_string()
    };
    // Marked as what it is, so that a JSON body takes it as it stands; see `escape`.
    Ok(Value::from_safe_string(text))
}

fn parse_json(arguments: &Arguments<'_>) -> Result<Value, Failure> {
    let bytes = arguments.bytes(0)?;
    let value: Json = serde_json::from_slice(&bytes).map_err(|error| {
        arguments.failed(format!("not JSON at line {}, column {}", error.line(), error.column()))
    })?;
    Ok(View::new(Arc::new(value)).into_value())
}

fn parse_csv(arguments: &Arguments<'_>) -> Result<Value, Failure> {
    let text = arguments.text(0)?;
    let separator = arguments.text_or(2, ",")?;
    let Some(separator) = separator.chars().next().filter(|_| separator.chars().count() == 1) else {
        return Err(arguments.failed("the separator is one sign"));
    };
    let mut rows =
        csv_rows(&text, separator).ok_or_else(|| arguments.failed("a quote is not closed"))?.into_iter();
    let value: Json = if arguments.get(1).is_none() || arguments.flag(1) {
        let names = rows.next().unwrap_or_default();
        // A row may be shorter than the first: its last fields are then missing, which the flow will say.
        rows.map(|row| {
            let fields = names.iter().cloned().zip(row.into_iter().map(Json::String));
            Json::Object(fields.collect())
        })
        .collect()
    } else {
        rows.map(Json::from).collect()
    };
    Ok(View::new(Arc::new(value)).into_value())
}

/// The fields of each row, by RFC 4180; empty lines are left out. `None` when a quote is not closed.
fn csv_rows(text: &str, separator: char) -> Option<Vec<Vec<String>>> {
    let (mut rows, mut row, mut field) = (Vec::new(), Vec::new(), String::new());
    let mut quoted = false;
    let mut signs = text.trim_start_matches('\u{feff}').chars().peekable();
    while let Some(sign) = signs.next() {
        match sign {
            '"' if quoted && signs.next_if_eq(&'"').is_some() => field.push('"'),
            '"' if quoted || field.is_empty() => quoted = !quoted,
            _ if quoted => field.push(sign),
            _ if sign == separator => row.push(std::mem::take(&mut field)),
            '\r' if signs.peek() == Some(&'\n') => {}
            '\n' => {
                if !(row.is_empty() && field.is_empty()) {
                    row.push(std::mem::take(&mut field));
                    rows.push(std::mem::take(&mut row));
                }
            }
            _ => field.push(sign),
        }
    }
    if !(row.is_empty() && field.is_empty()) {
        row.push(field);
        rows.push(row);
    }
    (!quoted).then_some(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csv_follows_its_rfc() {
        for (text, expected) in [
            ("a,b\r\nc,d\r\n", Some("[[\"a\",\"b\"],[\"c\",\"d\"]]")),
            ("a,,b\n\n", Some("[[\"a\",\"\",\"b\"]]")),
            ("\"a \"\"b\"\"\nc\",d", Some("[[\"a \\\"b\\\"\\nc\",\"d\"]]")),
            ("a\"b", Some("[[\"a\\\"b\"]]")),
            ("", Some("[]")),
            ("\"a", None),
        ] {
            let rows = csv_rows(text, ',').map(|rows| serde_json::to_string(&rows).unwrap());
            assert_eq!(rows.as_deref(), expected, "{text}");
        }
    }
}
