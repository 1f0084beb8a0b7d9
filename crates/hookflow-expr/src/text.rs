//! Text with `${ }` and `@{ }` in it, where text is expected.

mod reader;

pub(crate) use reader::{unclosed, whole};

use crate::escape::{Escape, breaks_header};
use crate::eval_error::{EvalError, Failure};
use crate::evaluation::{Env, Evaluation, MAX_OUTPUT};
use crate::known::Known;
use crate::program::{Local, Locals, Made, Program};
use hookflow_text::{Code, Diagnostics, Node, NodeValue, Span};
use minijinja::Value;
use minijinja::value::{Object, ValueKind};
use std::sync::Arc;

/// What one turn of a loop costs besides what happens in it.
const TURN_COST: usize = 10;

/// A compiled text. A plain scalar keeps its spelling: `1.10` and `00123` are just that.
///
/// Inserted values: text as it is, numbers as they are written in JSON, null as `null`, lists and objects as JSON;
/// then [`Escape`] is applied.
#[derive(Debug)]
pub struct Text {
    pieces: Vec<Piece>,
    escape: Escape,
    span: Span,
}

/// A part of an evaluated text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part<'t> {
    /// The text's own words.
    Literal(&'t str),
    /// An inserted value, not escaped.
    Inserted(String),
}

#[derive(Debug)]
enum Piece {
    Literal(String),
    Insert(Insert),
    If(Vec<Branch>),
    For(Loop),
}

#[derive(Debug)]
struct Insert {
    program: Program,
    /// A quote of the JSON around it is open.
    in_quotes: bool,
}

/// One way through an `@{if}`; the last may have no condition.
#[derive(Debug)]
struct Branch {
    condition: Option<Program>,
    pieces: Vec<Piece>,
}

#[derive(Debug)]
struct Loop {
    /// One name for an item, or two for a key and its value.
    names: Vec<String>,
    list: Program,
    body: Vec<Piece>,
    /// What is written when there is no item.
    otherwise: Vec<Piece>,
}

impl Text {
    /// Compiles a scalar. Every mistake goes into `diagnostics`.
    pub fn compile(
        node: &Node,
        escape: Escape,
        known: &dyn Known,
        diagnostics: &mut Diagnostics,
    ) -> Option<Self> {
        if !matches!(node.value, NodeValue::Scalar(_)) || node.is_null() {
            return node.mistyped("text", diagnostics);
        }
        let mut pieces = reader::read(node, escape, known, diagnostics)?;
        pieces.shrink_to_fit();
        if escape == Escape::Header && break_header(&pieces) {
            diagnostics
                .error(Code("expr.header"), &node.span, "a header value holds a line break")
                .help("a block with `|-` has no line break at its end");
            return None;
        }
        Some(Self { pieces, escape, span: node.span.clone() })
    }

    /// The text, escaped.
    pub fn eval(&self, env: &Env) -> Result<String, EvalError> {
        if let Some(constant) = self.constant() {
            return Ok(constant.to_owned());
        }
        let mut flat = Flat { out: String::new(), escape: self.escape };
        self.write(env, &mut flat)?;
        Ok(flat.out)
    }

    /// The text's own words and the inserted values apart, for a caller that escapes by position.
    pub fn parts(&self, env: &Env) -> Result<Vec<Part<'_>>, EvalError> {
        let mut apart = Apart { parts: Vec::new(), size: 0 };
        self.write(env, &mut apart)?;
        Ok(apart.parts)
    }

    /// The text when nothing in it has to be evaluated.
    pub fn constant(&self) -> Option<&str> {
        match self.pieces.as_slice() {
            [] => Some(""),
            [Piece::Literal(text)] => Some(text),
            _ => None,
        }
    }

    fn write<'t>(&'t self, env: &Env, sink: &mut dyn Sink<'t>) -> Result<(), EvalError> {
        let evaluation = Evaluation::new(env, &self.span);
        let mut writer = Writer { evaluation, sink, span: &self.span };
        writer.pieces(&self.pieces, &None)
    }
}

/// Whether a text's own words, on any way through it, would end a header.
fn break_header(pieces: &[Piece]) -> bool {
    pieces.iter().any(|piece| match piece {
        Piece::Literal(text) => breaks_header(text),
        Piece::Insert(_) => false,
        Piece::If(branches) => branches.iter().any(|branch| break_header(&branch.pieces)),
        Piece::For(around) => break_header(&around.body) || break_header(&around.otherwise),
    })
}

/// Where an evaluated text goes. Each call fails when that becomes too large.
trait Sink<'t> {
    fn literal(&mut self, text: &'t str) -> Result<(), Failure>;
    fn insert(&mut self, made: &Made, in_quotes: bool) -> Result<(), Failure>;
}

struct Flat {
    out: String,
    escape: Escape,
}

impl<'t> Sink<'t> for Flat {
    fn literal(&mut self, text: &'t str) -> Result<(), Failure> {
        self.out.push_str(text);
        fits(self.out.len())
    }

    fn insert(&mut self, made: &Made, in_quotes: bool) -> Result<(), Failure> {
        self.escape.write(made, in_quotes, &mut self.out)?;
        fits(self.out.len())
    }
}

struct Apart<'t> {
    parts: Vec<Part<'t>>,
    size: usize,
}

