//! The spanned tree of a YAML file, built from granit-parser's events.
//!
//! What YAML allows and this tree does not: several documents, duplicate keys, `<<`, keys that are not text,
//! aliases that multiply beyond [`MAX_NODES`], nesting beyond [`MAX_DEPTH`].

use crate::{Code, Diagnostics, Source, Span};
use granit_parser::{Event, Parser, ScalarStyle};
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

/// How many nodes a file may hold once its aliases are followed.
const MAX_NODES: usize = 100_000;
/// How deep lists and maps may nest.
const MAX_DEPTH: usize = 64;

/// A scalar, a list or a map, and where it stands.
#[derive(Debug, Clone)]
pub struct Node {
    /// From its first to after its last byte.
    pub span: Span,
    /// What it is.
    pub value: NodeValue,
}

/// What a node is.
#[derive(Debug, Clone)]
pub enum NodeValue {
    /// Text of any kind.
    Scalar(Scalar),
    /// A list.
    Seq(Vec<Node>),
    /// A map, in the order of the file.
    Map(Vec<(Node, Node)>),
}

/// A scalar as it was written: `1.10` stays `1.10`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scalar {
    /// After YAML's own unescaping.
    pub text: String,
    /// How it was written.
    pub style: Style,
}

/// How a scalar was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Without quotes: YAML gives `true`, `12` and `null` their meaning.
    Plain,
    /// In quotes: always text.
    Quoted,
    /// `|` or `>`: always text.
    Block,
}

impl Scalar {
    /// Whether it is YAML's null.
    pub fn is_null(&self) -> bool {
        self.style == Style::Plain && matches!(self.text.as_str(), "" | "~" | "null" | "Null" | "NULL")
    }
}

impl Node {
    /// The text of a scalar; empty for lists and maps.
    pub fn text(&self) -> &str {
        match &self.value {
            NodeValue::Scalar(scalar) => &scalar.text,
            _ => "",
        }
    }

    /// The text of a plain scalar.
    pub fn plain(&self) -> Option<&str> {
        match &self.value {
            NodeValue::Scalar(scalar) if scalar.style == Style::Plain => Some(&scalar.text),
            _ => None,
        }
    }

    /// Whether it is YAML's null.
    pub fn is_null(&self) -> bool {
        matches!(&self.value, NodeValue::Scalar(scalar) if scalar.is_null())
    }

    /// What it is, in words for a message.
    pub fn kind(&self) -> String {
        match &self.value {
            NodeValue::Seq(items) if items.is_empty() => "an empty list".into(),
            NodeValue::Seq(_) => "a list".into(),
            NodeValue::Map(_) => "a map".into(),
            NodeValue::Scalar(scalar) if scalar.is_null() => "nothing".into(),
            NodeValue::Scalar(scalar) => {
                let short: String = scalar.text.chars().take(40).collect();
                let more = if short.len() < scalar.text.len() { "…" } else { "" };
                format!("`{}{more}`", short.replace('\n', " "))
            }
        }
    }

    /// The first key of a map (for messages that would otherwise mark the whole of it), else the node itself.
    pub fn key_span(&self) -> Span {
        match &self.value {
            NodeValue::Map(entries) => {
                entries.first().map_or_else(|| self.span.clone(), |(key, _)| key.span.clone())
            }
            _ => self.span.clone(),
        }
    }

    /// Where a range of this scalar's text stands in the file; the whole scalar when YAML's escapes or folds
    /// have moved it.
    pub fn span_within(&self, range: Range<usize>) -> Span {
        let inner = || {
            let text = self.text();
            let part = text.get(range.clone()).filter(|part| !part.is_empty())?;
            let nth = text.get(..range.start)?.matches(part).count();
            let (at, _) = self.span.text().match_indices(part).nth(nth)?;
            let start = self.span.range.start + at;
            Some(Span::new(&self.span.source, start..start + part.len()))
        };
        inner().unwrap_or_else(|| self.span.clone())
    }
}

/// Reads a file. What is wrong with it as YAML goes into `diagnostics`; `None` when nothing can be read.
/// An empty file is an empty map.
pub fn parse(source: &Arc<Source>, diagnostics: &mut Diagnostics) -> Option<Node> {
    let text = source.text.strip_prefix('\u{feff}').unwrap_or(&*source.text);
    let shift = source.text.len() - text.len();
    let mut builder =
        Builder { source, shift, open: Vec::new(), anchors: HashMap::new(), nodes: 0, root: None };
    for event in Parser::new_from_str(text) {
        let step = match event {
            Ok((event, span)) => builder.event(event, &span, diagnostics),
            Err(error) => {
                let at = error.marker().byte_offset().unwrap_or(0) + shift;
                builder.syntax_error(at, &error.info(), diagnostics);
                None
            }
        };
        step?;
    }
    Some(
        builder
            .root
            .unwrap_or_else(|| Node { span: Span::new(source, 0..0), value: NodeValue::Map(Vec::new()) }),
    )
}

