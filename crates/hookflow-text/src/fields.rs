//! Reading maps and scalars: what is asked for is what is known, and the rest is an error.

use crate::{Code, Diagnostics, Node, NodeValue, Rate, Span, Style, nearest, parse_duration, parse_size};
use std::borrow::Cow;
use std::time::Duration;

/// A map that is being read. Every key that is asked for becomes known; [`Fields::finish`] reports the others,
/// each with the nearest known word.
#[derive(Debug)]
pub struct Fields<'n> {
    what: Cow<'static, str>,
    node: &'n Node,
    entries: &'n [(Node, Node)],
    known: Vec<&'static str>,
}

impl<'n> Fields<'n> {
    /// Begins to read `node`; `what` names it with its article (`a webhook`). Anything but a map is an error.
    pub fn of(node: &'n Node, what: &'static str, diagnostics: &mut Diagnostics) -> Option<Self> {
        let NodeValue::Map(entries) = &node.value else {
            diagnostics.error(
                Code("yaml.type"),
                &node.span,
                format!("expected {what}, a map of keys and values, found {}", node.kind()),
            );
            return None;
        };
        Some(Self { what: what.into(), node, entries, known: Vec::new() })
    }

    /// Names it better, once more is known of it.
    pub fn describe(&mut self, what: String) {
        self.what = what.into();
    }

    /// The value under `key`, if it is written.
    pub fn take(&mut self, key: &'static str) -> Option<&'n Node> {
        self.known.push(key);
        self.entries.iter().find(|(name, _)| name.text() == key).map(|(_, value)| value)
    }

    /// The key and the value, for messages that point at the key.
    pub fn take_entry(&mut self, key: &'static str) -> Option<(&'n Node, &'n Node)> {
        self.known.push(key);
        self.entries.iter().find(|(name, _)| name.text() == key).map(|(name, value)| (name, value))
    }

    /// The value under `key`; its absence is an error.
    pub fn require(&mut self, key: &'static str, diagnostics: &mut Diagnostics) -> Option<&'n Node> {
        let found = self.take(key);
        if found.is_none() {
            diagnostics
                .error(
                    Code("yaml.missing-key"),
                    &self.node.key_span(),
                    format!("{} needs `{key}`", self.what),
                )
                .label("missing here");
        }
        found
    }

    /// Whether `key` is written.
    pub fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|(name, _)| name.text() == key)
    }

    /// Makes keys known without reading them.
    pub fn know(&mut self, keys: &[&'static str]) {
        self.known.extend_from_slice(keys);
    }

    /// The span of the whole map.
    pub fn span(&self) -> &'n Span {
        &self.node.span
    }

    /// Reports every key that nobody asked for.
    pub fn finish(self, diagnostics: &mut Diagnostics) {
        for (key, _) in self.entries {
            let word = key.text();
            if self.known.contains(&word) {
                continue;
            }
            let diagnostic = diagnostics
                .error(Code("yaml.unknown-key"), &key.span, format!("unknown key `{word}` in {}", self.what))
                .label("not known here");
            match nearest(word, self.known.iter().copied()) {
                Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
                None => diagnostic.help(format!("known here: {}", words(&self.known))),
            };
        }
    }
}

/// Scalar readers: each returns `None` after it has reported what it expected.
impl Node {
    /// The text of a scalar that was written as text or as a bare word; maps and lists are errors.
    pub fn as_str(&self, diagnostics: &mut Diagnostics) -> Option<&str> {
        match &self.value {
            NodeValue::Scalar(scalar) if scalar.style != Style::Plain || !scalar.is_null() => {
                Some(&scalar.text)
            }
            _ => self.mistyped("text", diagnostics),
        }
    }

    /// `true` or `false`.
    pub fn as_bool(&self, diagnostics: &mut Diagnostics) -> Option<bool> {
        match self.plain() {
            Some("true" | "True" | "TRUE") => Some(true),
            Some("false" | "False" | "FALSE") => Some(false),
            word => {
                let meant = match word.map(str::to_ascii_lowercase).as_deref() {
                    Some("yes" | "on") => Some("did you mean `true`?"),
                    Some("no" | "off") => Some("did you mean `false`?"),
                    _ => None,
                };
                let expected = format!("expected `true` or `false`, found {}", self.kind());
                let diagnostic = diagnostics.error(Code("yaml.type"), &self.span, expected);
                if let Some(meant) = meant {
                    diagnostic.help(meant);
                }
                None
            }
        }
    }

    /// A whole number from `least` to `most`.
    pub fn as_integer(&self, least: u64, most: u64, diagnostics: &mut Diagnostics) -> Option<u64> {
        match self.plain().and_then(|text| text.parse().ok()) {
            Some(number) if (least..=most).contains(&number) => Some(number),
            Some(_) => self.refuse(
                format!("expected a number from {least} to {most}, found `{}`", self.text()),
                diagnostics,
            ),
            None => self.mistyped("a whole number", diagnostics),
        }
    }

