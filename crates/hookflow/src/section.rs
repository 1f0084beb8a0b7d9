//! What a section of `config/hookflow.yaml` is. The table is `sections.rs`.

use crate::config::Config;
use hookflow_text::{Code, Diagnostics, Fields, MapSchema, Node, NodeValue, Schema, Secret, SecretSource};
use ipnet::IpNet;
use std::net::{IpAddr, SocketAddr};

/// One top-level key of `config/hookflow.yaml`.
pub(crate) struct Section {
    /// The key.
    pub(crate) key: &'static str,
    /// What stands in it.
    pub(crate) map: &'static MapSchema,
    /// Every key that this version honours, with its default, as it stands in the documentation.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "a test holds the code and docs/configuration.md to it")
    )]
    pub(crate) defaults: &'static str,
    /// Its keys that only a restart changes. What is not among them, a reload changes.
    pub(crate) settings: &'static [Setting],
    /// Reads it into the configuration, which holds the defaults before.
    pub(crate) read: fn(&Node, &mut Config, &dyn SecretSource, &mut Diagnostics),
}

/// A key that only a restart changes.
pub(crate) struct Setting {
    /// The whole key.
    pub(crate) key: &'static str,
    /// Its value, for people. Of a secret only whether there is one.
    pub(crate) text: fn(&Config) -> String,
    /// The secret that it is.
    pub(crate) secret: fn(&Config) -> Option<&Secret>,
}

impl Setting {
    /// A key whose value is no secret.
    pub(crate) const fn plain(key: &'static str, text: fn(&Config) -> String) -> Self {
        Self { key, text, secret: |_| None }
    }
}

/// An address to listen on.
pub(crate) const ADDRESS: Schema = Schema::Like("^.+:[0-9]+$");
/// Ranges of addresses.
pub(crate) const RANGES: Schema = Schema::List(&Schema::Like(""));

/// Refuses a key of the format that this version cannot honour. Nothing, written as null or as an empty list, is what
/// it does anyway.
pub(crate) fn not_yet(
    fields: &mut Fields<'_>,
    section: &str,
    key: &'static str,
    diagnostics: &mut Diagnostics,
) {
    let Some((name, value)) = fields.take_entry(key) else { return };
    if value.is_null() || matches!(&value.value, NodeValue::Seq(items) if items.is_empty()) {
        return;
    }
    diagnostics
        .error(Code("config.not-yet"), &name.span, format!("`{section}.{key}` is not in this version yet"))
        .label("cannot be honoured")
        .help("remove it; what this version has stands in docs/configuration.md");
}

/// Reads `127.0.0.1:8080` or `[::1]:8080`.
pub(crate) fn address(node: &Node, diagnostics: &mut Diagnostics) -> Option<SocketAddr> {
    let text = node.as_str(diagnostics)?;
    let address = text.parse().ok();
    if address.is_none() {
        diagnostics
            .error(Code("config.address"), &node.span, format!("`{text}` is not an address to listen on"))
            .help("write an IP address and a port, such as `127.0.0.1:8080` or `'[::]:8080'`");
    }
    address
}

/// Reads `10.1.0.0/16`, or one address.
pub(crate) fn range(node: &Node, diagnostics: &mut Diagnostics) -> Option<IpNet> {
    let text = node.as_str(diagnostics)?;
    let range = text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
    if range.is_none() {
        diagnostics
            .error(Code("config.range"), &node.span, format!("`{text}` is not a range of addresses"))
            .help("write an address and the length of its prefix, such as `10.1.0.0/16`");
    }
    range
}
