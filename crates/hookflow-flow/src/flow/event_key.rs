//! A key that is taken from an event at the door: by what it is known again, or with what it is kept in order.

use super::Foreseen;
use crate::lowering::AtTheDoor;
use hookflow_expr::{Env, Found, Lookup, Template};
use hookflow_text::{Code, Diagnostics, Json, Node};
use hookflow_trigger::Event;
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use std::sync::Arc;

/// A longer key is kept as its digest.
const LONGEST: usize = 200;

/// A key that is taken from an event.
#[derive(Debug)]
pub(super) struct EventKey(Template);

impl EventKey {
    /// A key that is the same for every event is the mistake `constant`.
    pub(super) fn load(
        node: &Node,
        constant: Code,
        foreseen: &Foreseen,
        diagnostics: &mut Diagnostics,
    ) -> Option<Self> {
        let key = Template::compile(node, &AtTheDoor(foreseen), diagnostics)?;
        if key.constant().is_some() {
            diagnostics
                .error(constant, &node.span, "this key is the same for every event")
                .help("take it from the event: `${ webhook.body.id }`");
            return None;
        }
        Some(Self(key))
    }

    /// The event's key; `None` when it is missing, null or empty.
    pub(super) fn of(&self, event: &Event, now: Timestamp) -> Option<String> {
        let scope = Arc::new(Scope(Arc::new(event.clone())));
        let value = self.0.eval(&Env { scope, now, chance: [0; 32] }).ok()?;
        let key = match &*value {
            Json::Null => return None,
            Json::String(text) => text.clone(),
            other => other.to_string(),
        };
        match key.len() {
            0 => None,
            1..=LONGEST => Some(key),
            _ => Some(
                Sha256::digest(key.as_bytes())
                    .iter()
                    .fold("sha256:".into(), |hex, byte| format!("{hex}{byte:02x}")),
            ),
        }
    }
}

/// There is no run yet, only what came.
#[derive(Debug)]
struct Scope(Arc<Event>);

impl Lookup for Scope {
    fn get(&self, name: &str) -> Option<Found> {
        (name == "webhook").then(|| Found::Part(Arc::clone(&self.0) as Arc<dyn Lookup>))
    }

    fn names(&self) -> Vec<Arc<str>> {
        vec!["webhook".into()]
    }
}
