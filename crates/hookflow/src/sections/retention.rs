//! `retention`: how much of what has ended is kept.

use crate::config::Config;
use crate::section::{Section, Setting};
use hookflow_text::{Diagnostics, Fields, Key, MapSchema, Node, Schema, SecretSource};
use std::borrow::Cow;

static MAP: MapSchema = MapSchema {
    name: "retention",
    about: "How long runs that have ended are kept, and refused requests.",
    keys: Cow::Borrowed(&[
        Key::may("age", Schema::DURATION, "how long they are kept (30d)"),
        Key::may("bytes", Schema::SIZE, "about how many bytes are kept; the oldest go first (10GiB)"),
        Key::may("runs", Schema::Integer(0, u64::MAX), "how many runs are kept (10000000)"),
    ]),
    rules: &[],
};

pub(crate) static SECTION: Section = Section {
    key: "retention",
    map: &MAP,
    defaults: "\
retention:
  age: 30d                         # of runs that have ended, and of refused requests
  bytes: 10GiB                     # about; the oldest go first
  runs: 10000000
",
    settings: &[
        Setting::plain("retention.age", |config| format!("{:?}", config.retention.age)),
        Setting::plain("retention.bytes", |config| format!("{}B", config.retention.bytes)),
        Setting::plain("retention.runs", |config| config.retention.runs.to_string()),
    ],
    read,
};

fn read(node: &Node, config: &mut Config, _: &dyn SecretSource, diagnostics: &mut Diagnostics) {
    let Some(mut fields) = Fields::of(node, "the section `retention`", diagnostics) else { return };
    if let Some(age) = fields.take("age").and_then(|node| node.as_duration(diagnostics)) {
        config.retention.age = age;
    }
    if let Some(bytes) = fields.take("bytes").and_then(|node| node.as_size(diagnostics)) {
        config.retention.bytes = bytes;
    }
    if let Some(runs) = fields.take("runs").and_then(|node| node.as_integer(0, u64::MAX, diagnostics)) {
        config.retention.runs = runs;
    }
    fields.finish(diagnostics);
}
