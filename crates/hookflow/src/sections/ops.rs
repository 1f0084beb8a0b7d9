//! `ops`: the listener for operators.

use crate::config::Config;
use crate::section::{ADDRESS, Section, Setting, address};
use hookflow_text::{
    Code, Diagnostics, Fields, Key, MapSchema, Node, Schema, Secret, SecretRef, SecretSource,
};
use std::borrow::Cow;
use std::net::{Ipv4Addr, SocketAddr};

static MAP: MapSchema = MapSchema {
    name: "ops",
    about: "The listener for operators.",
    keys: Cow::Borrowed(&[
        Key::may(
            "listen",
            ADDRESS,
            "the address it listens on; with port 0 the system picks one (127.0.0.1:8081)",
        ),
        Key::may("hosts", Schema::List(&Schema::Text), "further names it may be called by (none)"),
        Key::may(
            "token",
            Schema::AnyOf(&[Schema::SECRET, Schema::Null]),
            "what operators send behind `Bearer`; needed as soon as the listener is not on loopback",
        ),
    ]),
    rules: &[],
};

pub(crate) static SECTION: Section = Section {
    key: "ops",
    map: &MAP,
    defaults: "\
ops:
  listen: 127.0.0.1:8081           # port 0: the system picks one
  hosts: []                        # further names it may be called by
  token: null                      # {env: OPS_TOKEN}; needed as soon as the listener is not on loopback
",
    settings: &[
        Setting::plain("ops.hosts", |config| format!("[{}]", config.ops.hosts.join(", "))),
        Setting::plain("ops.listen", |config| config.ops.listen.to_string()),
        Setting {
            key: "ops.token",
            text: |config| if config.ops.token.is_some() { "a secret" } else { "null" }.into(),
            secret: |config| config.ops.token.as_ref(),
        },
    ],
    read,
};

/// The listener for operators.
#[derive(Debug, Clone)]
pub(crate) struct Ops {
    pub(crate) listen: SocketAddr,
    pub(crate) hosts: Vec<String>,
    pub(crate) token: Option<Secret>,
}

impl Default for Ops {
    fn default() -> Self {
        Self { listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8081)), hosts: Vec::new(), token: None }
    }
}

fn read(node: &Node, config: &mut Config, secrets: &dyn SecretSource, diagnostics: &mut Diagnostics) {
    let Some(mut fields) = Fields::of(node, "the section `ops`", diagnostics) else { return };
    let listen = fields.take("listen");
    if let Some(address) = listen.and_then(|node| address(node, diagnostics)) {
        config.ops.listen = address;
    }
    if let Some(items) = fields.take("hosts").and_then(|node| node.as_list(diagnostics)) {
        config.ops.hosts =
            items.iter().filter_map(|item| item.as_str(diagnostics).map(str::to_owned)).collect();
    }
    let token = fields.take("token").filter(|node| !node.is_null());
    config.ops.token = token.and_then(|node| SecretRef::load(node, secrets, diagnostics));
    if let (Some(node), None, false) = (listen, token, config.ops.listen.ip().to_canonical().is_loopback()) {
        diagnostics
            .error(
                Code("config.ops-token"),
                &node.span,
                "an ops listener that is not on loopback needs a token",
            )
            .label("others can reach it here")
            .help("add `token: {env: OPS_TOKEN}`, or listen on 127.0.0.1");
    }
    fields.finish(diagnostics);
}
