//! The body of a call.

use super::super::respond::text_escape;
use super::multipart::MultipartTemplate;
use crate::reading::{Reading, is_one_template};
use crate::sent_file::{FileTemplate, UNKNOWN_TYPE};
use crate::step_kind::Stop;
use crate::{CallBody, Fault, FaultKind, Piece};
use hookflow_expr::{Env, Escape, Template, Text, XmlShape, write_xml};
use hookflow_text::{Code, Json, Node, NodeValue};
use hookflow_trigger::from_base64;
use http::{HeaderName, HeaderValue, header};
use url::form_urlencoded::Serializer;

/// How many kinds of bodies there are.
pub(super) const KINDS: usize = 7;

/// The keys of the bodies, of which a call has one; that of a text body differs.
pub(super) fn keys(text: &'static str) -> [&'static str; KINDS] {
    ["json", text, "form", "xml", "bytes", "file", "multipart"]
}

#[derive(Debug)]
pub(super) enum Body {
    None,
    Json(Template),
    Text { text: Text, content_type: &'static str },
    Form(Vec<(String, Field)>),
    Xml(Template),
    Bytes(Text),
    File(FileTemplate),
    Multipart(MultipartTemplate),
}

/// A body, made for one call.
pub(super) struct Written {
    /// The content type, unless the call says another.
    pub own_type: Option<HeaderValue>,
    /// The same, unless the integration names one.
    pub usual_type: Option<&'static str>,
    pub body: CallBody,
}

/// What a field of a form holds.
#[derive(Debug)]
pub(super) enum Field {
    Text(Text),
    /// One template and nothing else: it may give a list or a map.
    Value(Template),
    List(Vec<Field>),
    Map(Vec<(String, Field)>),
}

impl Body {
    /// Reads the body, of which there is one at the most, in the order of [`keys`].
    pub(super) fn read(
        cx: &mut Reading<'_>,
        [json, text, form, xml, bytes, file, multipart]: [Option<&Node>; KINDS],
        headers: &[(HeaderName, Text)],
        inherited: Option<&str>,
    ) -> Option<Self> {
        Some(if let Some(node) = json {
            Self::Json(cx.template(node)?)
        } else if let Some(node) = text {
            let content_type = headers.iter().find(|(name, _)| name == header::CONTENT_TYPE);
            let written = content_type.map(|(_, text)| text.constant().unwrap_or("")).or(inherited);
            let (escape, content_type) = text_escape(node.text(), written);
            Self::Text { text: cx.text(node, escape)?, content_type }
        } else if let Some(node) = form {
            let entries = node.as_map(cx.diagnostics)?;
            Self::Form(read_fields(cx, entries)?)
        } else if let Some(node) = xml {
            Self::Xml(cx.template(node)?)
        } else if let Some(node) = bytes {
            Self::Bytes(cx.text(node, Escape::None)?)
        } else if let Some(node) = file {
            Self::File(FileTemplate::read(cx, node)?)
        } else if let Some(node) = multipart {
            if headers.iter().any(|(name, _)| name == header::CONTENT_TYPE) {
                let message =
                    "the content type of a `multipart` body names its boundary, so it is not written";
                cx.diagnostics
                    .error(Code("http.multipart"), &node.span, message)
                    .help("remove `Content-Type` from `headers`");
                return None;
            }
            Self::Multipart(MultipartTemplate::read(cx, node)?)
        } else {
            Self::None
        })
    }

