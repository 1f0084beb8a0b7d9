//! Lists as text.

use crate::arguments::Arguments;
use crate::chain::member;
use crate::eval_error::Failure;
use crate::evaluation::MAX_OUTPUT;
use crate::function::Function;
use crate::path::Segment;
use crate::value::text;
use minijinja::Value;

pub(super) const JOIN: Function = Function {
    name: "join",
    aliases: &[],
    parameters: &["list", "separator", "attribute"],
    summary: "The items of a list as one text, or one field of each.",
    example: "[{'sku': 'A'}, {'sku': 'B'}] | join(', ', attribute='sku')",
    result: "\"A, B\"",
    required: 1,
    covers_missing: false,
    call: join,
};

fn join(arguments: &Arguments<'_>) -> Result<Value, Failure> {
    let separator = arguments.text_or(1, "")?;
    let attribute = arguments.get(2).map(|_| arguments.text(2)).transpose()?;
    let mut out = String::new();
    for (nth, item) in arguments.items(0)?.enumerate() {
        let mut item = item?;
        if let Some(attribute) = &attribute {
            item = member(&item, &Segment::Key(attribute.clone().into_owned()))
                .ok_or_else(|| Failure::missing(format!("item {nth} of the list has no `{attribute}`")))?;
        }
        let piece = text(&item)?;
        if out.len() + separator.len() + piece.len() > MAX_OUTPUT {
            return Err(Failure::output());
        }
        if nth > 0 {
            out.push_str(&separator);
        }
        out.push_str(&piece);
    }
    Ok(Value::from(out))
}