    /// `500ms 5s 2m 24h 30d`.
    pub fn as_duration(&self, diagnostics: &mut Diagnostics) -> Option<Duration> {
        self.parsed(parse_duration, diagnostics)
    }

    /// `64KiB 10MiB`, in bytes.
    pub fn as_size(&self, diagnostics: &mut Diagnostics) -> Option<u64> {
        self.parsed(parse_size, diagnostics)
    }

    /// `8/s 100/m`.
    pub fn as_rate(&self, diagnostics: &mut Diagnostics) -> Option<Rate> {
        self.parsed(Rate::parse, diagnostics)
    }

    /// One of a closed list of words.
    pub fn one_of(&self, words_: &[&'static str], diagnostics: &mut Diagnostics) -> Option<&'static str> {
        let text = self.as_str(diagnostics)?;
        if let Some(word) = words_.iter().find(|word| **word == text) {
            return Some(word);
        }
        let diagnostic = diagnostics.error(
            Code("yaml.word"),
            &self.span,
            format!("expected one of {}, found `{text}`", words(words_)),
        );
        if let Some(near) = nearest(text, words_.iter().copied()) {
            diagnostic.help(format!("did you mean `{near}`?"));
        }
        None
    }

    /// The items of a list; anything else is an error.
    pub fn as_list(&self, diagnostics: &mut Diagnostics) -> Option<&[Node]> {
        match &self.value {
            NodeValue::Seq(items) => Some(items),
            _ => self.mistyped("a list", diagnostics),
        }
    }

    /// The entries of a map whose keys are the user's own; anything else is an error.
    pub fn as_map(&self, diagnostics: &mut Diagnostics) -> Option<&[(Node, Node)]> {
        match &self.value {
            NodeValue::Map(entries) => Some(entries),
            _ => self.mistyped("a map", diagnostics),
        }
    }

    /// Reports that something else was expected here.
    pub fn mistyped<T>(&self, expected: &str, diagnostics: &mut Diagnostics) -> Option<T> {
        self.refuse(format!("expected {expected}, found {}", self.kind()), diagnostics)
    }

    fn refuse<T>(&self, message: String, diagnostics: &mut Diagnostics) -> Option<T> {
        diagnostics.error(Code("yaml.type"), &self.span, message);
        None
    }

    fn parsed<T>(
        &self,
        parse: impl Fn(&str) -> Result<T, String>,
        diagnostics: &mut Diagnostics,
    ) -> Option<T> {
        let text = self.as_str(diagnostics)?;
        match parse(text) {
            Ok(value) => Some(value),
            Err(why) => self.refuse(why, diagnostics),
        }
    }
}

fn words(list: &[&str]) -> String {
    let mut list = list.to_vec();
    list.sort_unstable();
    list.dedup();
    list.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Source, parse};

    #[test]
    fn what_was_not_asked_for_is_unknown() {
        let mut diagnostics = Diagnostics::default();
        let node =
            parse(&Source::new("a.yaml", "url: x\nheders: {}\ncolour: red\n"), &mut diagnostics).unwrap();
        let mut fields = Fields::of(&node, "an `http` step", &mut diagnostics).unwrap();
        assert_eq!(fields.take("url").and_then(|node| node.as_str(&mut diagnostics)), Some("x"));
        assert!(fields.take("headers").is_none());
        assert!(fields.require("method", &mut diagnostics).is_none());
        fields.finish(&mut diagnostics);
        assert_eq!(diagnostics.codes(), ["yaml.missing-key", "yaml.unknown-key", "yaml.unknown-key"]);
        let text = diagnostics.render(false);
        assert!(text.contains("did you mean `headers`?"), "{text}");
        assert!(text.contains("a.yaml:2:1"), "{text}");
    }

    #[test]
    fn scalars_are_held_to_their_types() {
        let mut diagnostics = Diagnostics::default();
        let node =
            parse(&Source::new("a.yaml", "[yes, 5, 1.5, {a: 1}, 70s, 9MiB, ~]"), &mut diagnostics).unwrap();
        let items = node.as_list(&mut diagnostics).unwrap();
        assert_eq!(items[0].as_bool(&mut diagnostics), None);
        assert_eq!(items[1].as_integer(0, 9, &mut diagnostics), Some(5));
        assert_eq!(items[1].as_integer(6, 9, &mut diagnostics), None);
        assert_eq!(items[2].as_integer(0, 9, &mut diagnostics), None);
        assert_eq!(items[3].as_str(&mut diagnostics), None);
        assert_eq!(items[4].as_duration(&mut diagnostics), Some(Duration::from_secs(70)));
        assert_eq!(items[5].as_size(&mut diagnostics), Some(9 << 20));
        assert_eq!(items[6].as_str(&mut diagnostics), None);
        assert_eq!(items[1].one_of(&["a", "b"], &mut diagnostics), None);
        assert_eq!(diagnostics.codes().len(), 6);
    }
}
