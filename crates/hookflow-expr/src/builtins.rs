//! The filters, functions and tests that `MiniJinja` brings along, of which expressions may use these.
//!
//! What is not here is left out on purpose: `safe` (nothing is trusted as markup), `pprint` and `debug` (they
//! show memory, not values). What can multiply memory has its own version in [`crate::functions`].

use crate::engine::size_of;
use crate::eval_error::Failure;
use crate::evaluation::MAX_OUTPUT;
use minijinja::value::{Kwargs, Rest, ValueOrKwargs};
use minijinja::{Error, State, Value, filters, functions as own_functions, tests as own_tests};
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// How many numbers `range`, and how many rows `batch` and `slice` give at most.
const MAX_RANGE: i64 = 10_000;

static FILTERS: LazyLock<BTreeMap<&'static str, Value>> = LazyLock::new(|| {
    BTreeMap::from([
        ("abs", Value::from_function(filters::abs)),
        ("attr", Value::from_function(filters::attr)),
        ("batch", guarded(Value::from_function(filters::batch), few_rows)),
        ("bool", Value::from_function(filters::bool)),
        ("capitalize", Value::from_function(filters::capitalize)),
        ("chain", Value::from_function(filters::chain)),
        ("count", Value::from_function(filters::length)),
        ("dictsort", Value::from_function(filters::dictsort)),
        ("first", Value::from_function(filters::first)),
        ("float", Value::from_function(filters::float)),
        ("format", guarded(Value::from_function(filters::format), narrow_fields)),
        ("groupby", Value::from_function(filters::groupby)),
        ("indent", guarded(Value::from_function(filters::indent), narrow_indent)),
        ("int", Value::from_function(filters::int)),
        ("items", Value::from_function(filters::items)),
        ("last", Value::from_function(filters::last)),
        ("length", Value::from_function(filters::length)),
        ("lines", Value::from_function(filters::lines)),
        ("list", Value::from_function(filters::list)),
        ("lower", Value::from_function(filters::lower)),
        ("map", Value::from_function(filters::map)),
        ("max", Value::from_function(filters::max)),
        ("min", Value::from_function(filters::min)),
        ("reject", Value::from_function(filters::reject)),
        ("rejectattr", Value::from_function(filters::rejectattr)),
        ("reverse", Value::from_function(filters::reverse)),
        ("round", Value::from_function(filters::round)),
        ("select", Value::from_function(filters::select)),
        ("selectattr", Value::from_function(filters::selectattr)),
        ("slice", guarded(Value::from_function(filters::slice), few_rows)),
        ("sort", Value::from_function(filters::sort)),
        ("split", Value::from_function(filters::split)),
        ("sum", Value::from_function(filters::sum)),
        ("title", Value::from_function(filters::title)),
        ("trim", Value::from_function(filters::trim)),
        ("unique", Value::from_function(filters::unique)),
        ("upper", Value::from_function(filters::upper)),
        ("urlencode", Value::from_function(filters::urlencode)),
        ("zip", Value::from_function(filters::zip)),
        // These are functions only in Jinja; as filters they do no harm.
        ("dict", Value::from_function(own_functions::dict)),
        ("range", Value::from_function(range)),
    ])
});

static TESTS: LazyLock<BTreeMap<&'static str, Value>> = LazyLock::new(|| {
    BTreeMap::from([
        ("boolean", Value::from_function(own_tests::is_boolean)),
        ("defined", Value::from_function(own_tests::is_defined)),
        ("divisibleby", Value::from_function(own_tests::is_divisibleby)),
        ("empty", Value::from_function(crate::functions::is_empty)),
        ("endingwith", Value::from_function(own_tests::is_endingwith)),
        ("eq", Value::from_function(own_tests::is_eq)),
        ("equalto", Value::from_function(own_tests::is_eq)),
        ("even", Value::from_function(own_tests::is_even)),
        ("false", Value::from_function(own_tests::is_false)),
        ("float", Value::from_function(own_tests::is_float)),
        ("ge", Value::from_function(own_tests::is_ge)),
        ("greaterthan", Value::from_function(own_tests::is_gt)),
        ("gt", Value::from_function(own_tests::is_gt)),
        ("in", Value::from_function(own_tests::is_in)),
        ("integer", Value::from_function(own_tests::is_integer)),
        ("iterable", Value::from_function(own_tests::is_iterable)),
        ("le", Value::from_function(own_tests::is_le)),
        ("lessthan", Value::from_function(own_tests::is_lt)),
        ("lower", Value::from_function(own_tests::is_lower)),
        ("lt", Value::from_function(own_tests::is_lt)),
        ("mapping", Value::from_function(own_tests::is_mapping)),
        ("ne", Value::from_function(own_tests::is_ne)),
        ("none", Value::from_function(own_tests::is_none)),
        ("null", Value::from_function(own_tests::is_none)),
        ("number", Value::from_function(own_tests::is_number)),
        ("odd", Value::from_function(own_tests::is_odd)),
        ("sequence", Value::from_function(own_tests::is_sequence)),
        ("startingwith", Value::from_function(own_tests::is_startingwith)),
        ("string", Value::from_function(own_tests::is_string)),
        ("true", Value::from_function(own_tests::is_true)),
        ("undefined", Value::from_function(own_tests::is_undefined)),
        ("upper", Value::from_function(own_tests::is_upper)),
    ])
});

