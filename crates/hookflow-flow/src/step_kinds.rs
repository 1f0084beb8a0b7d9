//! The table of step kinds. To add one: a file in `step_kinds/`, a `mod` line and a line in [`ALL`].

pub(crate) mod call;
pub(crate) mod emit;
pub(crate) mod fail;
mod r#for;
pub(crate) mod http;
mod r#if;
mod jq;
pub(crate) mod log;
mod parallel;
pub(crate) mod respond;
mod r#return;
mod run;
mod set;
mod sleep;
mod stop;
mod switch;
mod r#try;
mod validate;
mod wait;

use crate::StepKind;

/// Every step kind, by verb.
pub static ALL: &[&StepKind] = &[
    &call::KIND,
    &emit::KIND,
    &fail::KIND,
    &r#for::KIND,
    &http::KIND,
    &r#if::KIND,
    &jq::KIND,
    &log::KIND,
    &parallel::KIND,
    &respond::KIND,
    &r#return::KIND,
    &run::KIND,
    &set::KIND,
    &sleep::KIND,
    &stop::KIND,
    &switch::KIND,
    &r#try::KIND,
    &validate::KIND,
    &wait::KIND,
];

#[cfg(test)]
mod tests;
