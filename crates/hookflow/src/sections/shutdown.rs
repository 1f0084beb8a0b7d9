//! `shutdown`: how long what is under way may take to end.

use crate::config::Config;
use crate::section::{Section, Setting};
use hookflow_text::{Diagnostics, Fields, Node, SecretSource};
use std::time::Duration;

pub(crate) static SECTION: Section = Section {
    key: "shutdown",
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
