//! `shutdown`: how long what is under way may take to end.

use crate::config::Config;
use crate::section::{Section, Setting};
use hookflow_text::{Diagnostics, Fields, Key, MapSchema, Node, Schema, SecretSource};
use std::borrow::Cow;
use std::time::Duration;

static MAP: MapSchema = MapSchema {
    name: "shutdown",
    about: "How the service ends.",
    keys: Cow::Borrowed(&[Key::may(
        "grace",
        Schema::DURATION,
        "how long work goes on after SIGTERM or SIGINT (30s)",
    )]),
    rules: &[],
};

pub(crate) static SECTION: Section = Section {
    key: "shutdown",
    map: &MAP,
    defaults: "\
shutdown:
  grace: 30s                       # after SIGTERM or SIGINT
",
    settings: &[Setting::plain("shutdown.grace", |config| format!("{:?}", config.shutdown.grace))],
    read,
};

/// The end of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shutdown {
    pub(crate) grace: Duration,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self { grace: Duration::from_secs(30) }
    }
}

fn read(node: &Node, config: &mut Config, _: &dyn SecretSource, diagnostics: &mut Diagnostics) {
    let Some(mut fields) = Fields::of(node, "the section `shutdown`", diagnostics) else { return };
    if let Some(grace) = fields.take("grace").and_then(|node| node.as_duration(diagnostics)) {
        config.shutdown.grace = grace;
    }
    fields.finish(diagnostics);
}
