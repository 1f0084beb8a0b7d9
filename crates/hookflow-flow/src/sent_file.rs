//! A file as steps name one: one that came with the webhook, or bytes that the run has.

use crate::reading::Reading;
use crate::step_kind::Stop;
use crate::{Fault, FaultKind, FileRef, Piece};
use hookflow_expr::{Env, Escape, Expression, Found, Text};
use hookflow_text::{Code, Fields, Json, Key, MapSchema, Node, NodeValue, Rule, Schema};
use hookflow_trigger::from_base64;
use std::borrow::Cow;

/// What a file is sent with when nobody knows its type.
pub(crate) const UNKNOWN_TYPE: &str = "application/octet-stream";

/// A file as it is written.
pub(crate) const FILE: Schema = Schema::AnyOf(&[Schema::Expression, Schema::Map(&SENT_FILE)]);

static SENT_FILE: MapSchema = MapSchema {
    name: "sent-file",
    about: "A file that is sent: one that came with the webhook, or bytes.",
    keys: Cow::Borrowed(&[
        Key::may("of", Schema::Expression, "an expression that gives one of `webhook.files`"),
        Key::may("bytes", Schema::Text, "its content, in base64"),
        Key::may("filename", Schema::Text, "its name, in place of the one that it came with"),
        Key::may("type", Schema::Text, "its media type, in place of the one that it came with"),
    ]),
    rules: &[Rule::One(&["of", "bytes"])],
};

/// `file: webhook.files[0]`, or a map with more to say.
#[derive(Debug)]
pub(crate) struct FileTemplate {
    source: Source,
    filename: Option<Text>,
    media_type: Option<Text>,
}

#[derive(Debug)]
enum Source {
    /// Of the webhook, by what `webhook.files` says of it.
    Of(Expression),
    /// In base64.
    Bytes(Text),
}

/// A file that is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SentFile {
    pub filename: Option<String>,
    /// One that can stand in a header.
    pub media_type: Option<String>,
    pub content: Piece,
}

impl FileTemplate {
    pub(crate) fn read(cx: &mut Reading<'_>, node: &Node) -> Option<Self> {
        if !matches!(node.value, NodeValue::Map(_)) {
            let source = Source::Of(cx.expression(node)?);
            return Some(Self { source, filename: None, media_type: None });
        }
        let mut fields = Fields::of(node, "a `file`", cx.diagnostics)?;
        let source = match (fields.take("of"), fields.take("bytes")) {
            (Some(of), None) => cx.expression(of).map(Source::Of),
            (None, Some(bytes)) => cx.text(bytes, Escape::None).map(Source::Bytes),
            _ => {
                let message = "a `file` is one `of` those that came, or has `bytes`";
                cx.diagnostics
                    .error(Code("file.source"), &node.span, message)
                    .help("write `of: webhook.files[0]`, or `bytes:` with base64");
                None
            }
        };
        let filename = read_text(cx, fields.take("filename"));
        let media_type = read_text(cx, fields.take("type"));
        fields.finish(cx.diagnostics);
        Some(Self { source: source?, filename: filename.ok()?, media_type: media_type.ok()? })
    }

    /// The files: where the expression gives a list, all of them; where it gives null, none.
    pub(crate) fn eval(&self, env: &Env) -> Result<Vec<SentFile>, Stop> {
        match &self.source {
            Source::Bytes(text) => {
                let bytes = from_base64(text.eval(env)?.trim());
                let bytes = bytes.ok_or_else(|| fault(Code("file.bytes"), "`bytes` is not base64".into()))?;
                Ok(vec![self.named(&Json::Null, Piece::Bytes(bytes.into()), env)?])
            }
            Source::Of(expression) => match &*expression.eval(env)? {
                Json::Null => Ok(Vec::new()),
                Json::Array(files) => files.iter().map(|file| self.came(file, env)).collect(),
                file => Ok(vec![self.came(file, env)?]),
            },
        }
    }

    /// The one file that it has to be.
    pub(crate) fn one(&self, env: &Env) -> Result<SentFile, Stop> {
        let mut files = self.eval(env)?;
        match (files.pop(), files.is_empty()) {
            (Some(file), true) => Ok(file),
            (None, _) => Err(fault(Code("file.unknown"), "`file` gives null, and a body is a file".into())),
            _ => Err(fault(Code("file.unknown"), "`file` gives several files, and a body is one".into())),
        }
    }

    fn came(&self, file: &Json, env: &Env) -> Result<SentFile, Stop> {
        let found = find(file, env).ok_or_else(|| {
            let message =
                "what `file` gives is no file that came with this webhook: it is one of `webhook.files`";
            fault(Code("file.unknown"), message.into())
        })?;
        self.named(file, Piece::File(found), env)
    }

    /// What is written here says more than what came.
    fn named(&self, came: &Json, content: Piece, env: &Env) -> Result<SentFile, Stop> {
        let said = |own: Option<&Text>, key: &str| match own {
            Some(text) => text.eval(env).map(Some),
            None => Ok(came.get(key).and_then(Json::as_str).map(str::to_owned)),
        };
        let filename = said(self.filename.as_ref(), "filename")?;
        let media_type = said(self.media_type.as_ref(), "type")?;
        let sendable =
            |text: &String| text.contains('/') && text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        Ok(SentFile {
            filename: filename.filter(|name| !name.is_empty()),
            media_type: media_type.filter(sendable),
            content,
        })
    }
}

/// What is written, if anything; an error is one that was told.
fn read_text(cx: &mut Reading<'_>, node: Option<&Node>) -> Result<Option<Text>, ()> {
    node.map(|node| cx.text(node, Escape::None).ok_or(())).transpose()
}

/// The file that came, by its digest. Where there is no webhook (a call that is only shown) it is taken as it is told.
fn find(told: &Json, env: &Env) -> Option<FileRef> {
    let sha256 = told.get("sha256")?.as_str()?;
    let size = match env.scope.get("webhook") {
        Some(Found::Part(webhook)) => {
            let Some(Found::Value(files)) = webhook.get("files") else { return None };
            let same = |file: &&Json| file.get("sha256").and_then(Json::as_str) == Some(sha256);
            files.as_array()?.iter().find(same)?.get("size")?.as_u64()?
        }
        _ => told.get("size")?.as_u64()?,
    };
    Some(FileRef { sha256: sha256.into(), size })
}

fn fault(code: Code, message: String) -> Stop {
    Fault::new(FaultKind::Expression, code, message).into()
}
