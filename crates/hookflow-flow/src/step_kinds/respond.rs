//! `respond`: answers the caller. The first one wins; the flow goes on behind it.

mod file;

use super::http::url::UrlTemplate;
use crate::flow::add_content_type;
use crate::lowering::{Lowering, StepNode};
use crate::plan::Instruction;
use crate::sent_file::{FILE, FileTemplate};
use crate::step_kind::{Asking, Example, StepKind, Stop, Tells};
use crate::{Effect, Fault, FaultKind, Piece, Place, Reply};
use bytes::Bytes;
use file::answered_file;
use hookflow_expr::{Env, Escape, Expression, Template, Text, XmlShape, write_xml};
use hookflow_text::{Code, Diagnostics, Fields, Json, Key, MapSchema, Node, Rule, Schema};
use http::{HeaderName, HeaderValue, StatusCode, header};
use std::borrow::Cow;
use std::sync::Arc;

/// What stands in its map.
static RESPOND: MapSchema = MapSchema {
    name: "answer",
    about: "What the caller is answered.",
    keys: Cow::Borrowed(&[
        Key::may(
            "status",
            Schema::AnyOf(&[Schema::Integer(200, 599), Schema::Like("")]),
            "200 to 599 (200), a number or an expression",
        ),
        Key::may(
            "override_status",
            Schema::Expression,
            "an expression: an integer wins over `status`, null keeps it, anything else fails the run",
        ),
        Key::may("headers", Schema::TEXTS, "a map of names to text"),
        Key::may("json", Schema::Any, "the body as a value"),
        Key::may("text", Schema::Text, "the body as text"),
        Key::may(
            "xml",
            Schema::Any,
            "the body as a value, written as XML: its one key is the root element, `@name` an attribute, `#text` text beside others, a list repeats its element",
        ),
        Key::may(
            "file",
            FILE,
            "the body as a file, of the webhook or of bytes, at most 10 MiB; it is to be saved (`Content-Disposition: attachment`) unless `headers` says otherwise",
        ),
        Key::may(
            "redirect",
            Schema::Text,
            "instead of a body, the URL where the caller finds the answer; `status` is then 302, 303, 307 or 308 (302)",
        ),
    ]),
    rules: &[Rule::AtMostOne(&BODIES)],
};

pub(super) static KIND: StepKind = StepKind {
    verb: "respond",
    summary: "Answers the caller, who waits for it. The first one wins; the flow goes on behind it.",
    result: "nothing",
    value: Schema::Map(&RESPOND),
    companions: &[],
    blocks: &[],
    asks: Asking::Nothing,
    example: Example {
        flow: r"
flow: intake
webhook:
  auth: none
  sample: {body: {id: A-1, stock: 0}}
steps:
  - respond:
      status: 201
      override_status: ${ 409 if webhook.body.stock == 0 else none }
      headers: {X-Order: '${ webhook.body.id }'}
      json: {id: '${ webhook.body.id }'}
",
        mocks: &[],
        answer: (409, r#"{"id":"A-1"}"#),
    },
    lower,
};

/// What a JSON body has room for at first: most are smaller.
const BODY: usize = 256;

/// Whether an answer with a status has a body (RFC 9110, 15.3.5 and 15.4.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyRule {
    /// 204 and 304.
    Forbidden,
    /// All others.
    Allowed,
}

impl BodyRule {
    pub(crate) fn of(status: StatusCode) -> Self {
        if matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
            Self::Forbidden
        } else {
            Self::Allowed
        }
    }
}

#[derive(Debug)]
struct Respond {
    status: Status,
    override_status: Option<Expression>,
    headers: Vec<(HeaderName, Text)>,
    body: Body,
}

#[derive(Debug)]
enum Status {
    Fixed(StatusCode),
    Computed(Box<Expression>),
}

