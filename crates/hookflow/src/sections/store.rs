//! `store`: where events and runs are kept. This version has one place: memory.

use crate::config::Config;
use crate::section::{Section, not_yet};
use hookflow_text::{Diagnostics, Fields, Node, SecretSource};

pub(crate) static SECTION: Section = Section {
    key: "store",
    defaults: "\
store:
  memory: {}                       # lost when the process ends
",
    read,
};

fn read(node: &Node, _: &mut Config, _: &dyn SecretSource, diagnostics: &mut Diagnostics) {
    let Some(mut fields) = Fields::of(node, "the section `store`", diagnostics) else { return };
    if let Some(node) = fields.take("memory")
        && let Some(fields) = Fields::of(node, "the memory store", diagnostics)
    {
        fields.finish(diagnostics);
    }
    for key in ["postgres", "sqlite"] {
        not_yet(&mut fields, "store", key, diagnostics);
    }
    fields.finish(diagnostics);
}
