//! Any YAML value with `${ }` in it.

use crate::escape::Escape;
use crate::eval_error::EvalError;
use crate::evaluation::Env;
use crate::known::Known;
use crate::other_marks;
use crate::program::Program;
use crate::site::Site;
use crate::text::{Text, whole};
use hookflow_text::{Code, Diagnostics, Json, Node, NodeValue};
use std::sync::Arc;

/// A compiled value: a scalar that is one whole `${ … }` keeps the type of its value, a scalar with something
/// around it becomes text, and everything else is itself.
#[derive(Debug)]
pub struct Template(Shape);

#[derive(Debug)]
enum Shape {
    Constant(Arc<Json>),
    Whole(Program),
    Text(Text),
    List(Vec<Shape>),
    Map(Vec<(String, Shape)>),
}

impl Template {
    /// Compiles a value. Every mistake goes into `diagnostics`.
    pub fn compile(node: &Node, known: &dyn Known, diagnostics: &mut Diagnostics) -> Option<Self> {
        shape(node, known, diagnostics).map(Self)
    }

    /// The value.
    pub fn eval(&self, env: &Env) -> Result<Arc<Json>, EvalError> {
        self.0.eval(env)
    }

    /// Writes the value as JSON, as it is made: nobody else needs the lists and objects in it.
    pub fn write_json(&self, env: &Env, out: &mut Vec<u8>) -> Result<(), EvalError> {
        self.0.write_json(env, out)
    }

    /// The value when nothing in it has to be evaluated.
    pub fn constant(&self) -> Option<&Arc<Json>> {
        match &self.0 {
            Shape::Constant(value) => Some(value),
            _ => None,
        }
    }
}

impl Shape {
    fn eval(&self, env: &Env) -> Result<Arc<Json>, EvalError> {
        match self {
            Self::Constant(value) => Ok(Arc::clone(value)),
            Self::Whole(program) => program.eval(env)?.json().map_err(|failure| program.locate(failure)),
            Self::Text(text) => text.eval(env).map(|text| Arc::new(Json::String(text))),
            Self::List(items) => {
                let items = items.iter().map(|item| item.eval(env).map(Arc::unwrap_or_clone));
                items.collect::<Result<Json, _>>().map(Arc::new)
            }
            Self::Map(entries) => {
                let entries = entries
                    .iter()
                    .map(|(key, item)| Ok((key.clone(), Arc::unwrap_or_clone(item.eval(env)?))));
                Ok(Arc::new(Json::Object(entries.collect::<Result<_, _>>()?)))
            }
        }
    }
}

impl Shape {
    fn write_json(&self, env: &Env, out: &mut Vec<u8>) -> Result<(), EvalError> {
        match self {
            Self::List(items) => {
                out.push(b'[');
                for (n, item) in items.iter().enumerate() {
                    if n > 0 {
                        out.push(b',');
                    }
                    item.write_json(env, out)?;
                }
                out.push(b']');
            }
            Self::Map(entries) => {
                out.push(b'{');
                for (n, (key, item)) in entries.iter().enumerate() {
                    if n > 0 {
                        out.push(b',');
                    }
                    // Memory takes everything that is written into it.
                    drop(serde_json::to_writer(&mut *out, key));
                    out.push(b':');
                    item.write_json(env, out)?;
                }
                out.push(b'}');
            }
            Self::Whole(program) => {
                let made = program.eval(env)?;
                if let Some(json) = made.as_json() {
                    append(out, json);
                } else {
                    let json = made.json().map_err(|failure| program.locate(failure))?;
                    append(out, &json);
                }
            }
            Self::Constant(_) | Self::Text(_) => {
                let json = self.eval(env)?;
                append(out, &json);
            }
        }
        Ok(())
    }
}

fn append(out: &mut Vec<u8>, value: &Json) {
    drop(serde_json::to_writer(out, value));
}

fn shape(node: &Node, known: &dyn Known, diagnostics: &mut Diagnostics) -> Option<Shape> {
    match &node.value {
        NodeValue::Scalar(_) => scalar(node, known, diagnostics),
        NodeValue::Seq(items) => {
            // Every item is compiled before the first failure counts, so that all mistakes are reported.
            let shapes: Vec<_> = items.iter().map(|item| shape(item, known, diagnostics)).collect();
            let shapes = shapes.into_iter().collect::<Option<Vec<_>>>()?;
            let constants: Option<Vec<Json>> = shapes.iter().map(constant).collect();
            Some(constants.map_or(Shape::List(shapes), |items| Shape::Constant(Arc::new(Json::Array(items)))))
        }
        NodeValue::Map(entries) => {
            let mut shapes = Vec::with_capacity(entries.len());
            for (key, value) in entries {
                if key.text().contains("${") {
                    diagnostics
                        .error(Code("expr.key"), &key.span, "a key is not evaluated")
                        .help("build the object with an expression: `${ {name: value} }`");
                    shapes.push(None);
                }
                shapes.push(shape(value, known, diagnostics).map(|shape| (key.text().to_owned(), shape)));
            }
            let shapes = shapes.into_iter().collect::<Option<Vec<_>>>()?;
            let constants: Option<serde_json::Map<_, _>> =
                shapes.iter().map(|(key, shape)| Some((key.clone(), constant(shape)?))).collect();
            Some(constants.map_or(Shape::Map(shapes), |map| Shape::Constant(Arc::new(Json::Object(map)))))
        }
    }
}

fn scalar(node: &Node, known: &dyn Known, diagnostics: &mut Diagnostics) -> Option<Shape> {
    let text = node.text();
    if !text.contains("${") && !text.contains("@{") {
        other_marks::warn(text, node, diagnostics);
        return Some(Shape::Constant(Arc::new(node.to_json(diagnostics))));
    }
    if let Some(inside) = whole(text) {
        let site = Site::new(&Arc::new(node.clone()), inside);
        return Program::compile(site, &[], known, diagnostics).map(Shape::Whole);
    }
    let text = Text::compile(node, Escape::None, known, diagnostics)?;
    Some(match text.constant() {
        Some(constant) => Shape::Constant(Arc::new(Json::from(constant))),
        None => Shape::Text(text),
    })
}

fn constant(shape: &Shape) -> Option<Json> {
    match shape {
        Shape::Constant(value) => Some(Json::clone(value)),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
