//! What goes wrong while an expression runs.

use hookflow_text::{Code, Span};
use minijinja::{Error, ErrorKind};
use std::ops::Range;

/// An expression that could not be evaluated. The message never holds more of a value than its kind.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct EvalError {
    /// `expr.missing`, `expr.type`, `expr.failed`, `expr.fuel`, `expr.output` or `expr.header`.
    pub code: Code,
    /// One sentence.
    pub message: String,
    /// The part of the expression, in the file.
    pub span: Span,
}

/// The same before its place in the file is known; travels through `MiniJinja` as the source of its error.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Failure {
    pub(crate) code: Code,
    pub(crate) message: String,
    /// The place in the expression's own text, when it is not the place where `MiniJinja` stopped.
    pub(crate) range: Option<Range<usize>>,
}

impl Failure {
    fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), range: None }
    }

    pub(crate) fn missing(message: impl Into<String>) -> Self {
        Self::new(Code("expr.missing"), message)
    }

    pub(crate) fn mistyped(message: impl Into<String>) -> Self {
        Self::new(Code("expr.type"), message)
    }

    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self::new(Code("expr.failed"), message)
    }

    pub(crate) fn fuel() -> Self {
        Self::new(Code("expr.fuel"), "the expression does more work than one evaluation may")
    }

    pub(crate) fn output() -> Self {
        let most = crate::MAX_OUTPUT >> 20;
        Self::new(Code("expr.output"), format!("the result is larger than {most} MiB"))
    }

    pub(crate) fn header() -> Self {
        Self::new(Code("expr.header"), "a header value holds a line break")
    }

    pub(crate) fn at(mut self, range: Range<usize>) -> Self {
        self.range.get_or_insert(range);
        self
    }

    /// Our own failure from within `MiniJinja`'s error, or `MiniJinja`'s error in our words.
    pub(crate) fn of(error: &Error) -> Self {
        let mut cause: Option<&(dyn std::error::Error + 'static)> = std::error::Error::source(error);
        while let Some(inner) = cause {
            if let Some(failure) = inner.downcast_ref::<Self>() {
                return failure.clone();
            }
            cause = inner.source();
        }
        // `Display` of the error itself would add the name of the template, and `{:#}` the data.
        let detail: String = error.detail().unwrap_or_default().chars().take(200).collect();
        let message = if detail.is_empty() { error.kind().to_string() } else { detail };
        match error.kind() {
            ErrorKind::UndefinedError => Self::missing("a value that this needs is missing"),
            ErrorKind::OutOfFuel => Self::fuel(),
            ErrorKind::InvalidOperation
            | ErrorKind::NonPrimitive
            | ErrorKind::NonKey
            | ErrorKind::CannotUnpack
            | ErrorKind::BadSerialization => Self::mistyped(message),
            _ => Self::failed(message),
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Self::new(ErrorKind::InvalidOperation, failure.message.clone()).with_source(failure)
    }
}
