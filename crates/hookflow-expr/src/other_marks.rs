//! The marks of other template languages: a text that holds them is passed on as it is, which is hardly ever meant.

use hookflow_text::{Code, Diagnostics, Node};

const MARKS: &[(&str, &str)] = &[("{{", "}}"), ("{%", "%}")];

/// Warns of the first `{{ … }}` or `{% … %}` in `literal`, which is a part of the text of `node`.
pub(crate) fn warn(literal: &str, node: &Node, diagnostics: &mut Diagnostics) {
    let Some(found) = MARKS.iter().find_map(|(open, close)| marked(literal, open, close)) else { return };
    let at = node.text().find(found).unwrap_or_default();
    diagnostics
        .warning(
            Code("expr.other-marks"),
            &node.span_within(at..at + found.len()),
            "this is passed on as it stands: templates are written `${ … }` here",
        )
        .help("write `${ … }` for a value, `@{if …}` and `@{for …}` for blocks");
}

fn marked<'t>(text: &'t str, open: &str, close: &str) -> Option<&'t str> {
    let rest = text.get(text.find(open)?..)?;
    rest.get(..rest.find(close)? + close.len())
}