    /// The body, and its type unless the call says another.
    pub(super) fn eval(&self, env: &Env) -> Result<Written, Stop> {
        let usual = |usual_type, body| Written { own_type: None, usual_type: Some(usual_type), body };
        Ok(match self {
            Self::None => Written { own_type: None, usual_type: None, body: CallBody::from("") },
            Self::Json(template) => {
                let value = template.eval(env)?;
                usual("application/json", serde_json::to_vec(&*value).unwrap_or_default().into())
            }
            Self::Text { text, content_type } => usual(content_type, text.eval(env)?.into()),
            Self::Form(fields) => {
                let mut form = Serializer::new(String::new());
                for (name, field) in fields {
                    field.write(name, env, &mut form)?;
                }
                usual("application/x-www-form-urlencoded", form.finish().into())
            }
            Self::Xml(template) => {
                let written = write_xml(&*template.eval(env)?, &XmlShape::default());
                let xml = written.map_err(|why| fault(Code("http.xml"), why.to_string()))?;
                usual("application/xml; charset=utf-8", xml.into())
            }
            Self::Bytes(text) => {
                let bytes = from_base64(text.eval(env)?.trim());
                let bytes = bytes.ok_or_else(|| fault(Code("http.bytes"), "`bytes` is not base64"))?;
                usual(UNKNOWN_TYPE, bytes.into())
            }
            Self::File(file) => {
                let file = file.one(env)?;
                let body = match file.content {
                    Piece::Bytes(bytes) => CallBody::Bytes(bytes),
                    Piece::File(file) => CallBody::File(file),
                };
                let own_type = file.media_type.and_then(|own| HeaderValue::try_from(own).ok());
                Written { own_type, ..usual(UNKNOWN_TYPE, body) }
            }
            Self::Multipart(template) => {
                let multipart = template.eval(env)?;
                let own_type = format!("multipart/form-data; boundary={}", multipart.boundary);
                let own_type = HeaderValue::try_from(own_type).ok();
                Written { own_type, usual_type: None, body: CallBody::Multipart(multipart) }
            }
        })
    }
}

fn fault(code: Code, message: impl Into<String>) -> Stop {
    Fault::new(FaultKind::Expression, code, message).into()
}

fn read_fields(cx: &mut Reading<'_>, entries: &[(Node, Node)]) -> Option<Vec<(String, Field)>> {
    entries.iter().map(|(name, value)| Some((name.text().to_owned(), Field::read(cx, value)?))).collect()
}

impl Field {
    fn read(cx: &mut Reading<'_>, node: &Node) -> Option<Self> {
        Some(match &node.value {
            NodeValue::Map(entries) => Self::Map(read_fields(cx, entries)?),
            NodeValue::Seq(items) => {
                Self::List(items.iter().map(|item| Self::read(cx, item)).collect::<Option<_>>()?)
            }
            NodeValue::Scalar(scalar) if is_one_template(&scalar.text) => Self::Value(cx.template(node)?),
            NodeValue::Scalar(_) => Self::Text(cx.text(node, Escape::None)?),
        })
    }