impl<'t> Sink<'t> for Apart<'t> {
    fn literal(&mut self, text: &'t str) -> Result<(), Failure> {
        self.parts.push(Part::Literal(text));
        self.size += text.len();
        fits(self.size)
    }

    fn insert(&mut self, made: &Made, _: bool) -> Result<(), Failure> {
        let text = made.text()?.into_owned();
        self.size += text.len();
        self.parts.push(Part::Inserted(text));
        fits(self.size)
    }
}

fn fits(size: usize) -> Result<(), Failure> {
    if size > MAX_OUTPUT { Err(Failure::output()) } else { Ok(()) }
}

struct Writer<'w, 't> {
    evaluation: Arc<Evaluation>,
    sink: &'w mut dyn Sink<'t>,
    span: &'t Span,
}

impl<'t> Writer<'_, 't> {
    fn pieces(&mut self, pieces: &'t [Piece], locals: &Locals) -> Result<(), EvalError> {
        for piece in pieces {
            match piece {
                Piece::Literal(text) => self.sink.literal(text).map_err(|failure| EvalError {
                    code: failure.code,
                    message: failure.message,
                    span: self.span.clone(),
                })?,
                Piece::Insert(Insert { program, in_quotes }) => {
                    let made = program.eval_in(&self.evaluation, locals)?;
                    self.sink.insert(&made, *in_quotes).map_err(|failure| program.locate(failure))?;
                }
                Piece::If(branches) => self.branches(branches, locals)?,
                Piece::For(around) => self.turns(around, locals)?,
            }
        }
        Ok(())
    }

    fn branches(&mut self, branches: &'t [Branch], locals: &Locals) -> Result<(), EvalError> {
        for branch in branches {
            let holds = match &branch.condition {
                Some(condition) => condition.eval_in(&self.evaluation, locals)?.holds(),
                None => true,
            };
            if holds {
                return self.pieces(&branch.pieces, locals);
            }
        }
        Ok(())
    }

    fn turns(&mut self, around: &'t Loop, locals: &Locals) -> Result<(), EvalError> {
        let list = around.list.eval_in(&self.evaluation, locals)?.value();
        let failed = |failure| around.list.locate(failure);
        let list = self.countable(list).map_err(failed)?;
        let length = list.len().unwrap_or(0);
        if length == 0 {
            return self.pieces(&around.otherwise, locals);
        }
        let items = list.try_iter().map_err(|error| failed(Failure::of(&error)))?;
        for (index, item) in items.enumerate() {
            self.evaluation.charge(TURN_COST).map_err(failed)?;
            let mut inner = bind("loop", Value::from_object(Turn { index, length }), locals);
            match around.names.as_slice() {
                [name] => inner = bind(name, item, &Some(inner)),
                names => {
                    let pair = pair(&list, item).map_err(failed)?;
                    for (name, value) in names.iter().zip(pair) {
                        inner = bind(name, value, &Some(inner));
                    }
                }
            }
            self.pieces(&around.body, &Some(inner))?;
        }
        Ok(())
    }

    /// The list, object or other row of values whose length is known.
    fn countable(&self, list: Value) -> Result<Value, Failure> {
        if !matches!(list.kind(), ValueKind::Seq | ValueKind::Iterable | ValueKind::Map) {
            return Err(Failure::mistyped(format!(
                "`for` needs a list, found {}",
                crate::value::kind(&list)
            )));
        }
        if list.len().is_some() {
            return Ok(list);
        }
        let mut items = Vec::new();
        for item in list.try_iter().map_err(|error| Failure::of(&error))?.checked() {
            self.evaluation.charge(TURN_COST)?;
            items.push(item.map_err(|error| Failure::of(&error))?);
        }
        Ok(Value::from(items))
    }
}

fn bind(name: &str, value: Value, around: &Locals) -> Arc<Local> {
    Arc::new(Local { name: name.to_owned(), value, around: around.clone() })
}

/// What two names of a loop stand for: a key and its value in an object, or the two items of an item.
fn pair(list: &Value, item: Value) -> Result<[Value; 2], Failure> {
    if list.kind() == ValueKind::Map {
        let value = list.get_item(&item).map_err(|error| Failure::of(&error))?;
        return Ok([item, value]);
    }
    let both = (item.kind() == ValueKind::Seq && item.len() == Some(2)).then_some(item);
    let both = both.and_then(|both| both.get_item_by_index(0).ok().zip(both.get_item_by_index(1).ok()));
    both.map(<[Value; 2]>::from)
        .ok_or_else(|| Failure::mistyped("`for` with two names needs an object, or a list of pairs"))
}

/// `loop` within a loop.
#[derive(Debug)]
struct Turn {
    index: usize,
    length: usize,
}

impl Object for Turn {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        Some(match key.as_str()? {
            "index" => Value::from(self.index + 1),
            "index0" => Value::from(self.index),
            "first" => Value::from(self.index == 0),
            "last" => Value::from(self.index + 1 == self.length),
            "length" => Value::from(self.length),
            _ => return None,
        })
    }

    fn enumerate(self: &Arc<Self>) -> minijinja::value::Enumerator {
        minijinja::value::Enumerator::Str(&["index", "index0", "first", "last", "length"])
    }
}

#[cfg(test)]
mod tests;
