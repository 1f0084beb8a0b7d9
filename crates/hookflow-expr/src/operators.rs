//! What rewritten expressions call instead of `MiniJinja`'s own operators; see [`crate::rewrite`].

use crate::chain::{member, why_missing};
use crate::engine::size_of;
use crate::eval_error::Failure;
use crate::evaluation::{Evaluation, MAX_OUTPUT};
use crate::path::{Segment, label};
use crate::value::{Nothing, kind, text};
use minijinja::value::{Rest, ValueKind};
use minijinja::{Environment, Error, State, Value};

pub(crate) fn add_to(engine: &mut Environment<'static>) {
    engine.add_global("_nothing", Value::from_object(Nothing));
    engine.add_function("_get", get);
    engine.add_function("_find", find);
    engine.add_function("_needed", needed);
    engine.add_function("_concat", concat);
    engine.add_function("_add", |state: &State<'_, '_>, operands: Rest<Value>| fold(state, operands, add));
    engine
        .add_function("_times", |state: &State<'_, '_>, operands: Rest<Value>| fold(state, operands, times));
}

/// `base[parts]…`, where `label` is how `base` is written and `start..end` where.
fn get(label: &str, start: usize, end: usize, base: Value, parts: Rest<Value>) -> Result<Value, Error> {
    follow(label, base, parts.0).map_err(|failure| failure.at(start..end).into())
}

/// The same within `default(…)`: what is not there is undefined.
fn find(label: &str, _start: usize, _end: usize, base: Value, parts: Rest<Value>) -> Value {
    follow(label, base, parts.0).unwrap_or(Value::UNDEFINED)
}

fn follow(root: &str, base: Value, parts: Vec<Value>) -> Result<Value, Failure> {
    let mut value = base;
    let mut done: Vec<Segment> = Vec::new();
    for part in parts {
        let Some(segment) = Segment::of(&part) else {
            let (here, found) = (label(root, &done), kind(&part));
            let why = format!("`{here}[…]` needs text or a whole number, found {found}");
            return Err(Failure::mistyped(why));
        };
        value = match member(&value, &segment) {
            Some(next) => next,
            None => return Err(Failure::missing(why_missing(&label(root, &done), &value, &segment))),
        };
        done.push(segment);
    }
    Ok(value)
}

/// `default(…)` whose fallback is missing too.
fn needed(start: usize, end: usize, value: Value) -> Result<Value, Error> {
    if value.is_undefined() {
        let why = Failure::missing("neither the value nor what stands in for it is there");
        return Err(why.at(start..end).into());
    }
    Ok(value)
}

/// `a ~ b`: as they are written into a text.
fn concat(state: &State<'_, '_>, operands: Rest<Value>) -> Result<Value, Error> {
    let mut out = String::new();
    for operand in operands.0 {
        let piece = text(&operand)?;
        if out.len() + piece.len() > MAX_OUTPUT {
            return Err(Failure::output().into());
        }
        out.push_str(&piece);
    }
    let result = Value::from(out);
    Evaluation::of(state)?.charge_for(&result)?;
    Ok(result)
}

fn fold(
    state: &State<'_, '_>,
    operands: Rest<Value>,
    with: fn(&Value, &Value) -> Result<Value, Failure>,
) -> Result<Value, Error> {
    let evaluation = Evaluation::of(state)?;
    let mut operands = operands.0.into_iter();
    let mut result = operands.next().unwrap_or_default();
    for operand in operands {
        result = with(&result, &operand)?;
        evaluation.charge_for(&result)?;
        if size_of(&result) > MAX_OUTPUT {
            return Err(Failure::output().into());
        }
    }
    Ok(result)
}

/// `a + b`: numbers, texts, lists.
fn add(left: &Value, right: &Value) -> Result<Value, Failure> {
    if let (Some(left), Some(right)) = (left.as_str(), right.as_str()) {
        return Ok(Value::from(format!("{left}{right}")));
    }
    if left.kind() == ValueKind::Seq && right.kind() == ValueKind::Seq {
        let items = |list: &Value| list.try_iter().map_err(|error| Failure::of(&error));
        return Ok(items(left)?.chain(items(right)?).collect());
    }
    match numbers(left, right, i128::checked_add, |left, right| left + right) {
        Some(sum) => sum,
        None => Err(Failure::mistyped(format!(
            "`+` cannot add {} and {}; `~` joins anything as text",
            kind(left),
            kind(right)
        ))),
    }
}

/// `a * b`: numbers, or a text or list so many times.
fn times(left: &Value, right: &Value) -> Result<Value, Failure> {
    if let Some(product) = numbers(left, right, i128::checked_mul, |left, right| left * right) {
        return product;
    }
    let (many, count) = if left.is_integer() { (right, left) } else { (left, right) };
    let count = Some(count).filter(|count| count.is_integer()).and_then(Value::as_i64);
    let count = count.map(|count| usize::try_from(count.max(0)).unwrap_or(usize::MAX));
    match (many.kind(), count) {
        (ValueKind::String | ValueKind::Seq, Some(count))
            if size_of(many).saturating_mul(count) > MAX_OUTPUT =>
        {
            Err(Failure::output())
        }
        (ValueKind::String, Some(count)) => Ok(Value::from(many.as_str().unwrap_or_default().repeat(count))),
        (ValueKind::Seq, Some(count)) => {
            let items: Vec<Value> = many.try_iter().map_err(|error| Failure::of(&error))?.collect();
            let total = items.len() * count;
            Ok(items.into_iter().cycle().take(total).collect())
        }
        _ => Err(Failure::mistyped(format!("`*` cannot multiply {} and {}", kind(left), kind(right)))),
    }
}

fn numbers(
    left: &Value,
    right: &Value,
    exact: fn(i128, i128) -> Option<i128>,
    float: fn(f64, f64) -> f64,
) -> Option<Result<Value, Failure>> {
    if !left.is_number() || !right.is_number() {
        return None;
    }
    if left.is_integer() && right.is_integer() {
        let both = i128::try_from(left.clone()).ok().zip(i128::try_from(right.clone()).ok());
        let result = both.and_then(|(left, right)| exact(left, right));
        return Some(result.map(Value::from).ok_or_else(|| Failure::failed("the number is too large")));
    }
    let both = f64::try_from(left.clone()).ok().zip(f64::try_from(right.clone()).ok());
    Some(
        both.map(|(left, right)| Value::from(float(left, right)))
            .ok_or_else(|| Failure::failed("the number cannot be calculated with")),
    )
}
