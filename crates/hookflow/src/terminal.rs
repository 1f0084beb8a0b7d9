//! What a command sees of the process around it: the environment, where results go, and where errors go.

use crate::environment::Environment;
use std::io::{self, IsTerminal as _, Write};

/// Results go to `out`, everything else to `err`.
pub(crate) struct Terminal {
    /// The variables of the process.
    pub(crate) environment: Environment,
    /// Standard output.
    pub(crate) out: Box<dyn Write>,
    /// Standard error.
    pub(crate) err: Box<dyn Write>,
    /// Whether what goes to `err` may be coloured.
    pub(crate) color: bool,
}

impl Terminal {
    /// The real one.
    pub(crate) fn of_process() -> Self {
        let environment = Environment::of_process();
        // https://no-color.org
        let color =
            io::stderr().is_terminal() && environment.get("NO_COLOR").is_none_or(|value| value.is_empty());
        Self { environment, out: Box::new(io::stdout()), err: Box::new(io::stderr()), color }
    }
}
