//! Where something stands in a file.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// A file's name, as it is shown to people, and its text.
#[derive(Debug, PartialEq, Eq)]
pub struct Source {
    /// The path as the user would type it, for example `flows/shop.yaml`.
    pub name: String,
    /// The whole text, shared with whoever keeps it.
    pub text: Arc<str>,
}

impl Source {
    /// A source that many spans can share.
    pub fn new(name: impl Into<String>, text: impl Into<Arc<str>>) -> Arc<Self> {
        Arc::new(Self { name: name.into(), text: text.into() })
    }
}

/// A range of bytes in a [`Source`].
#[derive(Clone, PartialEq, Eq)]
pub struct Span {
    /// The file.
    pub source: Arc<Source>,
    /// Byte offsets into its text, always on character boundaries and within it.
    pub range: Range<usize>,
}

/// A line and a column, both counted from 1; columns count characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
}

impl Span {
    /// A span of `source`, moved onto character boundaries within the text.
    pub fn new(source: &Arc<Source>, range: Range<usize>) -> Self {
        let text = &source.text;
        let start = text.floor_char_boundary(range.start.min(text.len()));
        let end = text.ceil_char_boundary(range.end.clamp(start, text.len()));
        Self { source: Arc::clone(source), range: start..end }
    }

    /// The text of this span.
    pub fn text(&self) -> &str {
        self.source.text.get(self.range.clone()).unwrap_or_default()
    }

    /// The line and column at which it begins.
    pub fn position(&self) -> Position {
        self.position_of(self.range.start)
    }

    /// The line and column right behind it.
    pub fn end_position(&self) -> Position {
        self.position_of(self.range.end)
    }

    fn position_of(&self, at: usize) -> Position {
        let before = self.source.text.get(..at).unwrap_or_default();
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        Position { line, column }
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Position { line, column } = self.position();
        write!(f, "{}:{line}:{column}", self.source.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_characters_from_one() {
        let source = Source::new("a.yaml", "äb\nc: dé\n");
        let at = source.text.find('d').unwrap();
        assert_eq!(Span::new(&source, at..at + 1).position(), Position { line: 2, column: 4 });
        assert_eq!(Span::new(&source, 2..3).position(), Position { line: 1, column: 2 });
        assert_eq!(Span::new(&source, 900..901).text(), "");
    }
}
