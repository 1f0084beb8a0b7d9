//! `validate`: a value against a JSON Schema.

use crate::deep_stack::on_deep_stack;
use crate::lowering::{Lowering, ResultFields, StepNode};
use crate::plan::Instruction;
use crate::step_kind::{Asking, Example, Makes, StepKind, Stop};
use crate::{Fault, FaultKind};
use boon::{CompileError, Compiler, Draft, SchemaIndex, Schemas, UrlLoader, ValidationError};
use hookflow_expr::{Env, Expression};
use hookflow_text::{Code, Json, Key, Node, NodeValue, Schema, Source, parse};
use serde_json::json;
use sha2::Digest as _;
use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// How many problems of a value are told.
const MOST_PROBLEMS: usize = 50;
/// How many of them stand in the fault's message.
const PROBLEMS_IN_MESSAGE: usize = 5;
/// What a schema is called while it is compiled; nothing is ever asked for there.
const OWN_URL: &str = "https://schema.invalid/schema";

pub(super) static KIND: StepKind = StepKind {
    verb: "validate",
    summary: "Holds a value against a JSON Schema (2020-12, or what its `$schema` says; `format` counts too) and fails with kind `validation` when it does not fit; a caller who waits then gets 422.",
    result: "`{ok, problems}`, and each problem `{at, message}`; after a failure that the flow goes on from, `ok` is false",
    value: Schema::Expression,
    companions: &[Key::must(
        "schema",
        Schema::AnyOf(&[Schema::ANY_MAP, Schema::Bool]),
        "the schema, or `{file: path}` of one in JSON or YAML; it holds no templates and refers to nothing outside of itself",
    )],
    blocks: &[],
    asks: Asking::Nothing,
    example: Example {
        flow: r"
flow: checked
webhook:
  auth: none
  sample: {body: {id: A-1, qty: 0}}
steps:
  - id: order
    validate: webhook.body
    schema:
      type: object
      required: [id, qty]
      properties: {qty: {type: integer, minimum: 1}}
    on_error:
      - respond: {status: 422, json: '${ steps.order.problems }'}
      - stop: not an order
  - respond: {status: 201}
",
        mocks: &[],
        answer: (422, r#"[{"at":"/qty","message":"must be >=1, but got 0"}]"#),
    },
    lower,
};

struct Validate {
    value: Expression,
    schemas: Schemas,
    schema: SchemaIndex,
}

fn lower(cx: &mut Lowering<'_>, step: &mut StepNode<'_>) -> Option<()> {
    step.result = ResultFields::Known(["ok", "problems", "error"].map(str::to_owned).to_vec());
    let value = cx.expression(step.value);
    let node = step.fields.require("schema", cx.diagnostics)?;
    let schema = match file_of(node) {
        Some(path) => read_file(cx, path)?,
        None => node.to_json(cx.diagnostics),
    };
    let (schemas, schema) = match compile(schema) {
        Ok(compiled) => compiled,
        Err(why) => {
            let message = format!("this is no JSON Schema that can be used: {why}");
            cx.diagnostics.error(Code("validate.schema"), &node.span, message);
            return None;
        }
    };
    let value = Arc::new(Validate { value: value?, schemas, schema });
    cx.emit(Instruction::Eval { step: step.number, value });
    Some(())
}

/// `{file: path}`: no schema has that as its only key.
fn file_of(node: &Node) -> Option<&Node> {
    match &node.value {
        NodeValue::Map(entries) => match entries.as_slice() {
            [(key, value)] if key.text() == "file" => Some(value),
            _ => None,
        },
        _ => None,
    }
}

fn read_file(cx: &mut Lowering<'_>, node: &Node) -> Option<Json> {
    let path = node.as_str(cx.diagnostics)?;
    let text = (cx.surroundings.read_file)(path)
        .and_then(|bytes| String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned()));
    match text {
        Ok(text) => {
            cx.hash.update(text.as_bytes());
            cx.files.insert(path.to_owned(), text.clone());
            let root = parse(&Source::new(path, text), cx.diagnostics)?;
            Some(root.to_json(cx.diagnostics))
        }
        Err(why) => {
            let message = format!("the schema's file `{path}` cannot be read: {why}");
            cx.diagnostics.error(Code("validate.schema-file"), &node.span, message);
            None
        }
    }
}

/// Refuses whatever a schema refers to outside of itself.
struct Nowhere;

impl UrlLoader for Nowhere {
    fn load(&self, url: &str) -> Result<Json, Box<dyn Error>> {
        Err(format!("a schema refers to nothing outside of itself, and this one to {url}").into())
    }
}

fn compile(schema: Json) -> Result<(Schemas, SchemaIndex), String> {
    let mut schemas = Schemas::new();
    let mut compiler = Compiler::new();
    compiler.set_default_draft(Draft::V2020_12);
    compiler.enable_format_assertions();
    compiler.use_loader(Box::new(Nowhere));
    let said = |error: CompileError| match error {
        CompileError::LoadUrlError { src, .. } => src.to_string(),
        CompileError::ValidationError { src, .. } => {
            problems(&src).iter().map(Problem::to_string).collect::<Vec<_>>().join("; ")
        }
        other => other.to_string().replace(OWN_URL, ""),
    };
    compiler.add_resource(OWN_URL, schema).map_err(said)?;
    let index = compiler.compile(OWN_URL, &mut schemas).map_err(said)?;
    Ok((schemas, index))
}

