//! A proxy that calls go by, as the service's configuration and an integration's file write it.

use hookflow_text::{
    Code, Diagnostics, Fields, Key, MapSchema, Node, NodeValue, Schema, Secret, SecretRef, SecretSource,
};
use hookflow_trigger::to_base64;
use http::HeaderValue;
use http::uri::Scheme;
use ipnet::IpNet;
use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use url::Url;

/// As it is written.
pub const PROXY: Schema = Schema::AnyOf(&[Schema::Like("^http://"), Schema::Map(&MAP), Schema::Null]);

static MAP: MapSchema = MapSchema {
    name: "proxy",
    about: "A proxy that calls go by.",
    keys: Cow::Borrowed(&[
        Key::must("url", Schema::Like("^http://"), "where it is, as in http://proxy.internal:3128"),
        Key::may("username", Schema::Text, "whom it knows"),
        Key::may("password", Schema::SECRET, "what it asks of that user"),
        Key::may("no_proxy", Schema::List(&Schema::Text), "ranges and names that are called without it"),
    ]),
    rules: &[],
};

/// A proxy that calls go by.
#[derive(Debug, Clone, Default)]
pub struct ProxyRule {
    /// Its name or its address; one of IPv6 without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Who it is asked as.
    pub username: Option<String>,
    /// The secret that goes with the name.
    pub password: Option<Secret>,
    /// Addresses that are called without it.
    pub no_proxy_ranges: Vec<IpNet>,
    /// Hosts that are called without it, in small letters, each with all names below it.
    pub no_proxy_names: Vec<String>,
}

impl ProxyRule {
    /// Reads a URL, or `{url, username, password, no_proxy}`.
    pub fn load(node: &Node, secrets: &dyn SecretSource, diagnostics: &mut Diagnostics) -> Option<Self> {
        if !matches!(node.value, NodeValue::Map(_)) {
            return Self::at(node, diagnostics);
        }
        let mut fields = Fields::of(node, "a proxy", diagnostics)?;
        let rule = fields.require("url", diagnostics).and_then(|node| Self::at(node, diagnostics));
        let username = fields.take("username").map(|node| (node, node.as_str(diagnostics)));
        let password = fields.take("password").map(|node| SecretRef::load(node, secrets, diagnostics));
        let exempt = fields.take("no_proxy").and_then(|node| node.as_list(diagnostics)).unwrap_or_default();
        fields.finish(diagnostics);
        let mut rule = rule?;
        for node in exempt {
            rule.exempt(node, diagnostics)?;
        }
        match (username, password) {
            (None, None) => Some(rule),
            (Some((node, name)), Some(password)) => {
                let name = name?;
                if name.contains(':') || name.chars().any(char::is_control) {
                    let message = "the name before a password holds no `:` and no control character";
                    diagnostics.error(Code("config.proxy"), &node.span, message);
                    return None;
                }
                Some(Self { username: Some(name.to_owned()), password: Some(password?), ..rule })
            }
            _ => {
                let message = "`username` and `password` go together";
                diagnostics.error(Code("config.proxy"), &node.span, message);
                None
            }
        }
    }

    /// What it is told of who asks; marked as sensitive.
    pub fn authorization(&self) -> Option<HeaderValue> {
        let (username, password) = (self.username.as_ref()?, self.password.as_ref()?);
        let pair = [username.as_bytes(), b":", password.expose()].concat();
        let mut value = HeaderValue::try_from(format!("Basic {}", to_base64(&pair))).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    fn at(node: &Node, diagnostics: &mut Diagnostics) -> Option<Self> {
        let text = node.as_str(diagnostics)?;
        let (rule, why) = match Url::parse(text) {
            Err(error) => (None, error.to_string()),
            Ok(url) if !url.username().is_empty() || url.password().is_some() => {
                (None, "it holds no user or password; use `username` and `password`".into())
            }
            Ok(url) => (Self::of_url(&url), "it is `http://`, a host and a port".into()),
        };
        if rule.is_none() {
            diagnostics
                .error(Code("config.proxy"), &node.span, format!("this is not a proxy's URL: {why}"))
                .help("write one such as `http://proxy.internal:3128`");
        }
        rule
    }

    fn of_url(url: &Url) -> Option<Self> {
        let bare = url.scheme() == Scheme::HTTP.as_str()
            && url.path() == "/"
            && url.query().or(url.fragment()).is_none();
        let host = url.host_str().filter(|host| bare && !host.is_empty())?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Some(Self { host, port: url.port_or_known_default()?, ..Self::default() })
    }

    /// Reads `10.0.0.0/8`, an address, or a name.
    fn exempt(&mut self, node: &Node, diagnostics: &mut Diagnostics) -> Option<()> {
        let text = node.as_str(diagnostics)?;
        if let Some(range) = text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from)) {
            self.no_proxy_ranges.push(range);
            return Some(());
        }
        let name = text.trim_start_matches("*.").trim_start_matches('.').to_ascii_lowercase();
        let known = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
        if name.is_empty() || name.ends_with('.') || !name.chars().all(known) {
            let message = format!("`{text}` is neither a host nor a range of addresses");
            diagnostics
                .error(Code("config.proxy"), &node.span, message)
                .help("write a name such as `internal.example`, which means those below it too, or a range such as `10.0.0.0/8`");
            return None;
        }
        self.no_proxy_names.push(name);
        Some(())
    }
}