#[derive(Debug)]
enum Body {
    None,
    Json(Template),
    Text { text: Text, content_type: &'static str, nosniff: bool },
    Xml(Template),
    File(FileTemplate),
    Redirect(UrlTemplate),
}

/// The statuses of an answer that sends its caller elsewhere: those that browsers and clients follow.
const REDIRECTS: [StatusCode; 4] = [
    StatusCode::FOUND,
    StatusCode::SEE_OTHER,
    StatusCode::TEMPORARY_REDIRECT,
    StatusCode::PERMANENT_REDIRECT,
];
/// What an answer has one of.
const BODIES: [&str; 5] = ["json", "text", "xml", "file", "redirect"];

fn lower(cx: &mut Lowering<'_>, step: &mut StepNode<'_>) -> Option<()> {
    let mut fields = Fields::of(step.value, "a `respond`", cx.diagnostics)?;
    let (status_key, written) = fields.take_entry("status").unzip();
    let written = written.map(|node| read_status(cx, node));
    let override_status = match fields.take("override_status") {
        None => Some(None),
        Some(node) => cx.expression(node).map(Some),
    };
    let headers = read_headers(cx, fields.take("headers"));
    let bodies = BODIES.map(|key| fields.take_entry(key));
    fields.finish(cx.diagnostics);
    let mut keys = bodies.iter().flatten().map(|(key, _)| *key);
    let key = keys.next();
    if let Some(second) = keys.next() {
        let message = "an answer has one of `json`, `text`, `xml`, `file` and `redirect`";
        cx.diagnostics.error(Code("respond.two-bodies"), &second.span, message);
        return None;
    }
    let body = read_body(cx, bodies.map(|entry| entry.map(|(_, node)| node)), headers.as_deref());
    let redirects = matches!(body, Some(Body::Redirect(_)));
    let usual = if redirects { StatusCode::FOUND } else { StatusCode::OK };
    let status = written.unwrap_or(Some(Status::Fixed(usual)))?;
    if let (Status::Fixed(status), Some(key)) = (&status, key)
        && !redirects
        && BodyRule::of(*status) == BodyRule::Forbidden
    {
        cx.diagnostics
            .error(
                Code("respond.body-not-allowed"),
                &key.span,
                format!("an answer with status {} has no body", status.as_u16()),
            )
            .help("remove the body, or answer 200");
        return None;
    }
    if let (Status::Fixed(status), Some(key)) = (&status, status_key)
        && redirects
        && !REDIRECTS.contains(status)
    {
        let message = format!("status {} sends no caller elsewhere", status.as_u16());
        cx.diagnostics
            .error(Code("respond.redirect"), &key.span, message)
            .help("a redirect has 302, 303, 307 or 308");
        return None;
    }
    let telling = Respond { status, override_status: override_status?, headers: headers?, body: body? };
    cx.emit(Instruction::Tell { step: step.number, telling: Arc::new(telling) });
    Some(())
}

/// The body, of which there is one at the most.
fn read_body(
    cx: &mut Lowering<'_>,
    [json, text, xml, file, redirect]: [Option<&Node>; BODIES.len()],
    headers: Option<&[(HeaderName, Text)]>,
) -> Option<Body> {
    if let Some(node) = json {
        return cx.template(node).map(Body::Json);
    }
    if let Some(node) = text {
        return read_text(cx, node, headers?);
    }
    if let Some(node) = xml {
        return cx.template(node).map(Body::Xml);
    }
    if let Some(node) = file {
        return FileTemplate::read(&mut cx.reading(), node).map(Body::File);
    }
    match redirect {
        Some(node) => UrlTemplate::compile(&mut cx.reading(), node).map(Body::Redirect),
        None => Some(Body::None),
    }
}

fn read_status(cx: &mut Lowering<'_>, node: &Node) -> Option<Status> {
    if node.text().contains("${") || node.plain().is_none_or(|text| text.parse::<u16>().is_err()) {
        return cx.expression(node).map(|status| Status::Computed(Box::new(status)));
    }
    let status = u16::try_from(node.as_integer(200, 599, cx.diagnostics)?).ok()?;
    StatusCode::from_u16(status).ok().map(Status::Fixed)
}

fn read_headers(cx: &mut Lowering<'_>, node: Option<&Node>) -> Option<Vec<(HeaderName, Text)>> {
    let Some(node) = node else { return Some(Vec::new()) };
    let mut headers = Vec::new();
    for (key, value) in node.as_map(cx.diagnostics)? {
        let name = header_name(key, Code("respond.header"), cx.diagnostics)?;
        if matches!(name, header::CONTENT_LENGTH | header::TRANSFER_ENCODING | header::CONNECTION) {
            cx.diagnostics.error(
                Code("respond.header"),
                &key.span,
                format!("`{name}` is set by the service itself"),
            );
            return None;
        }
        headers.push((name, cx.text(value, Escape::Header)?));
    }
    Some(headers)
}

/// Reads a header's name.
pub(crate) fn header_name(node: &Node, code: Code, diagnostics: &mut Diagnostics) -> Option<HeaderName> {
    let name = HeaderName::from_bytes(node.text().as_bytes()).ok();
    if name.is_none() {
        diagnostics.error(code, &node.span, format!("`{}` cannot be a header's name", node.text()));
    }
    name
}

/// How templates in a text body are escaped follows from its content type, written or implied.
fn read_text(cx: &mut Lowering<'_>, node: &Node, headers: &[(HeaderName, Text)]) -> Option<Body> {
    let written = headers.iter().find(|(name, _)| name == header::CONTENT_TYPE).map(|(_, text)| text);
    let (escape, content_type) = text_escape(node.text(), written.map(|text| text.constant().unwrap_or("")));
    let text = cx.text(node, escape)?;
    Some(Body::Text { text, content_type, nosniff: matches!(escape, Escape::None) })
}

/// The escaping for a text body with the content type that the flow wrote (`Some("")`: a template), and the content
/// type that is sent when it wrote none.
pub(crate) fn text_escape(text: &str, written: Option<&str>) -> (Escape, &'static str) {
    const PLAIN: &str = "text/plain; charset=utf-8";
    let Some(written) = written else {
        return if text.trim_start().starts_with(['{', '[']) {
            (Escape::Json, "application/json")
        } else {
            (Escape::None, PLAIN)
        };
    };
    let essence = written.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let escape = match essence.as_str() {
        "application/x-www-form-urlencoded" => Escape::Form,
        "text/html" | "text/xml" | "application/xml" => Escape::Markup,
        "application/json" => Escape::Json,
        other if other.ends_with("+json") => Escape::Json,
        other if other.ends_with("+xml") => Escape::Markup,
        _ => Escape::None,
    };
    (escape, PLAIN)
}

impl Tells for Respond {
    fn tell(&self, env: &Env, _: &Arc<str>, _: &Place) -> Result<Effect, Stop> {
        let status = self.status(env)?;
        let mut headers = Vec::with_capacity(self.headers.len() + 1);
        for (name, text) in &self.headers {
            let value = HeaderValue::try_from(text.eval(env)?).map_err(|_| {
                fault(
                    Code("respond.header-value"),
                    format!("the header `{name}` would hold a line end or a control character"),
                )
            })?;
            headers.push((name.clone(), value));
        }
        let mut whole_file = None;
        let body = match &self.body {
            Body::None => Bytes::new(),
            Body::Json(template) => {
                add_content_type(&mut headers, Some("application/json"));
                let mut body = Vec::with_capacity(BODY);
                template.write_json(env, &mut body)?;
                body.into()
            }
            Body::Text { text, content_type, nosniff } => {
                add_content_type(&mut headers, Some(content_type));
                if *nosniff {
                    headers.push((header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")));
                }
                text.eval(env)?.into()
            }
            Body::Xml(template) => {
                add_content_type(&mut headers, Some("application/xml; charset=utf-8"));
                let written = write_xml(&*template.eval(env)?, &XmlShape::default());
                written.map_err(|why| fault(Code("respond.xml"), why.to_string()))?.into()
            }
            Body::File(file) => match answered_file(file.one(env)?, &mut headers)? {
                Piece::Bytes(bytes) => bytes,
                Piece::File(file) => {
                    whole_file = Some(file);
                    Bytes::new()
                }
            },
            Body::Redirect(url) => {
                if !REDIRECTS.contains(&status) {
                    let message =
                        format!("a redirect has 302, 303, 307 or 308, and its status came out as {status}");
                    return Err(fault(Code("respond.status"), message));
                }
                let url = HeaderValue::try_from(url.eval(env)?.to_string())
                    .map_err(|_| fault(Code("respond.header-value"), "the URL cannot be sent".to_owned()))?;
                headers.retain(|(name, _)| name != header::LOCATION);
                headers.push((header::LOCATION, url));
                Bytes::new()
            }
        };
        if BodyRule::of(status) == BodyRule::Forbidden {
            return Ok(Effect::Reply(Reply { status, headers, body: Bytes::new() }, None));
        }
        Ok(Effect::Reply(Reply { status, headers, body }, whole_file))
    }

    fn answers(&self) -> bool {
        true
    }
}

impl Respond {
    fn status(&self, env: &Env) -> Result<StatusCode, Stop> {
        if let Some(expression) = &self.override_status {
            let value = expression.eval(env)?;
            if !value.is_null() {
                return integer_status(&value, "override_status");
            }
        }
        match &self.status {
            Status::Fixed(status) => Ok(*status),
            Status::Computed(expression) => integer_status(&*expression.eval(env)?, "status"),
        }
    }
}

fn integer_status(value: &Json, key: &str) -> Result<StatusCode, Stop> {
    value
        .as_u64()
        .filter(|status| (200..=599).contains(status))
        .and_then(|status| StatusCode::from_u16(u16::try_from(status).ok()?).ok())
        .ok_or_else(|| {
            fault(
                Code("respond.status"),
                format!("`{key}` gave {value}, which is not a status from 200 to 599"),
            )
        })
}

fn fault(code: Code, message: String) -> Stop {
    Fault::new(FaultKind::Expression, code, message).into()
}

#[cfg(test)]
mod tests {
    use crate::proof::{flow, prove};
    use crate::{Answer, Reply};
    use http::{HeaderName, StatusCode, header};

    fn answered(respond: &str) -> Result<Reply, String> {
        let text = format!(
            "flow: a\nwebhook: {{auth: none, sample: {{body: {{id: 'A/1 <&', status: 200}}}}}}\nsteps:\n  - respond: {respond}\n"
        );
        match prove(&flow(&text), &mut |ask, _| panic!("{ask:?}")).answer {
            Answer::Reply(reply) => Ok(reply),
            Answer::Failed(fault) => Err(fault.code),
            other => panic!("{other:?}"),
        }
    }

    fn header(reply: &Reply, name: &HeaderName) -> Option<String> {
        let mut values = reply.headers.iter().filter(|(other, _)| other == name);
        let value = values.next().map(|(_, value)| value.to_str().unwrap().to_owned());
        assert!(values.next().is_none(), "{name} stands twice");
        value
    }

    #[test]
    fn xml_is_written_from_a_value() {
        let reply = answered("{xml: {order: {'@id': '${ webhook.body.id }', line: [1, 2]}}}").unwrap();
        assert_eq!(reply.status, StatusCode::OK);
        assert_eq!(reply.body, r#"<order id="A/1 &lt;&amp;"><line>1</line><line>2</line></order>"#);
        assert_eq!(header(&reply, &header::CONTENT_TYPE).unwrap(), "application/xml; charset=utf-8");
        let own = answered("{headers: {Content-Type: text/xml}, xml: {ok: true}}").unwrap();
        assert_eq!(header(&own, &header::CONTENT_TYPE).unwrap(), "text/xml");
        assert_eq!(answered("{xml: {a: 1, b: 2}}"), Err("respond.xml".to_owned()));
    }

    #[test]
    fn a_redirect_names_where_the_answer_is() {
        let reply = answered("{redirect: 'https://shop.example/orders/${ webhook.body.id }'}").unwrap();
        assert_eq!((reply.status, reply.body.len()), (StatusCode::FOUND, 0));
        assert_eq!(header(&reply, &header::LOCATION).unwrap(), "https://shop.example/orders/A%2F1%20%3C%26");
        assert_eq!(header(&reply, &header::CONTENT_TYPE), None);
        for status in [303_u16, 307, 308] {
            let text = format!("{{status: {status}, redirect: 'https://shop.example/'}}");
            assert_eq!(answered(&text).unwrap().status.as_u16(), status);
        }
        let computed = "{status: '${ webhook.body.status }', redirect: 'https://shop.example/'}";
        assert_eq!(answered(computed), Err("respond.status".to_owned()));
    }
}
