//! A flow's `webhook:`: how the outside world starts it.

use super::dedupe::DEDUPE;
use super::expects::EXPECTS;
use super::sample::SAMPLE;
use super::{Ack, Dedupe, Expects, Foreseen, Sample, SampleRefused, Surroundings};
use crate::written::{AUTH, FIXED_REPLY, METHODS, RANGES};
use hookflow_text::{Code, Diagnostics, Fields, Key, MapSchema, Node, Rate, Schema};
use hookflow_trigger::{AllowFrom, Auth, BodySpec, Event, Methods, PathPattern, Route, XML_SHAPE, decoders};
use jiff::Timestamp;
use sha2::Sha256;
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

/// How long a caller waits for `respond` unless the flow says otherwise.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(20);
/// The longest a caller may be made to wait: beyond it every proxy has given up.
const LONGEST_TIMEOUT: Duration = Duration::from_mins(15);

pub(super) static WEBHOOK: MapSchema = MapSchema {
    name: "webhook",
    about: "How the outside world starts a flow.",
    keys: Cow::Borrowed(&[
        Key::may("system", Schema::Text, "the platform that sends: a label in logs and metrics"),
        Key::may(
            "path",
            Schema::Like("^/"),
            "what follows the flow's ID in the URL; `/orders/{id}` gives `webhook.params.id` (any)",
        ),
        Key::may("methods", METHODS, "the methods that run it ([POST])"),
        Key::may(
            "allow_from",
            RANGES,
            "addresses and ranges that may call; for all others it is not there (anyone)",
        ),
        Key::must("auth", AUTH, "who may call: a credential's name, a list of them (any passes), or `none`"),
        Key::may("body", Schema::Listed(body_formats), "how the body becomes a value (auto)"),
        Key::may("xml", Schema::Map(&XML_SHAPE), "how XML becomes a value"),
        Key::may(
            "body_limit",
            Schema::SIZE,
            "the largest body, also once it is decoded; never above `public.limits.body`, which it is without this",
        ),
        Key::may("expects", Schema::Map(&EXPECTS), "the data that it expects"),
        Key::may(
            "rate_limit",
            Schema::RATE,
            "how many events are taken from all callers together (no limit)",
        ),
        Key::may(
            "rate_limit_per_address",
            Schema::RATE,
            "how many events are taken from one address (no limit)",
        ),
        Key::may("ack", Schema::Map(&FIXED_REPLY), "the answer of a flow without `respond` (202)"),
        Key::may("timeout", Schema::DURATION, "how long the caller waits for `respond`, 15m at most (20s)"),
        Key::may(
            "on_timeout",
            Schema::AnyOf(&[Schema::Integer(504, 504), Schema::Integer(202, 202)]),
            "what the caller hears after that: 504, or 202 with the run's ID (504)",
        ),
        Key::may("sample", Schema::Map(&SAMPLE), "a request to try the flow on"),
        Key::may("dedupe", Schema::Map(&DEDUPE), "by what an event is known again"),
    ]),
    rules: &[],
};

/// `auto`, and every format of the table.
fn body_formats() -> Vec<(String, String)> {
    let auto = ("auto".to_owned(), "the media type decides".to_owned());
    let formats = decoders().iter().map(|decoder| (decoder.name.to_owned(), decoder.summary.to_owned()));
    [auto].into_iter().chain(formats).collect()
}

/// How the outside world starts a flow.
#[derive(Debug)]
pub struct Webhook {
    /// The platform that sends: a label in logs and metrics.
    pub system: Option<Arc<str>>,
    /// What may follow the flow's ID in the URL.
    pub path: PathPattern,
    /// The methods that run it.
    pub methods: Methods,
    /// From where anybody may call; from elsewhere the flow is not there.
    pub allow_from: AllowFrom,
    /// Who may call.
    pub auth: Auth,
    /// How the body becomes a value, and how large it may be.
    pub body: BodySpec,
    /// The data that it expects.
    pub expects: Option<Expects>,
    /// By what an event is known again.
    pub dedupe: Option<Dedupe>,
    /// How many events are taken from all callers together.
    pub rate_limit: Option<Rate>,
    /// How many events are taken from one address.
    pub rate_limit_per_address: Option<Rate>,
    /// A request to try the flow on.
    pub sample: Option<Sample>,
    /// The answer of a flow without `respond`.
    pub ack: Option<Ack>,
    /// How long the caller waits for `respond`.
    pub timeout: Duration,
    /// What the caller hears after that.
    pub on_timeout: OnTimeout,
}

/// What a caller hears when `respond` did not come in time; the run goes on in both cases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnTimeout {
    /// 504.
    #[default]
    Fail,
    /// 202 with the run's ID.
    Accept,
}