impl fmt::Display for ProxyRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} port {}", self.host, self.port)?;
        if let Some(username) = &self.username {
            write!(f, " as {username}")?;
        }
        let ranges = self.no_proxy_ranges.iter().map(ToString::to_string);
        let without: Vec<_> = ranges.chain(self.no_proxy_names.iter().cloned()).collect();
        if without.is_empty() { Ok(()) } else { write!(f, ", not for {}", without.join(", ")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hookflow_text::{Source, parse};

    struct Known;

    impl SecretSource for Known {
        fn resolve(&self, _: &SecretRef) -> Result<Vec<u8>, String> {
            Ok(b"canary:1".to_vec())
        }
    }

    fn load(text: &str) -> (Option<ProxyRule>, Vec<&'static str>, String) {
        let mut diagnostics = Diagnostics::default();
        let node = parse(&Source::new("c.yaml", text), &mut diagnostics).unwrap();
        let rule = ProxyRule::load(&node, &Known, &mut diagnostics);
        (rule, diagnostics.codes(), diagnostics.render(false))
    }

    #[test]
    fn a_proxy_is_a_url_or_more() {
        for (text, host, port) in [
            ("http://proxy.internal:3128", "proxy.internal", 3128),
            ("http://10.0.0.1/", "10.0.0.1", 80),
            ("'http://[::1]:8'", "::1", 8),
            ("{url: 'http://p:1'}", "p", 1),
        ] {
            let rule = load(text).0.unwrap();
            assert_eq!((rule.host.as_str(), rule.port, rule.authorization()), (host, port, None), "{text}");
        }
        let all = "{url: 'http://p:1', username: me, password: {env: P}, no_proxy: [10.0.0.0/8, ::1, .Internal, '*.b.c']}";
        let rule = load(all).0.unwrap();
        let authorization = rule.authorization().unwrap();
        assert_eq!(authorization, "Basic bWU6Y2FuYXJ5OjE=");
        assert!(!format!("{rule:?}{authorization:?}").contains("canary"), "{rule:?}");
        assert_eq!(
            (rule.no_proxy_ranges.len(), rule.no_proxy_names),
            (2, vec!["internal".into(), "b.c".into()])
        );
    }

    #[test]
    fn what_is_no_proxy_is_a_mistake() {
        for text in [
            "https://p:1",
            "socks5://p:1",
            "p:3128",
            "http://p:1/way",
            "'http://p:1/?a'",
            "http://canary:canary@p:1",
            "{url: 'http://p:1', username: me}",
            "{url: 'http://p:1', password: {env: P}}",
            "{url: 'http://p:1', username: 'm:e', password: {env: P}}",
            "{url: 'http://p:1', no_proxy: ['*']}",
            "{url: 'http://p:1', no_proxy: ['a/b']}",
        ] {
            let (rule, codes, shown) = load(text);
            assert_eq!((rule.is_none(), codes), (true, vec!["config.proxy"]), "{text}\n{shown}");
        }
        assert_eq!(load("{url: 'http://p:1', username: m, password: p}").1, ["secret.plain-text"]);
        assert_eq!(load("{username: m}").1, ["yaml.missing-key"]);
    }
}
