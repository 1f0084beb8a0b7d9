//! `outbound`: how far calls may reach, and how much they may bring back.

use crate::config::Config;
use crate::section::{RANGES, Section, Setting, not_yet, range};
use hookflow_text::{Diagnostics, Fields, Key, MapSchema, Node, Schema, SecretSource};
use ipnet::IpNet;
use std::borrow::Cow;

static MAP: MapSchema = MapSchema {
    name: "outbound",
    about: "How far calls may reach, and how much they may bring back.",
    keys: Cow::Borrowed(&[
        Key::may("allow", RANGES, "private ranges that flows may call, such as 10.1.0.0/16 (none)"),
        Key::may("response", Schema::SIZE, "the largest answer (10MiB)"),
        Key::may("proxy", Schema::Null, "not in this version yet"),
        Key::may("timeout", Schema::Null, "not in this version yet"),
    ]),
    rules: &[],
};

pub(crate) static SECTION: Section = Section {
    key: "outbound",
    map: &MAP,
    defaults: "\
outbound:
  allow: []                        # private ranges that flows may call, such as 10.1.0.0/16
  response: 10MiB                  # the largest answer
",
    settings: &[
        Setting::plain("outbound.allow", |config| format!("{:?}", config.outbound.allow)),
        Setting::plain("outbound.response", |config| format!("{}B", config.outbound.response)),
    ],
    read,
};

/// The rules for calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outbound {
    pub(crate) allow: Vec<IpNet>,
    pub(crate) response: u64,
}

impl Default for Outbound {
    fn default() -> Self {
        Self { allow: Vec::new(), response: 10 << 20 }
    }
}

fn read(node: &Node, config: &mut Config, _: &dyn SecretSource, diagnostics: &mut Diagnostics) {
    let Some(mut fields) = Fields::of(node, "the section `outbound`", diagnostics) else { return };
    if let Some(items) = fields.take("allow").and_then(|node| node.as_list(diagnostics)) {
        config.outbound.allow = items.iter().filter_map(|item| range(item, diagnostics)).collect();
    }
    if let Some(bytes) = fields.take("response").and_then(|node| node.as_size(diagnostics)) {
        config.outbound.response = bytes;
    }
    for key in ["proxy", "timeout"] {
        not_yet(&mut fields, "outbound", key, diagnostics);
    }
    fields.finish(diagnostics);
}
