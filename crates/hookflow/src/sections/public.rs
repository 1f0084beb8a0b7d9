//! `public`: the listener that the outside world calls, and its bounds.

use crate::config::Config;
use crate::section::{ADDRESS, RANGES, Section, Setting, address, range};
use hookflow_ingress::TlsFiles;
use hookflow_text::{Code, Diagnostics, Fields, Key, MapSchema, Node, Schema, SecretSource, Span};
use ipnet::IpNet;
use std::borrow::Cow;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;
use url::Url;

static MAP: MapSchema = MapSchema {
    name: "public",
    about: "The listener that the outside world calls, and its bounds.",
    keys: Cow::Borrowed(&[
        Key::may(
            "listen",
            ADDRESS,
            "the address it listens on; with port 0 the system picks one, and `serve` prints it (127.0.0.1:8080)",
        ),
        Key::may(
            "base_url",
            Schema::AnyOf(&[Schema::Like("^https?://"), Schema::Null]),
            "the root of our own URLs as the outside world types it (http:// and the address it listens on)",
        ),
        Key::may("tls", Schema::MapOrNull(&TLS), "the files of its certificate (plain HTTP)"),
        Key::may(
            "trusted_proxies",
            RANGES,
            "ranges of proxies whose X-Forwarded-For or Forwarded is believed (none)",
        ),
        Key::may("limits", Schema::Map(&LIMITS), "its bounds"),
    ]),
    rules: &[],
};

static TLS: MapSchema = MapSchema {
    name: "public-tls",
    about: "Files in PEM form, relative to the folder, which are followed while the service runs.",
    keys: Cow::Borrowed(&[
        Key::must("cert", Schema::Text, "the certificate and what leads to its root"),
        Key::must("key", Schema::Text, "its key"),
        Key::may(
            "client_ca",
            Schema::AnyOf(&[Schema::Text, Schema::Null]),
            "who signs the certificates that callers have to show (none are asked for)",
        ),
    ]),
    rules: &[],
};

static LIMITS: MapSchema = MapSchema {
    name: "limits",
    about: "The bounds of the public listener.",
    keys: Cow::Borrowed(&[
        Key::may("connections", Schema::Integer(1, MOST_CONNECTIONS), "open at the same time (10000)"),
        Key::may(
            "connections_per_address",
            Schema::Integer(1, MOST_CONNECTIONS),
            "open at the same time from one address (1000)",
        ),
        Key::may("headers", Schema::SIZE, "all headers of a request together (32KiB)"),
        Key::may(
            "header_count",
            Schema::Integer(1, MOST_HEADERS),
            "how many headers a request may have (100)",
        ),
        Key::may("body", Schema::SIZE, "the largest body of any flow; a flow may set a smaller one (10MiB)"),
        Key::may("header_timeout", Schema::DURATION, "how long a head may take (10s)"),
        Key::may("body_timeout", Schema::DURATION, "how long a body may take (30s)"),
        Key::may("body_rate", Schema::SIZE, "how much of a body has to come in a second, all in all (1KiB)"),
        Key::may("body_grace", Schema::DURATION, "how long it may be slower than `body_rate` (5s)"),
        Key::may(
            "memory",
            Schema::SIZE,
            "the events in all queues, and as much of the bodies that are being read (256MiB)",
        ),
        Key::may(
            "quick_refusals",
            Schema::Integer(0, MOST_QUICK),
            "how many callers a second who find a queue full, or no connection left, hear so at once (100)",
        ),
        Key::may(
            "refusal_delay",
            Schema::DURATION,
            "how long the others are kept before the answer, up to 10s (500ms)",
        ),
    ]),
    rules: &[],
};

/// The most that `connections` may be.
const MOST_CONNECTIONS: u64 = 1_000_000;
/// The most that `header_count` may be.
const MOST_HEADERS: u64 = 1_000;
/// The most that `quick_refusals` may be.
const MOST_QUICK: u64 = 1_000_000;
/// The most that `refusal_delay` may be.
const LONGEST_DELAY: Duration = Duration::from_secs(10);

