//! Values as XML text, and XML texts as values.

use crate::arguments::Arguments;
use crate::eval_error::Failure;
use crate::function::Function;
use crate::value::{View, XmlText, text, to_json};
use crate::xml::{XmlFault, XmlShape, read_xml, write_xml};
use minijinja::Value;
use std::sync::Arc;

pub(super) const PARSE_XML: Function = Function {
    name: "parse_xml",
    aliases: &["parseXml"],
    parameters: &["value", "lists"],
    summary: "The value that an XML text holds: attributes as `@name`, text beside others as `#text`; `lists` names elements that are always lists.",
    example: "'<order id=\"7\"><item>A</item></order>' | parse_xml(lists=['order.item'])",
    result: "{\"order\":{\"@id\":\"7\",\"item\":[\"A\"]}}",
    required: 1,
    covers_missing: false,
    call: parse_xml,
};

pub(super) const XML: Function = Function {
    name: "xml",
    aliases: &["toXml", "to_xml"],
    parameters: &["value"],
    summary: "A value as XML text, as `parse_xml` reads it; its one key is the root element.",
    example: "{'order': {'@id': 7, 'item': ['A', 'B & C']}} | xml",
    result: "\"<order id=\\\"7\\\"><item>A</item><item>B &amp; C</item></order>\"",
    required: 1,
    covers_missing: false,
    call: xml,
};

fn parse_xml(arguments: &Arguments<'_>) -> Result<Value, Failure> {
    let mut shape = XmlShape::default();
    if arguments.get(1).is_some() {
        let paths = arguments.items(1)?.map(|item| Ok(text(&item?)?.into_owned()));
        shape.lists = paths.collect::<Result<_, Failure>>()?;
    }
    let value = read_xml(&arguments.text(0)?, &shape).map_err(|fault| {
        arguments.failed(match fault {
            XmlFault::Malformed { message, line, column } => {
                format!("not XML at line {line}, column {column}: {message}")
            }
            other => other.to_string(),
        })
    })?;
    Ok(View::new(Arc::new(value)).into_value())
}

fn xml(arguments: &Arguments<'_>) -> Result<Value, Failure> {
    let value = to_json(arguments.need(0)?)?;
    let text = write_xml(&value, &XmlShape::default()).map_err(|fault| arguments.failed(fault))?;
    Ok(Value::from_object(XmlText(text)))
}

#[cfg(test)]
mod tests {
    use crate::Expression;
    use crate::expression::tests::{AnyName, env};
    use hookflow_text::{Diagnostics, Source, parse};

    fn eval(expression: &str) -> Result<String, String> {
        let mut diagnostics = Diagnostics::default();
        let yaml = serde_json::Value::from(expression).to_string();
        let node = parse(&Source::new("example.yaml", yaml), &mut diagnostics).unwrap();
        let expression = Expression::compile(&node, &AnyName, &mut diagnostics).unwrap();
        expression.eval(&env("{}")).map(|value| value.to_string()).map_err(|error| error.to_string())
    }

    #[test]
    fn what_xml_gives_is_text_to_every_function() {
        for (expression, expected) in [
            ("{'a': 1} | xml | to_upper", "\"<A>1</A>\""),
            ("{'a': 1} | xml | upper", "\"<A>1</A>\""),
            ("{'a': 1} | xml | parse_xml", "{\"a\":\"1\"}"),
            ("({'a': 1} | xml) ~ '!'", "\"<a>1</a>!\""),
            ("{'a': 1} | xml | base64", "\"PGE+MTwvYT4=\""),
            ("[{'a': 1} | xml]", "[\"<a>1</a>\"]"),
            ("{'a': 1} | xml | json", "\"\\\"<a>1</a>\\\"\""),
        ] {
            assert_eq!(eval(expression).as_deref(), Ok(expected), "{expression}");
        }
    }

    #[test]
    fn what_cannot_be_said_in_xml_is_told() {
        for (expression, words) in [
            ("[1] | xml", "one key is the root element"),
            ("'<a>\n<b></a>' | parse_xml", "not XML at line 2"),
            ("'<!DOCTYPE a><a/>' | parse_xml", "document type"),
            ("'<a/>' | parse_xml(lists=1)", "needs a list"),
        ] {
            let error = eval(expression).unwrap_err();
            assert!(error.contains(words), "{expression}: {error}");
        }
    }
}
