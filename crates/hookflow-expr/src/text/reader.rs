//! Reads a text into its pieces, and keeps account of JSON's quotes on the way.

use super::{Branch, Insert, Loop, Piece};
use crate::escape::Escape;
use crate::known::Known;
use crate::other_marks;
use crate::path::is_name;
use crate::program::Program;
use crate::scan::closing_brace;
use crate::site::Site;
use hookflow_text::{Code, Diagnostics, Node, nearest};
use std::ops::Range;
use std::sync::Arc;

/// The longest text with templates in it.
const MAX_TEXT: usize = 64 << 10;
/// How deep blocks may nest.
const MAX_DEPTH: usize = 32;

/// The inside of a text that is one `${ … }` and white space.
pub(crate) fn whole(text: &str) -> Option<Range<usize>> {
    let trimmed = text.trim_end();
    let start = trimmed.len() - trimmed.trim_start().len() + 2;
    let rest = trimmed.trim_start().strip_prefix("${")?;
    let end = closing_brace(rest)?;
    (start + end + 1 == trimmed.len()).then_some(start..start + end)
}

/// Reports a `${` or `@{` at `at` in the text of `site` that nothing closes.
pub(crate) fn unclosed(site: &Site, mark: &str, at: usize, diagnostics: &mut Diagnostics) {
    let message = format!("this `{mark}` is not closed");
    let diagnostic = diagnostics.error(Code("expr.unclosed"), &site.span_of(at..at + 2), message);
    let escape = if mark == "${" { "`$${`" } else { "`@@{`" };
    if site.is_cut() {
        diagnostic.help("YAML has cut the value at ` #`, where its comments begin; put the value in quotes");
    } else {
        diagnostic.help(format!(
            "a `}}` is missing, or a quote before it is open; an expression has at most 2 KiB; {escape} writes the signs themselves"
        ));
    }
}

/// The pieces of a scalar's text.
pub(super) fn read(
    node: &Node,
    escape: Escape,
    known: &dyn Known,
    diagnostics: &mut Diagnostics,
) -> Option<Vec<Piece>> {
    let text = node.text();
    if !text.contains("${") && !text.contains("@{") {
        other_marks::warn(text, node, diagnostics);
        return Some(vec![Piece::Literal(text.to_owned())]);
    }
    if text.len() > MAX_TEXT {
        let message = format!("a text with `${{ }}` in it is longer than {} KiB", MAX_TEXT >> 10);
        diagnostics.error(Code("expr.too-long"), &node.span, message);
        return None;
    }
    let node = Arc::new(node.clone());
    let mut reader = Reader {
        text,
        node: &node,
        at: 0,
        json: (escape == Escape::Json).then_some(Quote::Closed),
        known,
        diagnostics,
        bound: Vec::new(),
        depth: 0,
        failed: false,
    };
    let (pieces, stop) = reader.pieces()?;
    if let Some((word, range)) = stop {
        reader.error(range, format!("nothing is open that this `{}` could belong to", word.name()));
        return None;
    }
    (!reader.failed).then_some(pieces)
}

/// Whether a quote of the JSON around is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quote {
    Closed,
    Open,
    /// Open, and the next sign is escaped.
    Escaped,
}

impl Quote {
    fn after(self, text: &str) -> Self {
        text.chars().fold(self, |quote, sign| match (quote, sign) {
            (Self::Closed, '"') | (Self::Escaped, _) => Self::Open,
            (Self::Open, '"') => Self::Closed,
            (Self::Open, '\\') => Self::Escaped,
            (same, _) => same,
        })
    }
}

/// What a block begins with, and where its expression stands.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Word {
    If(Range<usize>),
    ElseIf(Range<usize>),
    Else,
    EndIf,
    For(Range<usize>),
    EndFor,
}

impl Word {
    fn name(&self) -> &'static str {
        match self {
            Self::If(_) => "@{if}",
            Self::ElseIf(_) => "@{else if}",
            Self::Else => "@{else}",
            Self::EndIf => "@{end if}",
            Self::For(_) => "@{for}",
            Self::EndFor => "@{end for}",
        }
    }
}

/// A block that ends the pieces before it, and where it stands; none at the end of the text.
type Stop = Option<(Word, Range<usize>)>;

struct Reader<'a> {
    text: &'a str,
    node: &'a Arc<Node>,
    at: usize,
    /// Only in a text that is JSON.
    json: Option<Quote>,
    known: &'a dyn Known,
    diagnostics: &'a mut Diagnostics,
    bound: Vec<String>,
    depth: usize,
    failed: bool,
}