struct Builder<'s> {
    source: &'s Arc<Source>,
    shift: usize,
    open: Vec<Open>,
    anchors: HashMap<usize, (Node, usize)>,
    nodes: usize,
    root: Option<Node>,
}

/// A list or map that has begun and not yet ended.
struct Open {
    start: usize,
    end: usize,
    anchor: usize,
    nodes_before: usize,
    shape: Shape,
}

enum Shape {
    Seq(Vec<Node>),
    Map(Vec<(Node, Node)>, Option<Node>),
}

impl Builder<'_> {
    /// Takes one event; `None` ends the reading after an error was reported.
    fn event(
        &mut self,
        event: Event<'_>,
        span: &granit_parser::Span,
        diagnostics: &mut Diagnostics,
    ) -> Option<()> {
        let range = span.byte_range().map_or(0..0, |range| range.start + self.shift..range.end + self.shift);
        if let Event::Scalar(.., Some(tag))
        | Event::SequenceStart(.., Some(tag))
        | Event::MappingStart(.., Some(tag)) = &event
        {
            self.tag_error(tag, range.start, diagnostics);
        }
        match event {
            Event::Scalar(text, style, anchor, _) => {
                let style = match style {
                    ScalarStyle::Plain => Style::Plain,
                    ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => Style::Quoted,
                    ScalarStyle::Literal | ScalarStyle::Folded => Style::Block,
                };
                let value = NodeValue::Scalar(Scalar { text: text.into_owned(), style });
                self.close(Node { span: Span::new(self.source, range), value }, anchor, 1, diagnostics)
            }
            Event::Alias(id) => self.alias(id, range, diagnostics),
            Event::SequenceStart(_, anchor, _) => {
                self.begin(range, anchor, Shape::Seq(Vec::new()), diagnostics)
            }
            Event::MappingStart(_, anchor, _) => {
                self.begin(range, anchor, Shape::Map(Vec::new(), None), diagnostics)
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Open { start, end, anchor, shape, nodes_before } = self.open.pop()?;
                let (value, flow_end) = match shape {
                    Shape::Seq(items) => (NodeValue::Seq(items), range.end),
                    Shape::Map(entries, _) => (NodeValue::Map(entries), range.end),
                };
                // The end of a block stands before the next token, often lines below: its last child ends it.
                let closed = self.source.text.get(start..).is_some_and(|text| text.starts_with(['[', '{']));
                let end = if closed { flow_end } else { end };
                let node = Node { span: Span::new(self.source, start..end.max(start)), value };
                let size = self.nodes - nodes_before;
                self.close(node, anchor, size.max(1), diagnostics)
            }
            Event::DocumentStart(..) if self.root.is_some() => {
                diagnostics
                    .error(
                        Code("yaml.documents"),
                        &Span::new(self.source, range),
                        "a file holds one document",
                    )
                    .help("move what follows `---` into a file of its own");
                None
            }
            _ => Some(()),
        }
    }

    /// What an alias stands for goes where the alias stands.
    fn alias(&mut self, id: usize, range: Range<usize>, diagnostics: &mut Diagnostics) -> Option<()> {
        let span = Span::new(self.source, range);
        let Some((mut node, size)) = self.anchors.get(&id).cloned() else {
            // The parser knows the anchor, so its node has begun and is not whole yet.
            diagnostics
                .error(Code("yaml.alias-cycle"), &span, "this alias stands within what it stands for")
                .help("write out what is meant");
            return None;
        };
        node.span = span;
        self.nodes += size;
        if self.nodes > MAX_NODES {
            diagnostics
                .error(
                    Code("yaml.alias-bomb"),
                    &node.span,
                    format!("with what its aliases stand for, the file holds more than {MAX_NODES} nodes"),
                )
                .help("an alias counts as often as it is used: write fewer of them");
            return None;
        }
        self.close(node, 0, 0, diagnostics)
    }

    fn begin(
        &mut self,
        range: Range<usize>,
        anchor: usize,
        shape: Shape,
        diagnostics: &mut Diagnostics,
    ) -> Option<()> {
        if self.open.len() >= MAX_DEPTH {
            diagnostics.error(
                Code("yaml.too-deep"),
                &Span::new(self.source, range),
                format!("lists and maps nest deeper than {MAX_DEPTH} levels"),
            );
            return None;
        }
        let nodes_before = self.nodes;
        self.open.push(Open { start: range.start, end: range.end, anchor, nodes_before, shape });
        Some(())
    }

    /// A node is whole: it goes into what is open around it.
    fn close(&mut self, node: Node, anchor: usize, size: usize, diagnostics: &mut Diagnostics) -> Option<()> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            diagnostics
                .error(
                    Code("yaml.too-large"),
                    &node.span,
                    format!("the file holds more than {MAX_NODES} nodes"),
                )
                .help("divide it");
            return None;
        }
        if anchor != 0 {
            self.anchors.insert(anchor, (node.clone(), size));
        }
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some(open) => {
                open.end = open.end.max(node.span.range.end);
                match &mut open.shape {
                    Shape::Seq(items) => items.push(node),
                    Shape::Map(entries, key) => match key.take() {
                        None => *key = Some(node),
                        Some(name) => add_entry(entries, name, node, diagnostics),
                    },
                }
            }
        }
        Some(())
    }

    /// A tag would change what a value is, and none is known here. The text of the tag stands before its value.
    fn tag_error(&self, tag: &granit_parser::Tag, value: usize, diagnostics: &mut Diagnostics) {
        let before = self.source.text.get(..value).unwrap_or_default();
        let at = before.rfind('!').unwrap_or(value);
        let end =
            before.get(at..).and_then(|tag| tag.find(char::is_whitespace)).map_or(value, |end| at + end);
        diagnostics
            .error(
                Code("yaml.tag"),
                &Span::new(self.source, at..end),
                format!("`!` begins a tag of YAML, and no tag is known: `{tag}`"),
            )
            .help("put text that begins with `!` in quotes; in an expression, write `not` instead of `!`");
    }

    /// A syntax error, with the usual cause named when the line holds a template.
    fn syntax_error(&self, at: usize, why: &str, diagnostics: &mut Diagnostics) {
        let text = &self.source.text;
        let at = text.floor_char_boundary(at.min(text.len()));
        let line_start =
            text.get(..at).and_then(|before| before.rfind('\n')).map_or(0, |newline| newline + 1);
        let line = text.get(line_start..).and_then(|rest| rest.lines().next()).unwrap_or_default();
        let span = Span::new(self.source, at..(at + 1).min(line_start + line.len()).max(at));
        let diagnostic = diagnostics.error(Code("yaml.syntax"), &span, format!("this is not YAML: {why}"));
        if line.contains("${") || line.contains("@{") {
            diagnostic
                .help("put the value that holds the template in quotes, or write it as a block with `|`");
        } else if let Some((_, help)) = CAUSES.iter().find(|(words, _)| why.contains(words)) {
            diagnostic.help(*help);
        }
    }
}

