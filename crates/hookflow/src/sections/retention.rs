//! `retention`: how long what has ended is kept. The memory store keeps a fixed number, so nothing can be set yet.

use crate::config::Config;
use crate::section::{Section, not_yet};
use hookflow_text::{Diagnostics, Fields, Node, SecretSource};

pub(crate) static SECTION: Section = Section { key: "retention", defaults: "", settings: &[], read };

fn read(node: &Node, _: &mut Config, _: &dyn SecretSource, diagnostics: &mut Diagnostics) {
    let Some(mut fields) = Fields::of(node, "the section `retention`", diagnostics) else { return };
    for key in ["age", "bytes"] {
        not_yet(&mut fields, "retention", key, diagnostics);
    }
    fields.finish(diagnostics);
}
