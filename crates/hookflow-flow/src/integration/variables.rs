//! What the templates of an outbound webhook may read: what its caller gives, the run, and its own ID.

use crate::lowering::{CALL, RUN};
use hookflow_expr::{Known, Unknown};
use hookflow_text::{Code, Severity, nearest};
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;

/// What a flow has and a webhook has not.
const OF_FLOWS: &[&str] = &["webhook", "steps", "error", "loop", "wait_url"];

/// What is always there, and what it holds.
const ALWAYS: &[(&str, &[&str])] = &[("run", RUN), ("WebhookRequest", CALL)];

/// The names that are read, as they are met.
#[derive(Debug, Default)]
pub(super) struct Variables {
    read: RefCell<BTreeSet<String>>,
    transactional: Cell<bool>,
}

impl Variables {
    /// What was read, and whether the transactional ID was.
    pub(super) fn read(self) -> (Vec<String>, bool) {
        (self.read.into_inner().into_iter().collect(), self.transactional.get())
    }
}

impl Known for Variables {
    fn check(&self, path: &[&str]) -> Result<(), Unknown> {
        let (root, rest) = path.split_first().map_or(("", path), |(root, rest)| (*root, rest));
        if let Some((_, known)) = ALWAYS.iter().find(|(name, _)| *name == root) {
            self.transactional.set(self.transactional.get() || *known == CALL);
            return match rest.first() {
                Some(field) if !known.contains(field) => {
                    let near = nearest(field, known.iter().copied());
                    let help = near.map(|near| format!("did you mean `{root}.{near}`?"));
                    Err(unknown(format!("`{root}` has no `{field}`"), help))
                }
                _ => Ok(()),
            };
        }
        match path {
            [] | ["vars"] => Ok(()),
            [name, ..] if OF_FLOWS.contains(name) => Err(unknown(
                format!("`{name}` is not in scope in an outbound webhook"),
                Some("a flow gives it what it needs: `call: …` with `with: {name: value}`".into()),
            )),
            ["vars", name, ..] | [name, ..] => {
                self.read.borrow_mut().insert((*name).to_owned());
                Ok(())
            }
        }
    }
}

fn unknown(message: String, help: Option<String>) -> Unknown {
    Unknown { code: Code("expr.unknown-name"), severity: Severity::Error, message, help }
}