impl Reader<'_> {
    /// Pieces up to the end or to a block that does not begin anything. `None` when the text makes no sense any
    /// more; a wrong expression is only noted, so that the others are checked too.
    fn pieces(&mut self) -> Option<(Vec<Piece>, Stop)> {
        let mut pieces = Vec::new();
        let mut literal = String::new();
        loop {
            let rest = self.text.get(self.at..).unwrap_or_default();
            let Some(next) = rest.find(['$', '@']) else {
                literal.push_str(rest);
                self.at = self.text.len();
                self.end_literal(&mut literal, &mut pieces);
                return Some((pieces, None));
            };
            let (before, mark) = rest.split_at_checked(next).unwrap_or((rest, ""));
            literal.push_str(before);
            self.at += next;
            if mark.starts_with("$${") || mark.starts_with("@@{") {
                literal.push_str(mark.get(1..3).unwrap_or_default());
                self.at += 3;
            } else if mark.starts_with("${") {
                self.end_literal(&mut literal, &mut pieces);
                let inside = self.inside("${")?;
                let in_quotes = self.json.is_some_and(|quote| quote != Quote::Closed);
                let program = self.program(inside);
                pieces.extend(program.map(|program| Piece::Insert(Insert { program, in_quotes })));
            } else if mark.starts_with("@{") {
                self.end_literal(&mut literal, &mut pieces);
                let start = self.at;
                let inside = self.inside("@{")?;
                let place = start..self.at;
                match self.word(inside)? {
                    Word::If(condition) => {
                        pieces.push(self.nested(&place, |me| me.branches(condition, &place))?);
                    }
                    Word::For(head) => pieces.push(self.nested(&place, |me| me.turns(head, &place))?),
                    word => return Some((pieces, Some((word, place)))),
                }
            } else {
                literal.push_str(mark.get(..1).unwrap_or_default());
                self.at += 1;
            }
        }
    }

    fn end_literal(&mut self, literal: &mut String, pieces: &mut Vec<Piece>) {
        if !literal.is_empty() {
            other_marks::warn(literal, self.node, self.diagnostics);
            self.json = self.json.map(|quote| quote.after(literal));
            pieces.push(Piece::Literal(std::mem::take(literal)));
        }
    }

    /// What stands in the braces that are opened here; goes on behind them.
    fn inside(&mut self, mark: &str) -> Option<Range<usize>> {
        let start = self.at + 2;
        let Some(length) = closing_brace(self.text.get(start..).unwrap_or_default()) else {
            let site = Site::new(self.node, 0..self.text.len());
            unclosed(&site, mark, self.at, self.diagnostics);
            return None;
        };
        self.at = start + length + 1;
        Some(start..start + length)
    }

    fn program(&mut self, place: Range<usize>) -> Option<Program> {
        let site = Site::new(self.node, place);
        let program = Program::compile(site, &self.bound, self.known, self.diagnostics);
        self.failed |= program.is_none();
        program
    }

    fn nested(
        &mut self,
        place: &Range<usize>,
        read: impl FnOnce(&mut Self) -> Option<Piece>,
    ) -> Option<Piece> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            self.error(place.clone(), format!("blocks nest deeper than {MAX_DEPTH} levels"));
            return None;
        }
        let piece = read(self);
        self.depth -= 1;
        piece
    }

    fn branches(&mut self, condition: Range<usize>, opened: &Range<usize>) -> Option<Piece> {
        let before = self.json;
        let mut after = None;
        let mut branches = Vec::new();
        let mut condition = Some(condition);
        loop {
            let last = condition.is_none();
            let program = condition.map(|place| self.program(place));
            self.json = before;
            let (pieces, stop) = self.pieces()?;
            self.same_quotes(*after.get_or_insert(self.json), opened);
            // A condition that does not compile has been noted; nothing will be evaluated.
            branches.push(Branch { condition: program.flatten(), pieces });
            condition = match stop {
                Some((Word::EndIf, _)) => {
                    if !last {
                        self.json = before;
                        self.same_quotes(after.unwrap_or(before), opened);
                    }
                    return Some(Piece::If(branches));
                }
                Some((Word::Else, _)) if !last => None,
                Some((Word::ElseIf(place), _)) if !last => Some(place),
                stop => return self.misplaced("@{if}", "@{end if}", stop, opened),
            };
        }
    }

    fn turns(&mut self, head: Range<usize>, opened: &Range<usize>) -> Option<Piece> {
        let text = self.text.get(head.clone()).unwrap_or_default();
        let split = text.find(" in ");
        let names: Vec<String> = text
            .get(..split.unwrap_or(0))
            .unwrap_or_default()
            .split(',')
            .map(|name| name.trim().to_owned())
            .collect();
        let (Some(split), true) = (split, names.len() <= 2 && names.iter().all(|name| is_name(name))) else {
            self.error(opened.clone(), "a loop is written `@{for item in list}`".to_owned());
            return None;
        };
        let list = self.program(head.start + split + 4..head.end);
        let outer = self.bound.len();
        self.bound.extend(names.iter().cloned());
        self.bound.push("loop".to_owned());
        let before = self.json;
        let (body, mut stop) = self.pieces()?;
        self.bound.truncate(outer);
        self.same_quotes(before, opened);
        let mut otherwise = Vec::new();
        if matches!(stop, Some((Word::Else, _))) {
            self.json = before;
            (otherwise, stop) = self.pieces()?;
            self.same_quotes(before, opened);
        }
        if !matches!(stop, Some((Word::EndFor, _))) {
            return self.misplaced("@{for}", "@{end for}", stop, opened);
        }
        // Without a list nothing will be evaluated; the piece only stands for what was read.
        Some(
            list.map_or(Piece::Literal(String::new()), |list| {
                Piece::For(Loop { names, list, body, otherwise })
            }),
        )
    }

    /// Something else than the end of a block was found.
    fn misplaced(&mut self, begin: &str, end: &str, stop: Stop, opened: &Range<usize>) -> Option<Piece> {
        let message = match &stop {
            None => format!("this `{begin}` has no `{end}`"),
            Some((word, _)) => format!("`{}` stands where `{end}` is expected", word.name()),
        };
        let begin_span = self.site().span_of(opened.clone());
        let place = stop.map_or_else(|| begin_span.clone(), |(_, place)| self.site().span_of(place));
        self.diagnostics.error(Code("expr.block"), &place, message).also(&begin_span, "begins here");
        None
    }

    /// All ways through a block have to agree on whether a quote is open behind it: how a value has to be escaped
    /// is known before it is.
    fn same_quotes(&mut self, expected: Option<Quote>, opened: &Range<usize>) {
        if self.json != expected {
            let span = self.site().span_of(opened.clone());
            self.diagnostics
                .error(Code("expr.json-quotes"), &span, "this block opens or closes a `\"` on some ways only")
                .help("put both quotes inside the block, or both outside of it");
            self.failed = true;
            self.json = expected;
        }
    }

    fn word(&mut self, inside: Range<usize>) -> Option<Word> {
        let text = self.text.get(inside.clone()).unwrap_or_default();
        let (first, second, after) = first_words(text);
        // Behind the first or the second word, up to the end of the block.
        let rest = |skip: usize| inside.start + skip..inside.end;
        let one = text.len() - text.trim_start().len() + first.len();
        let word = match (first, second) {
            ("if", _) => Word::If(rest(one)),
            ("elif" | "elseif", _) => Word::ElseIf(rest(one)),
            ("else", "if") => Word::ElseIf(rest(after)),
            ("else", "") => Word::Else,
            ("end", "if") | ("endif", "") => Word::EndIf,
            ("end", "for") | ("endfor", "") => Word::EndFor,
            ("for", _) => Word::For(rest(one)),
            _ => {
                let near = nearest(first, ["if", "else", "end", "endif", "endfor", "for"]);
                let near = near.map(|near| format!("did you mean `{near}`? ")).unwrap_or_default();
                let span = self.site().span_of(inside);
                self.diagnostics
                    .error(
                        Code("expr.block"),
                        &span,
                        "expected `if`, `else if`, `else`, `end if`, `for` or `end for`",
                    )
                    .help(format!("{near}`@@{{` writes the signs themselves"));
                return None;
            }
        };
        Some(word)
    }

    fn site(&self) -> Site {
        Site::new(self.node, 0..self.text.len())
    }

    fn error(&mut self, place: Range<usize>, message: String) {
        let span = self.site().span_of(place);
        self.diagnostics.error(Code("expr.block"), &span, message);
    }
}

/// The first two words, and where the second ends.
fn first_words(text: &str) -> (&str, &str, usize) {
    let word = |text: &str| text.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (mut found, mut at) = ([""; 2], 0);
    for slot in &mut found {
        let rest = text.get(at..).unwrap_or_default();
        let start = rest.len() - rest.trim_start().len();
        let length = word(rest.trim_start());
        *slot = rest.get(start..start + length).unwrap_or_default();
        at += start + length;
    }
    let [first, second] = found;
    (first, second, at)
}
