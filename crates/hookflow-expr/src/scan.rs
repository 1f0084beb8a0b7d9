//! Reading the tokens of an expression: where it ends in a text, and `=` as equality.

use hookflow_text::Code;
use minijinja::Error;
use minijinja::machinery::{Span, Token, Tokenizer};
use std::ops::Range;

/// The longest expression, in bytes. `MiniJinja` walks its syntax tree by recursion.
pub(crate) const MAX_SOURCE: usize = 2048;
/// The most tokens an expression may have, for the same reason.
pub(crate) const MAX_TOKENS: usize = 500;

/// Signs of other languages, the longer before the shorter, and what they are here; `!=` is ours too.
const SLIPS: &[(&str, &str)] = &[
    ("===", "use `==` to compare"),
    ("!==", "use `!=` to compare"),
    ("!=", ""),
    ("&&", "use `and`"),
    ("||", "use `or`"),
    ("!", "use `not`"),
    ("?", "use `b if a else c` instead of `a ? b : c`, and `default(…)` instead of `??`"),
];

/// What is wrong with an expression, and where in it.
#[derive(Debug)]
pub(crate) struct Wrong {
    pub(crate) code: Code,
    pub(crate) message: String,
    pub(crate) range: Range<usize>,
}

impl Wrong {
    pub(crate) fn of(error: &Error) -> Self {
        let message = error.detail().unwrap_or("it cannot be read");
        let message = format!("this is not an expression: {message}");
        Self { code: Code("expr.syntax"), message, range: error.range().unwrap_or(0..0) }
    }

    fn too_long(why: &str, range: Range<usize>) -> Self {
        let message = format!("the expression is too long, {why}; divide it with `set`");
        Self { code: Code("expr.too-long"), message, range }
    }
}

/// What to write instead of the first sign in an expression that belongs to another language.
pub(crate) fn slip(text: &str) -> Option<&'static str> {
    let mut quote = None;
    let mut skip = false;
    for (at, sign) in text.char_indices() {
        let rest = text.get(at..).unwrap_or_default();
        match quote {
            _ if skip => skip = false,
            Some(_) if sign == '\\' => skip = true,
            Some(open) if sign == open => quote = None,
            Some(_) => {}
            None if matches!(sign, '"' | '\'') => quote = Some(sign),
            None => match SLIPS.iter().find(|(slip, _)| rest.starts_with(slip)) {
                Some((_, "")) => skip = true,
                Some((_, instead)) => return Some(instead),
                None => {}
            },
        }
    }
    None
}

fn tokenizer(source: &str) -> Tokenizer<'_> {
    Tokenizer::new(source, "", true, minijinja::syntax::SyntaxConfig::default())
}

pub(crate) fn range(span: Span) -> Range<usize> {
    let offset = |at| usize::try_from(at).unwrap_or(usize::MAX);
    offset(span.start_offset)..offset(span.end_offset)
}

/// Where the `}` stands that closes what has been opened before `rest`; `None` when it is not closed, or not
/// within the length that an expression may have.
pub(crate) fn closing_brace(rest: &str) -> Option<usize> {
    let rest = rest.get(..rest.floor_char_boundary(MAX_SOURCE + 64)).unwrap_or(rest);
    let mut tokens = tokenizer(rest);
    let mut depth = 0_usize;
    while let Ok(Some((token, span))) = tokens.next_token() {
        let Range { start, .. } = range(span);
        match token {
            Token::BraceOpen => depth += 1,
            // `}}` outside of any bracket is one token there; `-}}` too, whose first character is not the brace.
            Token::VariableEnd => return rest.get(start..)?.find('}').map(|brace| start + brace),
            Token::BraceClose if depth == 0 => return Some(start),
            Token::BraceClose => depth -= 1,
            _ => {}
        }
    }
    None
}

/// An expression's text with `=` made `==` where it compares, and how to get back to the places of the original.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) source: String,
    /// Offsets in `source` of each `=` that was added.
    added: Vec<usize>,
}

