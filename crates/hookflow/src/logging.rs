//! The service's log: lines on standard error, as text or as JSON.

use crate::sections::{Log, LogFormat};
use std::io::{self, IsTerminal as _};

/// Begins to write the log. Once per process.
pub(crate) fn start(log: Log) -> anyhow::Result<()> {
    let lines = tracing_subscriber::fmt().with_max_level(log.level).with_writer(io::stderr);
    let started = match log.format {
        LogFormat::Text => lines.with_ansi(io::stderr().is_terminal()).try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
    started.map_err(|error| anyhow::anyhow!("the log cannot be written: {error}"))
}
