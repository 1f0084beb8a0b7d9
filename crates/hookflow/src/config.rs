//! The configuration: `config/hookflow.yaml` with the environment laid over it. Every key has a default, so an empty
//! file is a working service on loopback.

use crate::sections::{self, Log, Ops, Outbound, Public, Reload, Shutdown, Store};
use hookflow_engine::Keep;
use hookflow_text::{Code, Diagnostics, Fields, Key, MapSchema, Node, OneOf, Schema, SecretSource};

/// The file of the service.
pub(crate) static CONFIG: Schema = Schema::OneOf(&OneOf {
    name: "config",
    about: "The service. Every key has a default, so an empty file is a working service on loopback.",
    of: || {
        let keys = sections::ALL.iter().map(|it| Key::may(it.key, Schema::MapOrNull(it.map), it.map.about));
        vec![(
            Vec::new(),
            MapSchema { name: "sections", about: "The service.", keys: keys.collect(), rules: &[] },
        )]
    },
});

/// What the service runs with.
#[derive(Debug, Clone, Default)]
pub(crate) struct Config {
    pub(crate) public: Public,
    pub(crate) ops: Ops,
    pub(crate) outbound: Outbound,
    pub(crate) log: Log,
    pub(crate) reload: Reload,
    pub(crate) retention: Keep,
    pub(crate) shutdown: Shutdown,
    pub(crate) store: Store,
}