impl Prepared {
    /// Reads the tokens of `text`.
    pub(crate) fn new(text: &str) -> Result<Self, Wrong> {
        let whole = 0..text.len();
        if text.len() > MAX_SOURCE {
            return Err(Wrong::too_long(&format!("longer than {MAX_SOURCE} bytes"), whole));
        }
        let mut tokens = tokenizer(text);
        let mut open: Vec<bool> = Vec::new();
        let mut before = [Kind::Start, Kind::Start];
        let mut equals = Vec::new();
        let mut count = 0;
        while let Some((token, span)) = tokens.next_token().map_err(|error| Wrong::of(&error))? {
            count += 1;
            if count > MAX_TOKENS {
                return Err(Wrong::too_long(&format!("more than {MAX_TOKENS} words and signs"), whole));
            }
            let [earlier, last] = before;
            match token {
                Token::ParenOpen => open.push(last == Kind::Name || last == Kind::Close),
                Token::BracketOpen | Token::BraceOpen => open.push(false),
                Token::ParenClose | Token::BracketClose | Token::BraceClose => {
                    open.pop();
                }
                Token::Assign => {
                    // `name=` right after `(` or `,` of a call gives an argument its name; any other `=` compares.
                    let in_call = open.last().copied().unwrap_or(false);
                    if !(in_call && last == Kind::Name && earlier == Kind::Separator) {
                        equals.push(range(span).start);
                    }
                }
                _ => {}
            }
            before = [last, Kind::of(&token)];
        }
        Ok(Self::double(text, &equals))
    }

    fn double(text: &str, equals: &[usize]) -> Self {
        let mut source = String::with_capacity(text.len() + equals.len());
        let mut added = Vec::with_capacity(equals.len());
        let mut done = 0;
        for &at in equals {
            source.push_str(text.get(done..at).unwrap_or_default());
            added.push(source.len());
            source.push('=');
            done = at;
        }
        source.push_str(text.get(done..).unwrap_or_default());
        Self { source, added }
    }

    /// What is needed when the source has been compiled.
    pub(crate) fn without_source(self) -> Self {
        Self { source: String::new(), ..self }
    }

    /// The place in the original text of a place in `source`.
    pub(crate) fn original(&self, range: Range<usize>) -> Range<usize> {
        let back = |at: usize| at - self.added.iter().filter(|added| **added < at).count().min(at);
        back(range.start)..back(range.end)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Start,
    Name,
    Close,
    Separator,
    Other,
}

impl Kind {
    fn of(token: &Token<'_>) -> Self {
        match token {
            Token::Ident("and" | "or" | "not" | "in" | "is" | "if" | "else") => Self::Other,
            Token::Ident(_) => Self::Name,
            Token::ParenClose | Token::BracketClose => Self::Close,
            Token::ParenOpen | Token::Comma => Self::Separator,
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closing_brace_is_found() {
        for (rest, expected) in [
            (" a }", Some(3)),
            (" {\"a\": {}} } tail }", Some(11)),
            (" '}' }", Some(5)),
            (" \"\\\"}\" }", Some(7)),
            (" a }}", Some(3)),
            (" a -}}", Some(4)),
            (" [a}", Some(3)),
            (" a", None),
            (" 'a }", None),
            ("", None),
            (" ä }", None),
        ] {
            assert_eq!(closing_brace(rest), expected, "{rest}");
        }
    }

    #[test]
    fn equality_may_be_one_sign() {
        for (text, expected) in [
            ("a = b", "a == b"),
            ("a=b", "a==b"),
            ("a == b", "a == b"),
            ("a != b and c <= d", "a != b and c <= d"),
            ("x | default(value=1) = 2", "x | default(value=1) == 2"),
            ("x | default(1, boolean=true)", "x | default(1, boolean=true)"),
            ("f(a = b)", "f(a = b)"),
            ("not (a = b)", "not (a == b)"),
            ("(a = b) or [c = d]", "(a == b) or [c == d]"),
            ("'=' = a", "'=' == a"),
        ] {
            assert_eq!(Prepared::new(text).unwrap().source, expected, "{text}");
        }
        let prepared = Prepared::new("a = b or c = d").unwrap();
        assert_eq!(prepared.original(12..14), 11..12);
    }
}
