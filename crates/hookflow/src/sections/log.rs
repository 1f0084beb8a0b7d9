//! `log`: how the service's log is written, and how much of it.

use crate::config::Config;
use crate::section::{Section, Setting};
use hookflow_text::{Diagnostics, Fields, Key, MapSchema, Node, Schema, SecretSource};
use std::borrow::Cow;
use tracing::Level;

static MAP: MapSchema = MapSchema {
    name: "log",
    about: "How the service's log is written, and how much of it.",
    keys: Cow::Borrowed(&[
        Key::may("format", Schema::Word(FORMATS), "`text`, or `json`: one object a line (text)"),
        Key::may("level", Schema::Word(LEVELS), "how much is logged (info)"),
    ]),
    rules: &[],
};

const FORMATS: &[&str] = &["text", "json"];
const LEVELS: &[&str] = &["error", "warn", "info", "debug", "trace"];

pub(crate) static SECTION: Section = Section {
    key: "log",
    map: &MAP,
    defaults: "\
log:
  format: text                     # or json: one object a line
  level: info                      # error warn info debug trace
",
    settings: &[
        Setting::plain("log.format", |config| format!("{:?}", config.log.format).to_lowercase()),
        Setting::plain("log.level", |config| config.log.level.as_str().to_lowercase()),
    ],
    read,
};

/// The log, which goes to standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Log {
    pub(crate) format: LogFormat,
    pub(crate) level: Level,
}

/// How a line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Text, level: Level::INFO }
    }
}

fn read(node: &Node, config: &mut Config, _: &dyn SecretSource, diagnostics: &mut Diagnostics) {
    let Some(mut fields) = Fields::of(node, "the section `log`", diagnostics) else { return };
    match fields.take("format").and_then(|node| node.one_of(FORMATS, diagnostics)) {
        Some("json") => config.log.format = LogFormat::Json,
        Some(_) => config.log.format = LogFormat::Text,
        None => {}
    }
    if let Some(level) = fields.take("level").and_then(|node| node.one_of(LEVELS, diagnostics)) {
        config.log.level = level.parse().unwrap_or(Level::INFO);
    }
    fields.finish(diagnostics);
}