impl Config {
    /// Reads the document. Sections with mistakes keep their defaults.
    pub(crate) fn read(root: &Node, secrets: &dyn SecretSource, diagnostics: &mut Diagnostics) -> Self {
        let mut config = Self::default();
        let Some(mut fields) = Fields::of(root, "the configuration", diagnostics) else { return config };
        for section in sections::ALL {
            // A key with nothing behind it is an empty section.
            if let Some(node) = fields.take(section.key).filter(|node| !node.is_null()) {
                (section.read)(node, &mut config, secrets, diagnostics);
            }
        }
        fields.finish(diagnostics);
        let (public, ops) = (config.public.listen, config.ops.listen);
        if public == ops && public.port() != 0 {
            diagnostics
                .error(
                    Code("config.address-twice"),
                    &root.key_span(),
                    format!("`public.listen` and `ops.listen` are both {ops}"),
                )
                .help("give the listener for operators a port of its own");
        }
        config
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secrets::FolderSecrets;
    use crate::sections::LogFormat;
    use hookflow_text::{Source, parse};
    use std::time::Duration;

    fn read(yaml: &str) -> (Config, Vec<&'static str>, String) {
        let mut diagnostics = Diagnostics::default();
        let root = parse(&Source::new("config/hookflow.yaml", yaml), &mut diagnostics).unwrap();
        let config = Config::read(&root, &FolderSecrets::invented(), &mut diagnostics);
        (config, diagnostics.codes(), diagnostics.render(false))
    }

    #[test]
    fn the_documented_defaults_are_the_defaults() {
        assert!(sections::ALL.is_sorted_by_key(|section| section.key));
        let documented: String = sections::ALL.iter().map(|section| section.defaults).collect();
        let (config, codes, text) = read(&documented);
        assert!(codes.is_empty(), "{text}");
        assert_eq!(format!("{config:?}"), format!("{:?}", Config::default()));
        assert_eq!(format!("{:?}", read("").0), format!("{:?}", Config::default()));
        assert_eq!(format!("{:?}", read("public:\nlog:\n").0), format!("{:?}", Config::default()));
    }

    #[test]
    fn what_is_written_is_honoured() {
        let (config, codes, text) = read(
            "public: {listen: '[::1]:0', base_url: 'https://hooks.example.com/', trusted_proxies: [10.0.0.0/8, '::1'], limits: {body: 1MiB, header_count: 7}}
ops: {listen: '0.0.0.0:9', hosts: [ops.example.com], token: {env: T}}
outbound: {allow: [10.1.0.0/16, 192.168.0.7], response: 1KiB, timeout: 5s, proxy: {url: 'http://p:1', no_proxy: [a.b]}}
log: {format: json, level: debug}
reload: {watch: false}
retention: {age: 1h, bytes: 1MiB, runs: 5}
shutdown: {grace: 5s}
store: {memory: {}, blob_bytes: 3MiB}
",
        );
        assert!(codes.is_empty(), "{text}");
        assert_eq!(config.public.listen, "[::1]:0".parse().unwrap());
        assert_eq!(config.public.base_url.as_deref(), Some("https://hooks.example.com"));
        assert_eq!(config.public.trusted_proxies.len(), 2);
        assert_eq!((config.public.limits.body, config.public.limits.header_count), (1 << 20, 7));
        assert_eq!(config.ops.hosts, ["ops.example.com"]);
        assert!(config.ops.token.is_some());
        assert_eq!(config.outbound.allow.len(), 2);
        assert_eq!((config.outbound.response, config.outbound.timeout), (1024, Duration::from_secs(5)));
        assert_eq!(config.outbound.proxy.unwrap().to_string(), "p port 1, not for a.b");
        assert_eq!((config.log.format, config.log.level), (LogFormat::Json, tracing::Level::DEBUG));
        assert!(!config.reload.watch);
        assert_eq!(config.retention, Keep { age: Duration::from_hours(1), bytes: 1 << 20, runs: 5 });
        assert_eq!(config.shutdown.grace, Duration::from_secs(5));
        assert!(!config.store.is_durable());
        assert_eq!(config.store.blob_bytes, 3 << 20);
        let (config, ..) = read("store: {sqlite: {path: kept/events.db}, memory: null}");
        assert_eq!(config.store.path("shop".as_ref()), std::path::Path::new("shop/kept/events.db"));
        assert!(config.store.is_durable());
    }

    #[test]
    fn what_cannot_be_honoured_is_refused_by_name() {
        let (_, codes, text) = read("store: {postgres: {url: {env: U}}}");
        assert_eq!(codes, ["config.not-yet"]);
        assert!(text.contains("`store.postgres` is not in this version yet"), "{text}");
        let (_, codes, _) = read("public: {trusted_proxies: [], tls: null}\noutbound: {proxy: null}");
        assert!(codes.is_empty());
    }

    #[test]
    fn mistakes_are_named_all_at_once() {
        for (yaml, expected) in [
            ("pubic: {}", "yaml.unknown-key"),
            ("public: {listen: localhost:80}", "config.address"),
            ("public: {base_url: hooks.example.com}", "config.base-url"),
            ("public: {base_url: 'ftp://a'}", "config.base-url"),
            ("public: {base_url: 'https://a/?b'}", "config.base-url"),
            ("public: {limits: {headers: 1KiB}}", "yaml.type"),
            ("public: {limits: {body: 0B}}", "yaml.type"),
            ("public: {limits: {body_timeout: 0s}}", "yaml.type"),
            ("ops: {listen: '0.0.0.0:9'}", "config.ops-token"),
            ("ops: {token: plain}", "secret.plain-text"),
            ("ops: {listen: '127.0.0.1:8080'}", "config.address-twice"),
            ("public: {listen: '127.0.0.1:9'}\nops: {listen: '127.0.0.1:9'}", "config.address-twice"),
            ("outbound: {allow: [10.1]}", "config.range"),
            ("outbound: {proxy: 'https://p'}", "config.proxy"),
            ("outbound: {timeout: 0s}", "yaml.type"),
            ("public: {trusted_proxies: [proxy.example]}", "config.range"),
            ("public: {tls: {cert: a}}", "yaml.missing-key"),
            ("public: {tls: {cert: a, key: b, ca: c}}", "yaml.unknown-key"),
            ("public: {tls: {cert: a, key: {env: B}}}", "yaml.type"),
            ("log: {level: loud}", "yaml.word"),
            ("retention: {days: 30}", "yaml.unknown-key"),
            ("retention: {age: long}", "yaml.type"),
            ("store: {memory: {size: 1}}", "yaml.unknown-key"),
            ("store: {sqlite: {file: a}}", "yaml.unknown-key"),
            ("store: {sqlite: {}, memory: {}}", "config.store-twice"),
            ("store: {blob_bytes: 0B}", "yaml.type"),
            ("- a", "yaml.type"),
        ] {
            assert_eq!(read(yaml).1, [expected], "{yaml}");
        }
        assert_eq!(read("public: {listen: a}\nlog: {format: xml}\nstor: 1\n").1.len(), 3);
    }
}