    fn write(&self, name: &str, env: &Env, form: &mut Serializer<'_, String>) -> Result<(), Stop> {
        match self {
            Self::Text(text) => drop(form.append_pair(name, &text.eval(env)?)),
            Self::Value(template) => write_value(&*template.eval(env)?, name, form),
            Self::List(items) => {
                for (at, item) in items.iter().enumerate() {
                    let nests = matches!(item, Self::List(_) | Self::Map(_));
                    item.write(&item_name(name, at, nests), env, form)?;
                }
            }
            Self::Map(fields) => {
                for (key, field) in fields {
                    field.write(&format!("{name}[{key}]"), env, form)?;
                }
            }
        }
        Ok(())
    }
}

/// `a[]`; with its number when it is no single text, for then its parts have to be told from those of the next.
fn item_name(name: &str, at: usize, nests: bool) -> String {
    if nests { format!("{name}[{at}]") } else { format!("{name}[]") }
}

fn write_value(value: &Json, name: &str, form: &mut Serializer<'_, String>) {
    match value {
        Json::Null => drop(form.append_pair(name, "")),
        Json::String(text) => drop(form.append_pair(name, text)),
        Json::Bool(_) | Json::Number(_) => drop(form.append_pair(name, &value.to_string())),
        Json::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                write_value(item, &item_name(name, at, item.is_array() || item.is_object()), form);
            }
        }
        Json::Object(map) => {
            for (key, value) in map {
                write_value(value, &format!("{name}[{key}]"), form);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::proof::{answer, flow, prove};
    use crate::{Answer, HttpCall};
    use hookflow_text::Json;
    use http::{HeaderMap, HeaderValue, StatusCode, header};
    use serde_json::json;

    const BODY: &str = "{id: 'A&1 ü', tags: [x, y], lines: [{sku: a, qty: 2}], big: 123456789012345678901234567890, none: null}";

    /// The one call of a flow, or the code of what failed.
    fn sent(body: &str) -> Result<HttpCall, String> {
        let text = format!(
            "flow: a\nwebhook: {{auth: none, sample: {{body: {BODY}}}}}\nsteps:\n  - http: {{url: 'https://x.example/', {body}}}\n  - respond: {{}}\n"
        );
        let mut call = None;
        let rehearsal = prove(&flow(&text), &mut |_, sent| {
            call = Some(sent.clone());
            answer(sent, 200, "{}")
        });
        match (call, rehearsal.answer) {
            (Some(call), _) => Ok(call),
            (None, Answer::Failed(fault)) => Err(fault.code),
            (None, other) => panic!("{other:?}"),
        }
    }

    fn form(body: &str) -> String {
        let call = sent(&format!("form: {body}")).unwrap();
        assert_eq!(call.headers[header::CONTENT_TYPE], "application/x-www-form-urlencoded");
        let body = call.body.shown();
        let pairs = url::form_urlencoded::parse(&body);
        pairs.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn forms_nest() {
        for (written, sent) in [
            ("{a: 00123, b: 1.10, c: 'x ${ webhook.body.id }'}", "a=00123 b=1.10 c=x A&1 ü"),
            ("{a: {b: {c: 1}}}", "a[b][c]=1"),
            ("{tags: '${ webhook.body.tags }'}", "tags[]=x tags[]=y"),
            ("{lines: '${ webhook.body.lines }'}", "lines[0][sku]=a lines[0][qty]=2"),
            (
                "{all: [1, {a: 2}, '${ webhook.body.big }']}",
                "all[]=1 all[1][a]=2 all[]=123456789012345678901234567890",
            ),
            ("{none: '${ webhook.body.none }', true: '${ 1 == 1 }'}", "none= true=true"),
            ("{}", ""),
        ] {
            assert_eq!(form(written), sent, "{written}");
        }
    }

    #[test]
    fn xml_is_written_as_it_is_read() {
        let call =
            sent("xml: {order: {'@id': '${ webhook.body.id }', line: '${ webhook.body.lines }'}}").unwrap();
        assert_eq!(call.headers[header::CONTENT_TYPE], "application/xml; charset=utf-8");
        assert_eq!(
            *call.body.shown(),
            *"<order id=\"A&amp;1 ü\"><line><sku>a</sku><qty>2</qty></line></order>".as_bytes()
        );
        assert_eq!(sent("xml: {a: 1, b: 2}").unwrap_err(), "http.xml");
        assert_eq!(sent("method: PUT, xml: {'a b': 1}").unwrap_err(), "http.xml");
    }

    #[test]
    fn bytes_are_sent_as_they_are() {
        let call = sent("bytes: AP8KgA==, headers: {Content-Type: image/png}").unwrap();
        assert_eq!(*call.body.shown(), [0, 255, 10, 128]);
        assert_eq!(call.headers[header::CONTENT_TYPE], "image/png");
        let call = sent("bytes: '${ webhook.body.id | base64 }'").unwrap();
        assert_eq!(*call.body.shown(), *"A&1 ü".as_bytes());
        assert_eq!(call.headers[header::CONTENT_TYPE], "application/octet-stream");
        assert_eq!(sent("bytes: 'no base64!'").unwrap_err(), "http.bytes");
    }

    #[test]
    fn answers_are_read_as_xml_or_kept_as_bytes() {
        let read = |response: &str, content_type: &'static str, body: &[u8]| {
            let call = sent(&format!("json: 1, response: {response}")).unwrap();
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
            match call.answered(StatusCode::OK, &headers, body) {
                crate::Outcome::Answered { body, .. } => Ok(body),
                crate::Outcome::Failed { message, .. } => Err(message),
                other => panic!("{other:?}"),
            }
        };
        let order: Json = json!({"order": {"@id": "A", "line": ["1", "2"]}});
        let xml = b"<order id=\"A\"><line>1</line><line>2</line></order>";
        assert_eq!(read("xml", "text/plain", xml), Ok(order));
        assert_eq!(read("xml", "text/xml; charset=iso-8859-1", b"<a>\xfc</a>"), Ok(json!({"a": "ü"})));
        assert!(read("xml", "text/xml", b"<a>").unwrap_err().contains("not XML"));
        assert!(read("xml", "text/xml", b"<!DOCTYPE a><a/>").is_err());
        assert_eq!(read("bytes", "image/png", &[0, 255, 10, 128]), Ok(json!("AP8KgA==")));
        assert_eq!(read("bytes", "text/plain", b""), Ok(Json::Null));
    }
}