/// The usual causes of what the parser says.
const CAUSES: &[(&str, &str)] = &[
    ("mapping values are not allowed", "put a value that holds `: ` in quotes"),
    ("illegal placement of ':'", "a `[`, `{` or quote before it may not be closed"),
    ("trailing content after", "put the whole value in quotes, or none of it"),
    ("unknown anchor", "`*` begins an alias; put text that begins with it in quotes"),
    ("tabs disallowed", "indent with spaces"),
];

fn add_entry(entries: &mut Vec<(Node, Node)>, key: Node, value: Node, diagnostics: &mut Diagnostics) {
    if !matches!(key.value, NodeValue::Scalar(_)) {
        diagnostics
            .error(Code("yaml.key"), &key.span, "a key is text")
            .help("if `{{ … }}` was meant to be a template: templates are written '${ … }', in quotes");
        return;
    }
    if key.plain() == Some("<<") {
        diagnostics
            .error(Code("yaml.merge"), &key.span, "`<<` is not supported")
            .help("write the keys out, or use an alias for the whole value");
        return;
    }
    if let Some((first, _)) = entries.iter().find(|(other, _)| other.text() == key.text()) {
        diagnostics
            .error(Code("yaml.duplicate-key"), &key.span, format!("the key `{}` stands twice", key.text()))
            .label("again here")
            .also(&first.span, "first here");
        return;
    }
    entries.push((key, value));
}

#[cfg(test)]
mod tests;