impl Webhook {
    /// With what it makes known of its events.
    pub(super) fn load(
        node: &Node,
        surroundings: &Surroundings<'_>,
        hash: &mut Sha256,
        diagnostics: &mut Diagnostics,
    ) -> Option<(Self, Foreseen)> {
        let mut fields = Fields::of(node, "a webhook", diagnostics)?;
        let system = fields.take("system").and_then(|node| node.as_str(diagnostics)).map(Into::into);
        let path = match fields.take("path") {
            Some(node) => PathPattern::load(node, diagnostics),
            None => Some(PathPattern::default()),
        };
        let methods = match fields.take("methods") {
            Some(node) => Methods::load(node, diagnostics),
            None => Some(Methods::default()),
        };
        let allow_from = match fields.take("allow_from") {
            Some(node) => AllowFrom::load(node, diagnostics),
            None => Some(AllowFrom::default()),
        };
        let auth = read_auth(node, fields.take("auth"), surroundings, diagnostics);
        let format = fields.take("body");
        let xml = fields.take("xml");
        let limit = fields.take_entry("body_limit").map(|(_, node)| node);
        let body = BodySpec::load(format, xml, limit, surroundings.body_limit, diagnostics);
        let expects = fields.take("expects").and_then(|node| Expects::load(node, auth.as_ref(), diagnostics));
        let mut rate = |key| fields.take(key).and_then(|node| node.as_rate(diagnostics));
        let (rate_limit, rate_limit_per_address) = (rate("rate_limit"), rate("rate_limit_per_address"));
        let ack = fields.take("ack").and_then(|node| Ack::load(node, diagnostics));
        let timeout = fields.take("timeout").and_then(|node| read_timeout(node, diagnostics));
        let on_timeout = fields.take("on_timeout").and_then(|node| match node.plain() {
            Some("504") => Some(OnTimeout::Fail),
            Some("202") => Some(OnTimeout::Accept),
            _ => node.mistyped("`504` or `202`", diagnostics),
        });
        let sample =
            fields.take("sample").and_then(|node| Sample::load(node, surroundings, hash, diagnostics));
        let foreseen = Foreseen::of(expects.as_ref(), sample.as_ref(), body.as_ref());
        let dedupe = fields.take("dedupe");
        let dedupe = dedupe.and_then(|node| Dedupe::load(node, auth.as_ref(), &foreseen, diagnostics));
        fields.finish(diagnostics);
        let webhook = Self {
            system,
            path: path?,
            methods: methods?,
            allow_from: allow_from?,
            auth: auth?,
            body: body?,
            expects,
            dedupe,
            rate_limit,
            rate_limit_per_address,
            sample,
            ack,
            timeout: timeout.unwrap_or(DEFAULT_TIMEOUT),
            on_timeout: on_timeout.unwrap_or_default(),
        };
        Some((webhook, foreseen))
    }

    /// The event of the sample, or of an empty request without one.
    pub(super) fn sample_event(
        &self,
        flow: &Arc<str>,
        id: Arc<str>,
        at: Timestamp,
        base_url: &str,
    ) -> Result<Event, SampleRefused> {
        let sample = self.sample.as_ref();
        let suffix = sample.map(|sample| sample.suffix.clone()).unwrap_or_default();
        let params = self.path.matches(&suffix).ok_or_else(|| SampleRefused::Path(suffix.clone()))?;
        let route = Route { flow: Arc::clone(flow), suffix, params, system: self.system.clone() };
        let request = sample.map(|sample| sample.request.clone()).unwrap_or_default();
        Event::of_sample(request, &self.body, route, id, at, base_url.into()).map_err(SampleRefused::Body)
    }
}

fn read_auth(
    webhook: &Node,
    node: Option<&Node>,
    surroundings: &Surroundings<'_>,
    diagnostics: &mut Diagnostics,
) -> Option<Auth> {
    if node.is_none() {
        diagnostics
            .error(Code("auth.not-written"), &webhook.key_span(), "a webhook says who may call it")
            .label("`auth` is missing here")
            .help("write `auth: NAME` with a credential's name, or `auth: none` to let everybody in");
    }
    Auth::load(node?, surroundings.credentials, diagnostics)
}

fn read_timeout(node: &Node, diagnostics: &mut Diagnostics) -> Option<Duration> {
    let timeout = node.as_duration(diagnostics)?;
    if timeout.is_zero() || timeout > LONGEST_TIMEOUT {
        diagnostics.error(
            Code("webhook.timeout"),
            &node.span,
            "a caller waits for up to 15 minutes, and not for no time",
        );
        return None;
    }
    Some(timeout)
}