/// What is wrong with a value, and where.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Problem {
    at: String,
    message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: {}", self.at, self.message)
    }
}

/// What is wrong with a value, in the order of its places.
fn judge(schemas: &Schemas, schema: SchemaIndex, value: &Json) -> Vec<Problem> {
    on_deep_stack(|| schemas.validate(value, schema).err().map(|error| problems(&error)).unwrap_or_default())
}

fn problems(error: &ValidationError<'_, '_>) -> Vec<Problem> {
    let mut problems = Vec::new();
    leaves(error, &mut problems);
    problems.sort();
    problems.dedup();
    problems
}

fn leaves(error: &ValidationError<'_, '_>, out: &mut Vec<Problem>) {
    if error.causes.is_empty() && out.len() < MOST_PROBLEMS {
        out.push(Problem { at: error.instance_location.to_string(), message: error.kind.to_string() });
    }
    for cause in &error.causes {
        leaves(cause, out);
    }
}

impl Makes for Validate {
    fn make(&self, env: &Env) -> Result<(Arc<Json>, Option<Fault>), Stop> {
        let value = self.value.eval(env)?;
        let found = judge(&self.schemas, self.schema, &value);
        if found.is_empty() {
            return Ok((Arc::new(json!({"ok": true, "problems": []})), None));
        }
        let said: Vec<_> = found.iter().map(Problem::to_string).collect();
        let list: Json =
            found.into_iter().map(|Problem { at, message }| json!({"at": at, "message": message})).collect();
        let more = said.len().saturating_sub(PROBLEMS_IN_MESSAGE);
        let mut message = said.into_iter().take(PROBLEMS_IN_MESSAGE).collect::<Vec<_>>().join("; ");
        if more > 0 {
            message.push_str(&format!("; and {more} more"));
        }
        let fault = Fault::new(FaultKind::Validation, Code("step.validate.failed"), message);
        Ok((Arc::new(json!({"ok": false, "problems": list})), Some(fault)))
    }
}

impl fmt::Debug for Validate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Validate").field("value", &self.value).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(schema: Json, value: &Json) -> Vec<String> {
        let (schemas, schema) = compile(schema).unwrap();
        super::judge(&schemas, schema, value).iter().map(Problem::to_string).collect()
    }

    #[test]
    fn every_problem_is_told_with_its_place() {
        let schema = json!({
            "type": "object",
            "properties": {"id": {"type": "string"}, "lines": {"items": {"required": ["sku"]}}, "mail": {"format": "email"}},
        });
        assert!(judge(schema.clone(), &json!({"id": "A", "lines": [{"sku": 1}]})).is_empty());
        let found = judge(schema, &json!({"id": 7, "lines": [{"sku": 1}, {}], "mail": "nobody"}));
        let places: Vec<_> = found.iter().map(|line| line.split(':').next().unwrap()).collect();
        assert_eq!(places, ["`/id`", "`/lines/1`", "`/mail`"], "{found:?}");
    }

    #[test]
    fn numbers_are_compared_by_value() {
        let number = |text: &str| serde_json::from_str::<Json>(text).unwrap();
        let schema = json!({"type": "integer", "minimum": 1, "maximum": 10});
        for good in ["1", "10", "2.0", "1e1"] {
            assert!(judge(schema.clone(), &number(good)).is_empty(), "{good}");
        }
        for bad in ["0", "10.5", "11", "123456789012345678901234567890", "-1e300"] {
            assert_eq!(judge(schema.clone(), &number(bad)).len(), 1, "{bad}");
        }
        assert!(judge(json!({"const": 10}), &number("10.0")).is_empty());
        assert!(judge(json!({"type": "number"}), &number("1E400")).is_empty());
    }

    #[test]
    fn a_schema_that_cannot_be_used_is_none() {
        for bad in [
            json!({"type": 5}),
            json!({"$ref": "https://json-schema.example/other"}),
            json!({"$ref": "file:///etc/passwd"}),
            json!({"$ref": "#/$defs/none"}),
            json!({"pattern": "("}),
            json!([]),
        ] {
            let why = compile(bad.clone()).map(|_| ()).unwrap_err();
            assert!(!why.is_empty() && !why.contains("schema.invalid"), "{bad}: {why}");
        }
        assert!(compile(json!({"$ref": "file:///etc/passwd"})).err().unwrap().contains("outside of itself"));
    }

    /// As deep as a body may be, on a stack as small as those of the workers.
    #[test]
    fn a_schema_that_refers_to_itself_ends_with_the_value() {
        let schema = json!({"items": {"$ref": "#"}});
        let mut value = json!([]);
        for _ in 0..128 {
            value = json!([value]);
        }
        assert!(judge(schema, &value).is_empty());
        assert!(
            !judge(json!({"$ref": "#"}), &json!(1)).is_empty(),
            "a schema that is only itself fits nothing"
        );
    }
}
