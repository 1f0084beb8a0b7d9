//! `multipart`: fields and files, as a form of a browser sends them.

use crate::flow::hex;
use crate::reading::{Reading, is_one_template};
use crate::sent_file::{FILE, FileTemplate, UNKNOWN_TYPE};
use crate::step_kind::Stop;
use crate::{Fault, FaultKind, Multipart, Part, Piece};
use hookflow_expr::{Env, Escape, Template, Text};
use hookflow_text::{Code, Fields, Json, Key, MapSchema, Node, NodeValue, Rule, Schema};
use sha2::{Digest as _, Sha256};
use std::borrow::Cow;

/// How many parts a body may have: as many as are taken at the door.
const MAX_PARTS: usize = 1_000;

/// What may stand in it.
pub(crate) const FIELDS: Schema = Schema::MapOf(&FIELD);

static FIELD: Schema =
    Schema::AnyOf(&[Schema::Text, Schema::List(&Schema::Shared("form-parts", &FIELD)), Schema::Map(&PART)]);

static PART: MapSchema = MapSchema {
    name: "form-part",
    about: "A part of a form that is more than text.",
    keys: Cow::Borrowed(&[
        Key::may("file", FILE, "a file, or a list of them, a part for each; null: none"),
        Key::may("json", Schema::Any, "a value, sent as JSON"),
    ]),
    rules: &[Rule::One(&["file", "json"])],
};

/// The fields, by name.
#[derive(Debug)]
pub(super) struct MultipartTemplate(Vec<(String, Field)>);

#[derive(Debug)]
enum Field {
    Text(Text),
    /// One template and nothing else: it may give a list.
    Value(Template),
    List(Vec<Field>),
    File(FileTemplate),
    Json(Template),
}

impl MultipartTemplate {
    pub(super) fn read(cx: &mut Reading<'_>, node: &Node) -> Option<Self> {
        let entries = node.as_map(cx.diagnostics)?;
        let fields =
            entries.iter().map(|(name, value)| Some((name.text().to_owned(), Field::read(cx, value)?)));
        // All of them are read, so that all mistakes are told.
        let fields: Vec<_> = fields.collect();
        fields.into_iter().collect::<Option<_>>().map(Self)
    }

    pub(super) fn eval(&self, env: &Env) -> Result<Multipart, Stop> {
        let mut parts = Vec::new();
        for (name, field) in &self.0 {
            field.add(name, env, &mut parts)?;
        }
        // Of the run's own chance: the same for every try, and known to nobody who sends a file.
        let mut digest = Sha256::new_with_prefix(b"multipart boundary");
        digest.update(env.chance);
        let boundary = hex(digest.finalize().get(..16).unwrap_or_default());
        Ok(Multipart { boundary, parts })
    }
}

impl Field {
    fn read(cx: &mut Reading<'_>, node: &Node) -> Option<Self> {
        Some(match &node.value {
            NodeValue::Map(_) => {
                let mut fields = Fields::of(node, "a part", cx.diagnostics)?;
                let field = match (fields.take("file"), fields.take("json")) {
                    (Some(file), None) => FileTemplate::read(cx, file).map(Self::File),
                    (None, Some(json)) => cx.template(json).map(Self::Json),
                    _ => {
                        let message = "a part is text, `{file: …}` or `{json: …}`";
                        cx.diagnostics.error(Code("http.multipart"), &node.span, message);
                        return None;
                    }
                };
                fields.finish(cx.diagnostics);
                field?
            }
            NodeValue::Seq(items) => {
                Self::List(items.iter().map(|item| Self::read(cx, item)).collect::<Option<_>>()?)
            }
            NodeValue::Scalar(scalar) if is_one_template(&scalar.text) => Self::Value(cx.template(node)?),
            NodeValue::Scalar(_) => Self::Text(cx.text(node, Escape::None)?),
        })
    }

    fn add(&self, name: &str, env: &Env, parts: &mut Vec<Part>) -> Result<(), Stop> {
        match self {
            Self::Text(text) => push(parts, part(name, None, text.eval(env)?)),
            Self::Value(template) => add_value(&*template.eval(env)?, name, parts),
            Self::List(items) => items.iter().try_for_each(|item| item.add(name, env, parts)),
            Self::Json(template) => push(parts, json(name, &*template.eval(env)?)),
            Self::File(file) => file.eval(env)?.into_iter().try_for_each(|file| {
                let filename = Some(file.filename.unwrap_or_else(|| name.to_owned()));
                let media_type = Some(file.media_type.unwrap_or_else(|| UNKNOWN_TYPE.to_owned()));
                push(parts, Part { name: name.to_owned(), filename, media_type, content: file.content })
            }),
        }
    }
}

