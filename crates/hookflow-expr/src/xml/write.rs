//! From a value to a document: what [`super::read_xml`] reads back.

use super::{MAX_DEPTH, XmlFault, XmlShape, is_char, is_name};
use hookflow_text::Json;

/// A value as an XML document without a declaration. The value is an object with one key: the root element.
///
/// # Errors
/// When the value has another form, a key is no name, or a text has a character that XML does not allow.
pub fn write_xml(value: &Json, shape: &XmlShape) -> Result<String, XmlFault> {
    let root = value.as_object().filter(|map| map.len() == 1).and_then(|map| map.iter().next());
    let Some((name, root)) = root.filter(|(_, root)| !root.is_array()) else {
        return Err(unwritable("XML is written from an object whose one key is the root element"));
    };
    let mut out = String::new();
    element(&mut out, name, root, shape, 1)?;
    Ok(out)
}

fn element(
    out: &mut String,
    name: &str,
    value: &Json,
    shape: &XmlShape,
    depth: usize,
) -> Result<(), XmlFault> {
    if depth > MAX_DEPTH {
        return Err(XmlFault::TooDeep { limit: MAX_DEPTH });
    }
    if !is_name(name) {
        return Err(unwritable(format!("`{name}` cannot name an element")));
    }
    if let Json::Array(items) = value {
        // A list in a list has no form of its own.
        if items.iter().any(Json::is_array) {
            return Err(unwritable(format!("`{name}` is a list of lists, which XML does not have")));
        }
        return items.iter().try_for_each(|item| element(out, name, item, shape, depth));
    }
    out.push('<');
    out.push_str(name);
    let mut inner = String::new();
    match value {
        Json::Object(map) => {
            for (key, value) in map {
                match attribute_of(key, value, shape) {
                    Some(attribute) if is_name(attribute) => {
                        out.push(' ');
                        out.push_str(attribute);
                        out.push_str("=\"");
                        escape(out, &scalar(value), true)?;
                        out.push('"');
                    }
                    _ if *key == shape.text && !value.is_object() && !value.is_array() => {
                        escape(&mut inner, &scalar(value), false)?;
                    }
                    _ => element(&mut inner, key, value, shape, depth + 1)?,
                }
            }
        }
        scalar_value => escape(&mut inner, &scalar(scalar_value), false)?,
    }
    if inner.is_empty() {
        out.push_str("/>");
    } else {
        out.push('>');
        out.push_str(&inner);
        out.push_str("</");
        out.push_str(name);
        out.push('>');
    }
    Ok(())
}

/// The name of the attribute that a key stands for. Without a prefix nothing tells attributes from elements.
fn attribute_of<'k>(key: &'k str, value: &Json, shape: &XmlShape) -> Option<&'k str> {
    let prefixed = !shape.attributes.is_empty() && !value.is_object() && !value.is_array();
    prefixed.then(|| key.strip_prefix(&shape.attributes))?
}

fn scalar(value: &Json) -> String {
    match value {
        Json::Null => String::new(),
        Json::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn escape(out: &mut String, text: &str, in_attribute: bool) -> Result<(), XmlFault> {
    for sign in text.chars() {
        match sign {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            // In text too: then it closes no attribute that somebody puts it into.
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // A reader makes other white space of these.
            '\t' | '\n' if in_attribute => out.push_str(if sign == '\t' { "&#9;" } else { "&#10;" }),
            '\r' => out.push_str("&#13;"),
            sign if is_char(sign) => out.push(sign),
            sign => {
                let sign = u32::from(sign);
                return Err(unwritable(format!("a text has the character {sign}, which XML does not allow")));
            }
        }
    }
    Ok(())
}

fn unwritable(message: impl Into<String>) -> XmlFault {
    XmlFault::Unwritable(message.into())
}