pub(crate) static SECTION: Section = Section {
    key: "public",
    map: &MAP,
    defaults: "\
public:
  listen: 127.0.0.1:8080           # port 0: the system picks one; serve prints the address it got
  base_url: null                   # https://hooks.example.com; default: http:// and the address it listens on
  tls: null                        # {cert: tls/cert.pem, key: tls/key.pem, client_ca: tls/ca.pem}; default: plain HTTP
  trusted_proxies: []              # ranges of proxies whose X-Forwarded-For or Forwarded is believed
  limits:
    connections: 10000
    connections_per_address: 1000
    headers: 32KiB
    header_count: 100
    body: 10MiB                    # of any flow; a flow may set a smaller one
    header_timeout: 10s
    body_timeout: 30s
    body_rate: 1KiB                # a second, which a body has to come at, all in all …
    body_grace: 5s                 # … and how long it may be slower
    memory: 256MiB                 # of the events in all queues, and as much of the bodies that are being read
    quick_refusals: 100            # callers a second who find a queue full, or no connection left, and hear so at once …
    refusal_delay: 500ms           # … and how long the others wait for it
",
    settings: &[
        Setting::plain("public.limits.body_grace", |it| format!("{:?}", it.public.limits.body_grace)),
        Setting::plain("public.limits.body_rate", |it| format!("{:?}", it.public.limits.body_rate)),
        Setting::plain("public.limits.body_timeout", |it| format!("{:?}", it.public.limits.body_timeout)),
        Setting::plain("public.limits.connections", |it| it.public.limits.connections.to_string()),
        Setting::plain("public.limits.connections_per_address", |it| {
            it.public.limits.connections_per_address.to_string()
        }),
        Setting::plain("public.limits.header_count", |it| it.public.limits.header_count.to_string()),
        Setting::plain("public.limits.header_timeout", |it| format!("{:?}", it.public.limits.header_timeout)),
        Setting::plain("public.limits.headers", |it| format!("{}B", it.public.limits.headers)),
        Setting::plain("public.limits.memory", |it| format!("{}B", it.public.limits.memory)),
        Setting::plain("public.limits.quick_refusals", |it| it.public.limits.quick_refusals.to_string()),
        Setting::plain("public.limits.refusal_delay", |it| format!("{:?}", it.public.limits.refusal_delay)),
        Setting::plain("public.listen", |it| it.public.listen.to_string()),
        Setting::plain("public.tls", |it| it.public.tls.as_ref().map_or("null".into(), Tls::text)),
        Setting::plain("public.trusted_proxies", |it| format!("{:?}", it.public.trusted_proxies)),
    ],
    read,
};

/// The listener that the outside world calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Public {
    pub(crate) listen: SocketAddr,
    /// The only source of our own URLs. Without a slash at its end.
    pub(crate) base_url: Option<String>,
    /// Without it plain HTTP is spoken.
    pub(crate) tls: Option<Tls>,
    /// Whose word about a caller's address is taken.
    pub(crate) trusted_proxies: Vec<IpNet>,
    pub(crate) limits: Limits,
}

/// The files of the public listener's certificate, relative to the folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tls {
    cert: String,
    key: String,
    pub(crate) client_ca: Option<String>,
    pub(crate) span: Span,
}

/// The bounds of the public listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) connections: usize,
    pub(crate) connections_per_address: usize,
    pub(crate) headers: usize,
    pub(crate) header_count: usize,
    pub(crate) body: u64,
    pub(crate) header_timeout: Duration,
    pub(crate) body_timeout: Duration,
    pub(crate) body_rate: u64,
    pub(crate) body_grace: Duration,
    pub(crate) memory: u64,
    pub(crate) quick_refusals: u64,
    pub(crate) refusal_delay: Duration,
}

impl Default for Public {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            base_url: None,
            tls: None,
            trusted_proxies: Vec::new(),
            limits: Limits {
                connections: 10_000,
                connections_per_address: 1_000,
                headers: 32 << 10,
                header_count: 100,
                body: 10 << 20,
                header_timeout: Duration::from_secs(10),
                body_timeout: Duration::from_secs(30),
                body_rate: 1 << 10,
                body_grace: Duration::from_secs(5),
                memory: 256 << 20,
                quick_refusals: 100,
                refusal_delay: Duration::from_millis(500),
            },
        }
    }
}

impl Public {
    /// The root of our own URLs when the listener has this address.
    pub(crate) fn root(&self, addr: SocketAddr) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        self.base_url.clone().unwrap_or_else(|| format!("{scheme}://{addr}"))
    }
}

impl Tls {
    fn read(node: &Node, diagnostics: &mut Diagnostics) -> Option<Self> {
        let mut fields = Fields::of(node, "the public `tls`", diagnostics)?;
        let mut path =
            |node: Option<&Node>| node.and_then(|node| node.as_str(diagnostics).map(str::to_owned));
        let client_ca = path(fields.take("client_ca").filter(|node| !node.is_null()));
        let cert = fields.require("cert", diagnostics).and_then(|node| node.as_str(diagnostics));
        let key = fields.require("key", diagnostics).and_then(|node| node.as_str(diagnostics));
        let (cert, key) = (cert.map(str::to_owned), key.map(str::to_owned));
        fields.finish(diagnostics);
        Some(Self { cert: cert?, key: key?, client_ca, span: node.span.clone() })
    }