fn add_value(value: &Json, name: &str, parts: &mut Vec<Part>) -> Result<(), Stop> {
    match value {
        Json::Null => push(parts, part(name, None, String::new())),
        Json::String(text) => push(parts, part(name, None, text.clone())),
        Json::Bool(_) | Json::Number(_) => push(parts, part(name, None, value.to_string())),
        Json::Array(items) => items.iter().try_for_each(|item| add_value(item, name, parts)),
        Json::Object(_) => push(parts, json(name, value)),
    }
}

fn json(name: &str, value: &Json) -> Part {
    part(name, Some("application/json"), value.to_string())
}

fn part(name: &str, media_type: Option<&str>, content: String) -> Part {
    let (name, media_type) = (name.to_owned(), media_type.map(str::to_owned));
    Part { name, filename: None, media_type, content: Piece::Bytes(content.into()) }
}

fn push(parts: &mut Vec<Part>, part: Part) -> Result<(), Stop> {
    if parts.len() >= MAX_PARTS {
        let message = format!("a `multipart` body has at most {MAX_PARTS} parts");
        return Err(Fault::new(FaultKind::Limit, Code("http.too-many-parts"), message).into());
    }
    parts.push(part);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::proof::{answer, flow, prove};
    use crate::{Answer, CallBody};
    use hookflow_text::Json;

    /// The parts of a call as `name=text`, or the code of what failed.
    fn sent(parts: &str) -> Result<Vec<String>, String> {
        let text = format!(
            "flow: a\nwebhook: {{auth: none, sample: {{body: {{id: 'A&1 ü', tags: [x, 2], map: {{a: 1.10}}, none: null}}}}}}\nsteps:\n  - http: {{url: 'https://x.example/', multipart: {parts}}}\n  - respond: {{}}\n"
        );
        let mut body = None;
        let rehearsal = prove(&flow(&text), &mut |_, call| {
            body = Some(call.body.clone());
            answer(call, 200, "{}")
        });
        let shown = |part: &Json| {
            let text = |key: &str| part[key].as_str().unwrap_or("-").to_owned();
            format!("{}={} {} {}", text("name"), text("text"), text("type"), text("filename"))
        };
        match (body, rehearsal.answer) {
            (Some(body @ CallBody::Multipart(_)), _) => {
                Ok(body.parts().as_array().unwrap().iter().map(shown).collect())
            }
            (None, Answer::Failed(fault)) => Err(fault.code),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_value_becomes_parts() {
        for (written, parts) in [
            ("{a: 00123, b: 'x ${ webhook.body.id }'}", &["a=00123 - -", "b=x A&1 ü - -"][..]),
            ("{tags: '${ webhook.body.tags }'}", &["tags=x - -", "tags=2 - -"]),
            ("{tags: ['${ webhook.body.tags }', y]}", &["tags=x - -", "tags=2 - -", "tags=y - -"]),
            ("{map: '${ webhook.body.map }'}", &["map={\"a\":1.10} application/json -"]),
            ("{map: {json: [1, '${ webhook.body.none }']}}", &["map=[1,null] application/json -"]),
            ("{none: '${ webhook.body.none }'}", &["none= - -"]),
            ("{f: {file: {bytes: aGk=}}}", &["f=hi application/octet-stream f"]),
            (
                "{f: {file: {bytes: aGk=, filename: a, type: \"x/y\\nz\"}}}",
                &["f=hi application/octet-stream a"],
            ),
            ("{f: {file: webhook.files}}", &[]),
            ("{}", &[]),
        ] {
            assert_eq!(sent(written).unwrap(), parts, "{written}");
        }
    }

    #[test]
    fn what_cannot_be_sent_is_a_fault() {
        for (written, code) in [
            ("{f: {file: {bytes: 'no base64!'}}}", "file.bytes"),
            ("{f: {file: webhook.body.map}}", "file.unknown"),
            ("{f: '${ range(1001) | list }'}", "http.too-many-parts"),
        ] {
            assert_eq!(sent(written).unwrap_err(), code, "{written}");
        }
    }
}
