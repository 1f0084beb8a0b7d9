//! What a kept version of a flow needs of the integrations that it calls: their definitions, so that it can be compiled
//! again when those have changed or are gone.

use super::{Integration, Integrations};
use crate::Via;
use hookflow_text::{Diagnostics, Json, Node, NodeValue, SecretRef, SecretSource, Source, Span, parse};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What is kept of integrations, by name.
pub(crate) type Definitions = BTreeMap<String, Definition>;

/// What is kept of one.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Definition {
    content_type: Option<String>,
    /// The webhooks that are called, by name, each written in one way.
    webhooks: BTreeMap<String, String>,
}

/// What a flow's calls go by.
pub(crate) fn definitions<'v>(
    calls: impl Iterator<Item = &'v Via>,
    integrations: &Integrations,
) -> Definitions {
    let mut definitions = Definitions::new();
    for via in calls {
        let Some(integration) = integrations.get(&via.integration) else { continue };
        let kept = definitions.entry(via.integration.to_string()).or_default();
        kept.content_type.clone_from(&integration.content_type);
        if let Some(webhook) = via.webhook.as_ref().and_then(|name| integration.webhooks.get(name)) {
            kept.webhooks.insert(webhook.name.to_string(), webhook.definition.clone());
        }
    }
    definitions
}

/// The integrations as a kept version knows them.
pub(crate) fn called(definitions: &Definitions, diagnostics: &mut Diagnostics) -> Integrations {
    let mut integrations = Integrations::default();
    for (name, kept) in definitions {
        let source = Source::new(format!("the integration `{name}`, as it was"), "");
        let mut integration = Integration {
            id: name.as_str().into(),
            title: None,
            outlet: None,
            content_type: kept.content_type.clone(),
            webhooks: BTreeMap::new(),
            span: Span::new(&source, 0..0),
        };
        for (name, definition) in &kept.webhooks {
            let source = Source::new(source.name.clone(), definition.as_str());
            let Some(node) = parse(&source, diagnostics) else { continue };
            let name = Arc::from(name.as_str());
            if let Some(webhook) = integration.webhook(name, &node, &node, &Forgotten, diagnostics) {
                integration.webhooks.insert(Arc::clone(&webhook.name), Arc::new(webhook));
            }
        }
        integrations.0.insert(Arc::clone(&integration.id), Arc::new(integration));
    }
    integrations
}

/// Private headers are those in force when a call is performed, so a version does not miss them.
struct Forgotten;

impl SecretSource for Forgotten {
    fn resolve(&self, _: &SecretRef) -> Result<Vec<u8>, String> {
        Ok(b"kept elsewhere".to_vec())
    }

    fn is_invented(&self) -> bool {
        true
    }
}

/// A value written in one way: comments, style and anchors of the file leave no trace in it. It is
/// YAML that reads as the same tree.
pub(super) fn canonical(node: &Node) -> String {
    let mut text = String::new();
    write(node, &mut text);
    text
}

fn write(node: &Node, text: &mut String) {
    match &node.value {
        NodeValue::Scalar(_) => match (node.plain(), node.to_json(&mut Diagnostics::default())) {
            // A number keeps its spelling.
            (Some(plain), Json::Number(_) | Json::Bool(_) | Json::Null) if !plain.is_empty() => {
                text.push_str(plain);
            }
            (Some(_), Json::Null) => text.push_str("null"),
            _ => text.push_str(&Json::from(node.text()).to_string()),
        },
        NodeValue::Seq(items) => {
            text.push('[');
            for (n, item) in items.iter().enumerate() {
                text.push_str(if n == 0 { "" } else { ", " });
                write(item, text);
            }
            text.push(']');
        }
        NodeValue::Map(entries) => {
            text.push('{');
            for (n, (key, value)) in entries.iter().enumerate() {
                text.push_str(if n == 0 { "" } else { ", " });
                text.push_str(&Json::from(key.text()).to_string());
                text.push_str(": ");
                write(value, text);
            }
            text.push('}');
        }
    }
}
