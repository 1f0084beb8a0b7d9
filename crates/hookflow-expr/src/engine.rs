//! The one `MiniJinja` environment: our functions, `MiniJinja`'s own filters and tests with their cost, our operators.

use crate::eval_error::Failure;
use crate::evaluation::{Evaluation, MAX_OUTPUT};
use crate::value::as_xml;
use crate::{builtins, functions, operators};
use minijinja::value::{Rest, ValueOrKwargs};
use minijinja::{Environment, Error, State, UndefinedBehavior, Value};
use std::sync::LazyLock;

static ENGINE: LazyLock<Environment<'static>> = LazyLock::new(build);

/// The environment, which every program shares.
pub(crate) fn engine() -> &'static Environment<'static> {
    &ENGINE
}

fn build() -> Environment<'static> {
    let mut engine = Environment::empty();
    engine.set_undefined_behavior(UndefinedBehavior::Strict);
    #[cfg(debug_assertions)]
    engine.set_debug(false);
    for (name, filter) in builtins::filter_values() {
        let inner = filter.clone();
        engine.add_filter(name, move |state: &mut State<'_, '_>, given: Rest<ValueOrKwargs>| {
            paid(&inner, state, &given.into_values())
        });
        engine.add_function(name, move |state: &mut State<'_, '_>, given: Rest<ValueOrKwargs>| {
            paid(&filter, state, &given.into_values())
        });
    }
    for (name, test) in builtins::test_values() {
        engine.add_test(name, move |state: &mut State<'_, '_>, given: Rest<ValueOrKwargs>| {
            paid(&test, state, &given.into_values()).map(|answer| answer.is_true())
        });
    }
    for function in functions::functions() {
        for name in [function.name].iter().chain(function.aliases) {
            let call = |state: &State<'_, '_>, given: Rest<ValueOrKwargs>| {
                function.invoke(state, given.into_values())
            };
            engine.add_filter(*name, call);
            engine.add_function(*name, call);
        }
    }
    operators::add_to(&mut engine);
    engine
}

/// Calls one of `MiniJinja`'s own functions, after it and its result are paid for.
fn paid(function: &Value, state: &mut State<'_, '_>, given: &[Value]) -> Result<Value, Error> {
    let evaluation = Evaluation::of(state)?;
    for value in given {
        evaluation.charge_for(value)?;
    }
    let result = function.call(state, given)?;
    evaluation.charge_for(&result)?;
    if size_of(&result) > MAX_OUTPUT { Err(Failure::output().into()) } else { Ok(result) }
}

/// A value's size, seen from outside: the bytes of text, 16 for each item of a list.
pub(crate) fn size_of(value: &Value) -> usize {
    match (value.as_str().or_else(|| as_xml(value)), value.as_bytes()) {
        (Some(text), _) => text.len(),
        (None, Some(bytes)) => bytes.len(),
        (None, None) => value.len().unwrap_or(0).saturating_mul(16),
    }
}
