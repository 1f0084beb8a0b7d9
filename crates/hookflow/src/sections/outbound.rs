//! `outbound`: how far calls may reach, by which way, how long they may take and how much they may bring back.

use crate::config::Config;
use crate::section::{RANGES, Section, Setting, range};
use hookflow_flow::{POOL, PROXY, PoolRule, ProxyRule};
use hookflow_text::{Diagnostics, Fields, Key, MapSchema, Node, Schema, SecretSource, duration_in_words};
use ipnet::IpNet;
use std::borrow::Cow;
use std::time::Duration;

static MAP: MapSchema = MapSchema {
    name: "outbound",
    about: "How far calls may reach, by which way, how long they may take and how much they may bring back.",
    keys: Cow::Borrowed(&[
        Key::may("allow", RANGES, "private ranges that flows may call, such as 10.1.0.0/16 (none)"),
        Key::may("pool", Schema::Map(&POOL), "the connections that are kept for the next call"),
        Key::may("proxy", PROXY, "the proxy that calls go by (none)"),
        Key::may("response", Schema::SIZE, "the largest answer (10MiB)"),
        Key::may(
            "timeout",
            Schema::DURATION,
            "one try of a call, from connecting to the last byte of the answer (30s)",
        ),
    ]),
    rules: &[],
};

pub(crate) static SECTION: Section = Section {
    key: "outbound",
    map: &MAP,
    defaults: "\
outbound:
  allow: []                        # private ranges that flows may call, such as 10.1.0.0/16
  pool:
    idle: 32                       # unused connections that are kept for each host
    idle_timeout: 15s              # how long one is kept unused
  proxy: null                      # http://proxy.internal:3128, or {url, username, password: {env: NAME}, no_proxy: [...]}
  response: 10MiB                  # the largest answer
  timeout: 30s                     # one try of a call, from connecting to the last byte of the answer
",
    settings: &[
        Setting::plain("outbound.allow", |config| format!("{:?}", config.outbound.allow)),
        Setting::plain("outbound.pool.idle", |config| config.outbound.idle.to_string()),
        Setting::plain("outbound.pool.idle_timeout", |config| {
            duration_in_words(config.outbound.idle_timeout)
        }),
        Setting {
            key: "outbound.proxy",
            text: |config| config.outbound.proxy.as_ref().map_or("null".into(), ToString::to_string),
            secret: |config| config.outbound.proxy.as_ref()?.password.as_ref(),
        },
        Setting::plain("outbound.response", |config| format!("{}B", config.outbound.response)),
        Setting::plain("outbound.timeout", |config| duration_in_words(config.outbound.timeout)),
    ],
    read,
};

/// The rules for calls.
#[derive(Debug, Clone)]
pub(crate) struct Outbound {
    pub(crate) allow: Vec<IpNet>,
    pub(crate) idle: usize,
    pub(crate) idle_timeout: Duration,
    pub(crate) proxy: Option<ProxyRule>,
    pub(crate) response: u64,
    pub(crate) timeout: Duration,
}

impl Default for Outbound {
    fn default() -> Self {
        Self {
            allow: Vec::new(),
            idle: 32,
            idle_timeout: Duration::from_secs(15),
            proxy: None,
            response: 10 << 20,
            timeout: Duration::from_secs(30),
        }
    }
}

fn read(node: &Node, config: &mut Config, secrets: &dyn SecretSource, diagnostics: &mut Diagnostics) {
    let Some(mut fields) = Fields::of(node, "the section `outbound`", diagnostics) else { return };
    if let Some(items) = fields.take("allow").and_then(|node| node.as_list(diagnostics)) {
        config.outbound.allow = items.iter().filter_map(|item| range(item, diagnostics)).collect();
    }
    if let Some(bytes) = fields.take("response").and_then(|node| node.as_size(diagnostics)) {
        config.outbound.response = bytes;
    }
    if let Some(rule) = fields.take("pool").and_then(|node| PoolRule::load(node, diagnostics)) {
        let PoolRule { idle, idle_timeout } = rule;
        config.outbound.idle = idle.unwrap_or(config.outbound.idle);
        config.outbound.idle_timeout = idle_timeout.unwrap_or(config.outbound.idle_timeout);
    }
    if let Some(node) = fields.take("proxy").filter(|node| !node.is_null()) {
        config.outbound.proxy = ProxyRule::load(node, secrets, diagnostics);
    }
    if let Some(node) = fields.take("timeout") {
        match node.as_duration(diagnostics) {
            Some(timeout) if !timeout.is_zero() => config.outbound.timeout = timeout,
            Some(_) => drop(node.mistyped::<()>("a duration above zero", diagnostics)),
            None => {}
        }
    }
    fields.finish(diagnostics);
}
