//! The table of step kinds. To add one: a file in `step_kinds/`, a `mod` line and a line in [`ALL`].

mod fail;
mod r#for;
mod http;
mod r#if;
mod log;
pub(crate) mod respond;
mod set;
mod stop;
mod switch;

use crate::StepKind;

/// Every step kind, by verb.
pub static ALL: &[&StepKind] = &[
    &fail::KIND,
    &r#for::KIND,
    &http::KIND,
    &r#if::KIND,
    &log::KIND,
    &respond::KIND,
    &set::KIND,
    &stop::KIND,
    &switch::KIND,
];

#[cfg(test)]
mod tests;