    /// As it may be written.
    fn text(&self) -> String {
        let Self { cert, key, client_ca, .. } = self;
        let client_ca = client_ca.as_ref().map(|path| format!(", client_ca: {path}")).unwrap_or_default();
        format!("{{cert: {cert}, key: {key}{client_ca}}}")
    }

    /// Where the files are.
    pub(crate) fn files(&self, folder: &Path) -> TlsFiles {
        TlsFiles {
            cert: folder.join(&self.cert),
            key: folder.join(&self.key),
            client_ca: self.client_ca.as_ref().map(|path| folder.join(path)),
        }
    }
}

fn read(node: &Node, config: &mut Config, _: &dyn SecretSource, diagnostics: &mut Diagnostics) {
    let Some(mut fields) = Fields::of(node, "the section `public`", diagnostics) else { return };
    if let Some(address) = fields.take("listen").and_then(|node| address(node, diagnostics)) {
        config.public.listen = address;
    }
    if let Some(node) = fields.take("base_url").filter(|node| !node.is_null()) {
        config.public.base_url = base_url(node, diagnostics);
    }
    if let Some(items) = fields.take("trusted_proxies").and_then(|node| node.as_list(diagnostics)) {
        config.public.trusted_proxies = items.iter().filter_map(|item| range(item, diagnostics)).collect();
    }
    if let Some(node) = fields.take("tls").filter(|node| !node.is_null()) {
        config.public.tls = Tls::read(node, diagnostics);
    }
    if let Some(node) = fields.take("limits") {
        read_limits(node, &mut config.public.limits, diagnostics);
    }
    fields.finish(diagnostics);
}

fn read_limits(node: &Node, limits: &mut Limits, diagnostics: &mut Diagnostics) {
    let Some(mut fields) = Fields::of(node, "the public limits", diagnostics) else { return };
    let counts = [
        ("connections", MOST_CONNECTIONS, &mut limits.connections),
        ("connections_per_address", MOST_CONNECTIONS, &mut limits.connections_per_address),
        ("header_count", MOST_HEADERS, &mut limits.header_count),
    ];
    for (key, most, limit) in counts {
        if let Some(count) = fields.take(key).and_then(|node| node.as_integer(1, most, diagnostics)) {
            *limit = usize::try_from(count).unwrap_or(usize::MAX);
        }
    }
    let quick = fields.take("quick_refusals");
    if let Some(count) = quick.and_then(|node| node.as_integer(0, MOST_QUICK, diagnostics)) {
        limits.quick_refusals = count;
    }
    // The reader of heads needs room for one buffer, and one connection may not take all memory.
    if let Some(bytes) = size(fields.take("headers"), 8 << 10, 1 << 20, diagnostics) {
        limits.headers = usize::try_from(bytes).unwrap_or(usize::MAX);
    }
    let sizes =
        [("body", &mut limits.body), ("body_rate", &mut limits.body_rate), ("memory", &mut limits.memory)];
    for (key, limit) in sizes {
        if let Some(bytes) = size(fields.take(key), 1, 1 << 40, diagnostics) {
            *limit = bytes;
        }
    }
    let times = [
        ("header_timeout", &mut limits.header_timeout),
        ("body_timeout", &mut limits.body_timeout),
        ("body_grace", &mut limits.body_grace),
    ];
    for (key, limit) in times {
        let Some(node) = fields.take(key) else { continue };
        match node.as_duration(diagnostics) {
            Some(time) if !time.is_zero() => *limit = time,
            Some(_) => drop(node.mistyped::<()>("a time longer than none", diagnostics)),
            None => {}
        }
    }
    if let Some(node) = fields.take("refusal_delay") {
        match node.as_duration(diagnostics) {
            Some(time) if time <= LONGEST_DELAY => limits.refusal_delay = time,
            Some(_) => drop(node.mistyped::<()>("a time of 10 seconds at most", diagnostics)),
            None => {}
        }
    }
    fields.finish(diagnostics);
}

fn size(node: Option<&Node>, least: u64, most: u64, diagnostics: &mut Diagnostics) -> Option<u64> {
    let node = node?;
    let bytes = node.as_size(diagnostics)?;
    if (least..=most).contains(&bytes) {
        return Some(bytes);
    }
    node.mistyped(&format!("a size from {least} to {most} bytes"), diagnostics)
}

fn base_url(node: &Node, diagnostics: &mut Diagnostics) -> Option<String> {
    let text = node.as_str(diagnostics)?;
    let sound = Url::parse(text).is_ok_and(|url| {
        ["http://", "https://"].iter().any(|root| text.starts_with(root))
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none()
    });
    if sound {
        return Some(text.trim_end_matches('/').to_owned());
    }
    diagnostics
        .error(Code("config.base-url"), &node.span, format!("`{text}` cannot be the root of public URLs"))
        .help("write it as the outside world types it: `https://hooks.example.com`");
    None
}
