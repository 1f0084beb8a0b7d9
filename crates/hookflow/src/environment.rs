//! The environment: secrets come from it, and a variable with a double underscore overrides a key of the
//! configuration: `HOOKFLOW_PUBLIC__LISTEN=0.0.0.0:80`. The rest of the program sees only this.

use hookflow_text::{Code, Diagnostics, Node, NodeValue, Scalar, Source, Span, Style, parse};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::sync::Arc;

const PREFIX: &str = "HOOKFLOW_";

/// The variables of the process, read once when it starts. Names that are not UTF-8 are nobody's.
#[derive(Debug, Clone, Default)]
pub(crate) struct Environment(BTreeMap<String, OsString>);

impl Environment {
    /// What the process was started with.
    pub(crate) fn of_process() -> Self {
        Self(
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value))).collect(),
        )
    }

    #[cfg(test)]
    pub(crate) fn of(pairs: &[(&str, &str)]) -> Self {
        Self(pairs.iter().map(|(name, value)| ((*name).to_owned(), OsString::from(value))).collect())
    }

    /// The bytes of a variable.
    pub(crate) fn get(&self, name: &str) -> Option<Vec<u8>> {
        self.0.get(name).map(|value| value.clone().into_vec())
    }

    /// Lays the overriding variables onto a configuration, as if they were written there.
    pub(crate) fn overlay(&self, root: &mut Node, diagnostics: &mut Diagnostics) {
        for (name, value) in &self.0 {
            let Some(path) = name.strip_prefix(PREFIX).filter(|path| path.contains("__")) else { continue };
            let origin = format!("environment {name}");
            let named = Source::new(origin.clone(), name.clone());
            let Ok(text) = std::str::from_utf8(value.as_bytes()) else {
                let span = Span::new(&named, 0..name.len());
                diagnostics.error(
                    Code("config.environment"),
                    &span,
                    format!("the value of `{name}` is not UTF-8"),
                );
                continue;
            };
            let mut at = PREFIX.len();
            let mut keys = Vec::new();
            for segment in path.split("__") {
                keys.push(scalar(segment.to_lowercase(), Span::new(&named, at..at + segment.len())));
                at += segment.len() + 2;
            }
            insert(root, keys, read(&Source::new(origin, text)));
        }
    }
}

/// A value as YAML when it is that, else as text: `[::1]:80` is an address, not a broken list.
fn read(source: &Arc<Source>) -> Node {
    let whole = Span::new(source, 0..source.text.len());
    let mut mistakes = Diagnostics::default();
    match parse(source, &mut mistakes) {
        Some(node) if mistakes.is_empty() && !source.text.trim().is_empty() => node,
        _ => scalar(source.text.to_string(), whole),
    }
}

fn scalar(text: String, span: Span) -> Node {
    Node { span, value: NodeValue::Scalar(Scalar { text, style: Style::Plain }) }
}

fn insert(map: &mut Node, keys: Vec<Node>, value: Node) {
    let mut target = map;
    for key in keys {
        if !matches!(target.value, NodeValue::Map(_)) {
            target.value = NodeValue::Map(Vec::new());
        }
        let NodeValue::Map(entries) = &mut target.value else { return };
        let known = entries.iter().position(|(name, _)| name.text() == key.text());
        let at = known.unwrap_or_else(|| {
            let span = key.span.clone();
            entries.push((key, Node { span, value: NodeValue::Map(Vec::new()) }));
            entries.len() - 1
        });
        let Some((_, next)) = entries.get_mut(at) else { return };
        target = next;
    }
    *target = value;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn overlaid(yaml: &str, variables: &[(&str, &str)]) -> String {
        let mut diagnostics = Diagnostics::default();
        let mut root = parse(&Source::new("config/hookflow.yaml", yaml), &mut diagnostics).unwrap();
        Environment::of(variables).overlay(&mut root, &mut diagnostics);
        assert!(diagnostics.is_empty(), "{}", diagnostics.render(false));
        root.to_json(&mut diagnostics).to_string()
    }

    #[test]
    fn a_variable_overrides_or_adds_a_key() {
        for (yaml, name, value, expected) in [
            ("", "HOOKFLOW_PUBLIC__LISTEN", "0.0.0.0:80", r#"{"public":{"listen":"0.0.0.0:80"}}"#),
            ("public: {listen: a}", "HOOKFLOW_PUBLIC__LISTEN", "b", r#"{"public":{"listen":"b"}}"#),
            ("public:", "HOOKFLOW_PUBLIC__LIMITS__BODY", "1MiB", r#"{"public":{"limits":{"body":"1MiB"}}}"#),
            ("", "HOOKFLOW_OUTBOUND__ALLOW", "[10.0.0.0/8]", r#"{"outbound":{"allow":["10.0.0.0/8"]}}"#),
            ("", "HOOKFLOW_PUBLIC__LISTEN", "[::1]:80", r#"{"public":{"listen":"[::1]:80"}}"#),
            ("", "HOOKFLOW_PUBLIC__LISTEN", "", r#"{"public":{"listen":null}}"#),
            ("", "HOOKFLOW_HOME", "x", "{}"),
            ("", "OTHER_PUBLIC__LISTEN", "x", "{}"),
        ] {
            assert_eq!(overlaid(yaml, &[(name, value)]), expected, "{name}={value}");
        }
    }

    #[test]
    fn mistakes_point_at_the_variable() {
        let mut diagnostics = Diagnostics::default();
        let mut root = parse(&Source::new("config/hookflow.yaml", ""), &mut diagnostics).unwrap();
        Environment::of(&[("HOOKFLOW_PUBLIC__LSTEN", "x")]).overlay(&mut root, &mut diagnostics);
        let secrets = crate::secrets::FolderSecrets::invented();
        crate::config::Config::read(&root, &secrets, &mut diagnostics);
        let text = diagnostics.render(false);
        assert_eq!(diagnostics.codes(), ["yaml.unknown-key"]);
        assert!(text.contains("environment HOOKFLOW_PUBLIC__LSTEN"), "{text}");
        assert!(text.contains("did you mean `listen`?"), "{text}");
    }
}
