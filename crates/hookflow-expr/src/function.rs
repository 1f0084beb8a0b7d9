//! What a function of the expression language is. Every function is also a filter: `upper(x)` is `x | upper`.

use crate::arguments::Arguments;
use crate::engine::size_of;
use crate::eval_error::Failure;
use crate::evaluation::{Evaluation, MAX_OUTPUT};
use minijinja::value::Kwargs;
use minijinja::{Error, State, Value};

/// A function: what it is called, what it does, and how it does it.
#[derive(Debug)]
pub struct Function {
    /// The name it is listed under.
    pub name: &'static str,
    /// Other names it answers to.
    pub aliases: &'static [&'static str],
    /// Its parameters; a filter's first is what stands before the bar. Each can be given by name.
    pub parameters: &'static [&'static str],
    /// One sentence.
    pub summary: &'static str,
    /// An expression that shows it.
    pub example: &'static str,
    /// What the example gives, as JSON.
    pub result: &'static str,
    /// How many parameters cannot be left out.
    pub(crate) required: usize,
    /// A path in its arguments may lead nowhere: the argument is then not given.
    pub(crate) covers_missing: bool,
    pub(crate) call: fn(&Arguments<'_>) -> Result<Value, Failure>,
}

impl Function {
    /// Calls it from `MiniJinja`, with its cost.
    pub(crate) fn invoke(&'static self, state: &State<'_, '_>, given: Vec<Value>) -> Result<Value, Error> {
        let evaluation = Evaluation::of(state)?;
        let mut values = given;
        if let Some(last) = values.pop_if(|last| last.is_kwargs()) {
            self.place_named(&mut values, &Kwargs::try_from(last)?)?;
        }
        if values.len() > self.parameters.len() || values.len() < self.required {
            let takes = self.parameters.join(", ");
            return Err(Failure::mistyped(format!("`{}` takes ({takes})", self.name)).into());
        }
        for value in &values {
            evaluation.charge_for(value)?;
        }
        let result = (self.call)(&Arguments { function: self, values, evaluation: &evaluation })?;
        evaluation.charge_for(&result)?;
        if size_of(&result) > MAX_OUTPUT { Err(Failure::output().into()) } else { Ok(result) }
    }

    /// Puts arguments that were given by name at their places.
    fn place_named(&self, values: &mut Vec<Value>, named: &Kwargs) -> Result<(), Failure> {
        for name in named.args() {
            let place = self.parameters.iter().position(|parameter| *parameter == name);
            let Some(place) = place.filter(|place| *place >= values.len() || is_left_out(values.get(*place)))
            else {
                return Err(Failure::mistyped(format!("`{}` takes no further `{name}`", self.name)));
            };
            let value: Value = named.peek(name).map_err(|error| Failure::of(&error))?;
            if values.len() <= place {
                values.resize(place + 1, Value::UNDEFINED);
            }
            if let Some(slot) = values.get_mut(place) {
                *slot = value;
            }
        }
        Ok(())
    }
}

fn is_left_out(value: Option<&Value>) -> bool {
    value.is_none_or(Value::is_undefined)
}