pub(crate) fn is_filter(name: &str) -> bool {
    FILTERS.contains_key(name)
}

pub(crate) fn is_test(name: &str) -> bool {
    TESTS.contains_key(name)
}

/// The filters that come with Jinja.
pub fn filters() -> impl Iterator<Item = &'static str> {
    FILTERS.keys().copied()
}

/// The tests that come with Jinja: `x is defined`.
pub fn tests() -> impl Iterator<Item = &'static str> {
    TESTS.keys().copied()
}

pub(crate) fn filter_values() -> impl Iterator<Item = (&'static str, Value)> {
    FILTERS.iter().map(|(name, value)| (*name, value.clone()))
}

pub(crate) fn test_values() -> impl Iterator<Item = (&'static str, Value)> {
    TESTS.iter().map(|(name, value)| (*name, value.clone()))
}

/// A filter that can make much of little: `fits` looks at what it is given before it runs.
fn guarded(filter: Value, fits: fn(&[Value]) -> bool) -> Value {
    Value::from_function(move |state: &mut State<'_, '_>, given: Rest<ValueOrKwargs>| {
        let given = given.into_values();
        if fits(&given) { filter.call(state, &given) } else { Err(Failure::output().into()) }
    })
}

/// `batch(n, fill)` and `slice(n, fill)`, whose number may also be given by name.
fn few_rows(given: &[Value]) -> bool {
    let number =
        |value: &Value| value.as_i64().is_none_or(|rows| rows.unsigned_abs() <= MAX_RANGE.unsigned_abs());
    given.iter().skip(1).all(|value| {
        let named = Kwargs::try_from(value.clone()).ok().filter(|_| value.is_kwargs());
        let all = |named: Kwargs| named.args().all(|name| named.peek(name).is_ok_and(|value| number(&value)));
        named.map_or_else(|| number(value), all)
    })
}

/// `indent(width)`: the width is a number, or a text that stands before each line.
fn narrow_indent(given: &[Value]) -> bool {
    let lines = given.first().and_then(Value::as_str).map_or(0, |text| text.matches('\n').count() + 1);
    let width = |value: &Value| {
        value.as_str().map(str::len).or_else(|| value.as_usize()).unwrap_or_else(|| value.len().unwrap_or(0))
    };
    given.iter().skip(1).all(|value| {
        let named = Kwargs::try_from(value.clone()).ok().filter(|_| value.is_kwargs());
        let most = |named: Kwargs| {
            named.args().filter_map(|name| named.peek(name).ok()).map(|value: Value| width(&value)).max()
        };
        let width = named.map_or_else(|| Some(width(value)), most).unwrap_or(0);
        lines.saturating_mul(width) <= MAX_OUTPUT
    })
}

/// `'%5.2f' | format(x)`: no field wider than three digits, none as wide as an argument says.
fn narrow_fields(given: &[Value]) -> bool {
    let Some(template) = given.first().and_then(Value::as_str) else { return true };
    let mut fields = template.split('%');
    fields.next();
    let narrow = |field: &str| {
        let width: String = field.chars().take_while(|c| "-+ #0123456789.*".contains(*c)).collect();
        !width.contains('*') && width.split('.').all(|digits| digits.len() <= 4)
    };
    let widest = given.iter().map(size_of).max().unwrap_or(0);
    fields.clone().count().saturating_mul(widest) <= MAX_OUTPUT && fields.all(narrow)
}

fn range(first: i64, end: Option<i64>, step: Option<i64>) -> Result<Vec<i64>, Error> {
    let (start, end) = end.map_or((0, first), |end| (first, end));
    let step = step.unwrap_or(1);
    let size = usize::try_from(step.unsigned_abs()).unwrap_or(usize::MAX);
    if size == 0 {
        return Err(Failure::mistyped("`range` needs a step other than 0").into());
    }
    let up = (start..end).step_by(size);
    let down = (end..start).map(|at| start.saturating_sub(at - end)).step_by(size);
    let most = usize::try_from(MAX_RANGE).unwrap_or(usize::MAX);
    let numbers: Vec<i64> =
        if step > 0 { up.take(most + 1).collect() } else { down.take(most + 1).collect() };
    if numbers.len() > most { Err(Failure::output().into()) } else { Ok(numbers) }
}
