//! Values on their way between JSON and `MiniJinja`, without deep copies and without losing a digit.
//!
//! Lists and objects are read through a [`View`] of the shared JSON. Integers go over exactly up to 128 bits; a
//! decimal becomes an `f64` when that is the same number (`10.10` is `10.1`), and is else carried as it is
//! written ([`Decimal`]): it can be passed on and compared, not calculated with.

use crate::eval_error::Failure;
use crate::evaluation::MAX_OUTPUT;
use crate::lookup::{Found, Lookup};
use crate::path::{Segment, child};
use hookflow_text::Json;
use minijinja::value::{DynObject, Enumerator, Object, ObjectRepr, ValueKind};
use minijinja::{Error, Value};
use serde_json::Number;
use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;
use yoke::Yoke;

/// A place within a shared JSON value.
#[derive(Debug, Clone)]
pub(crate) struct View(Yoke<&'static Json, Arc<Json>>);

impl View {
    pub(crate) fn new(json: Arc<Json>) -> Self {
        Self(Yoke::attach_to_cart(json, |json| json))
    }

    /// The place that `find` leads to.
    pub(crate) fn find<E>(
        json: Arc<Json>,
        find: impl for<'j> FnOnce(&'j Json) -> Result<&'j Json, E>,
    ) -> Result<Self, E> {
        Yoke::<&'static Json, _>::try_attach_to_cart(json, |json| find(json)).map(Self)
    }

    pub(crate) fn get(&self) -> &Json {
        self.0.get()
    }

    /// The value under `segment`.
    pub(crate) fn child(&self, segment: &Segment) -> Option<Self> {
        self.0.try_map_project_cloned(|json, _| child(json, segment).ok_or(())).ok().map(Self)
    }

    /// The whole value when this is its root, else a copy of this part.
    pub(crate) fn to_arc(&self) -> Arc<Json> {
        let whole = self.0.backing_cart();
        if std::ptr::eq(self.get(), &raw const **whole) {
            Arc::clone(whole)
        } else {
            Arc::new(self.get().clone())
        }
    }

    pub(crate) fn into_value(self) -> Value {
        match self.get() {
            Json::Null => Value::from(()),
            Json::Bool(flag) => Value::from(*flag),
            Json::Number(number) => number_value(number),
            Json::String(text) => Value::from(text.as_str()),
            Json::Array(_) | Json::Object(_) => Value::from_object(self),
        }
    }
}

impl Object for View {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        if self.get().is_array() { ObjectRepr::Seq } else { ObjectRepr::Map }
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.child(&Segment::of(key)?).map(Self::into_value)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        self.0
            .try_map_project_cloned(|json, _| json.as_object().and_then(|map| map.get(key)).ok_or(()))
            .ok()
            .map(|yoke| Self(yoke).into_value())
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        match self.get() {
            Json::Array(items) => Enumerator::Seq(items.len()),
            Json::Object(map) => {
                Enumerator::Values(map.keys().map(|key| Value::from(key.as_str())).collect())
            }
            _ => Enumerator::NonEnumerable,
        }
    }

    fn enumerator_len(self: &Arc<Self>) -> Option<usize> {
        match self.get() {
            Json::Array(items) => Some(items.len()),
            Json::Object(map) => Some(map.len()),
            _ => None,
        }
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.get())
    }
}

/// A part of the scope as a value, for `x in steps` and for writing it out.
#[derive(Debug)]
pub(crate) struct Part(pub(crate) Arc<dyn Lookup>);

impl Object for Part {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        self.0.get(key).map(found_value)
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.0.names().into_iter().map(Value::from).collect())
    }
}

pub(crate) fn part(part: &Arc<dyn Lookup>) -> Value {
    Value::from_object(Part(Arc::clone(part)))
}

pub(crate) fn found_value(found: Found) -> Value {
    match found {
        Found::Value(json) => View::new(json).into_value(),
        Found::Part(part) => Value::from_object(Part(part)),
        Found::DidNotRun => Value::from(()),
        Found::Unreadable(why) => Value::from(Error::from(Failure::failed(&*why))),
    }
}

/// A number that no `f64` is, as it was written.
#[derive(Debug)]
pub(crate) struct Decimal(pub(crate) String);

impl Object for Decimal {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn custom_cmp(self: &Arc<Self>, other: &DynObject) -> Option<Ordering> {
        let other = other.downcast_ref::<Self>()?;
        (normal(&self.0) == normal(&other.0)).then_some(Ordering::Equal)
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text that `| xml` has made: text everywhere, and in XML and HTML taken as it stands. A filter that changes
/// it makes plain text of it.
#[derive(Debug)]
pub(crate) struct XmlText(pub(crate) String);

impl Object for XmlText {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

pub(crate) fn as_xml(value: &Value) -> Option<&str> {
    value.downcast_object_ref::<XmlText>().map(|xml| xml.0.as_str())
}

/// What `a if c` is when `c` does not hold: null as a value, nothing in a text.
#[derive(Debug)]
pub(crate) struct Nothing;

impl Object for Nothing {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn is_true(self: &Arc<Self>) -> bool {
        false
    }

    fn render(self: &Arc<Self>, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ok(())
    }
}

pub(crate) fn is_nothing(value: &Value) -> bool {
    value.downcast_object_ref::<Nothing>().is_some()
}

/// A JSON number as a value to calculate with, if it can be one exactly.
pub(crate) fn number_value(number: &Number) -> Value {
    if let Some(integer) = number.as_i64() {
        return Value::from(integer);
    }
    if let Some(integer) = number.as_i128() {
        return Value::from(integer);
    }
    let text = number.as_str();
    match text.parse::<f64>() {
        Ok(float) if float.is_finite() && normal(text) == normal(&format!("{float:e}")) => Value::from(float),
        _ => Value::from_object(Decimal(text.to_owned())),
    }
}

/// The sign, the digits without outer zeros, and the power of ten after the last digit: equal for equal numbers.
fn normal(text: &str) -> (bool, String, i64) {
    let negative = text.starts_with('-');
    let text = text.trim_start_matches('-');
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = format!("{whole}{fraction}");
    let digits = all.trim_end_matches('0');
    let dropped = i64::try_from(all.len() - digits.len()).unwrap_or(i64::MAX);
    let places = i64::try_from(fraction.len()).unwrap_or(i64::MAX);
    let digits = digits.trim_start_matches('0');
    if digits.is_empty() {
        return (false, String::new(), 0);
    }
    let exponent = exponent.parse::<i64>().unwrap_or(i64::MAX).saturating_add(dropped).saturating_sub(places);
    (negative, digits.to_owned(), exponent)
}

/// A calculated number as JSON: exact for integers, and without `.0` for a float that is whole.
fn to_number(value: &Value) -> Result<Number, Failure> {
    if value.is_integer() {
        return Ok(Number::from_string_unchecked(value.to_string()));
    }
    let float = f64::try_from(value.clone()).map_err(|error| Failure::of(&error))?;
    if float.fract() == 0.0 && float.abs() < 9_007_199_254_740_992.0 {
        return Ok(Number::from_string_unchecked(format!("{:.0}", float + 0.0)));
    }
    Number::from_f64(float).ok_or_else(|| Failure::mistyped("the result is not a number JSON can write"))
}

/// The value as JSON, at most [`MAX_OUTPUT`] large.
pub(crate) fn to_json(value: &Value) -> Result<Arc<Json>, Failure> {
    if let Some(view) = value.downcast_object_ref::<View>() {
        return Ok(view.to_arc());
    }
    let mut room = MAX_OUTPUT;
    build(value, &mut room).map(Arc::new)
}

fn build(value: &Value, room: &mut usize) -> Result<Json, Failure> {
    take(room, 8 + value.as_str().map_or(0, str::len))?;
    Ok(match value.kind() {
        ValueKind::None => Json::Null,
        ValueKind::Bool => Json::Bool(value.is_true()),
        ValueKind::Number => Json::Number(to_number(value)?),
        ValueKind::String => Json::String(value.as_str().unwrap_or_default().to_owned()),
        ValueKind::Bytes => Json::String(bytes_text(value)?.to_owned()),
        ValueKind::Undefined => return Err(Failure::missing("a value in the result is missing")),
        _ => return build_object(value, room),
    })
}

fn build_object(value: &Value, room: &mut usize) -> Result<Json, Failure> {
    if let Some(view) = value.downcast_object_ref::<View>() {
        weigh(view.get(), room)?;
        return Ok(view.get().clone());
    }
    if let Some(decimal) = value.downcast_object_ref::<Decimal>() {
        return Ok(Json::Number(Number::from_string_unchecked(decimal.0.clone())));
    }
    if is_nothing(value) {
        return Ok(Json::Null);
    }
    if let Some(xml) = as_xml(value) {
        take(room, xml.len())?;
        return Ok(Json::String(xml.to_owned()));
    }
    let items =
        || value.try_iter().map_err(|error| Failure::of(&error)).map(minijinja::value::ValueIter::checked);
    match value.kind() {
        ValueKind::Seq | ValueKind::Iterable => {
            items()?.map(|item| build(&item.map_err(|error| Failure::of(&error))?, room)).collect()
        }
        ValueKind::Map => {
            let mut map = serde_json::Map::new();
            for key in items()? {
                let key = key.map_err(|error| Failure::of(&error))?;
                let name = text(&key)?.into_owned();
                take(room, name.len())?;
                let entry = value.get_item(&key).map_err(|error| Failure::of(&error))?;
                map.insert(name, build(&entry, room)?);
            }
            Ok(Json::Object(map))
        }
        _ => Err(Failure::mistyped("the result is not a value")),
    }
}

/// Takes the size of a value that is about to be copied.
fn weigh(json: &Json, room: &mut usize) -> Result<(), Failure> {
    take(room, 8)?;
    match json {
        Json::String(text) => take(room, text.len()),
        Json::Number(number) => take(room, number.as_str().len()),
        Json::Array(items) => items.iter().try_for_each(|item| weigh(item, room)),
        Json::Object(map) => map.iter().try_for_each(|(key, item)| {
            take(room, key.len())?;
            weigh(item, room)
        }),
        Json::Null | Json::Bool(_) => Ok(()),
    }
}

fn take(room: &mut usize, bytes: usize) -> Result<(), Failure> {
    *room = room.checked_sub(bytes).ok_or_else(Failure::output)?;
    Ok(())
}

fn bytes_text(value: &Value) -> Result<&str, Failure> {
    value
        .as_bytes()
        .and_then(|bytes| std::str::from_utf8(bytes).ok())
        .ok_or_else(|| Failure::mistyped("the bytes are not text; write them with `| hex` or `| base64`"))
}

/// The value as it is written into a text: text as it is, null as `null`, lists and objects as JSON.
pub(crate) fn text(value: &Value) -> Result<Cow<'_, str>, Failure> {
    match value.kind() {
        ValueKind::String => Ok(Cow::Borrowed(value.as_str().unwrap_or_default())),
        ValueKind::Bytes => bytes_text(value).map(Cow::Borrowed),
        ValueKind::Plain if is_nothing(value) => Ok(Cow::Borrowed("")),
        _ => as_xml(value).map_or_else(|| json_text(value).map(Cow::Owned), |xml| Ok(Cow::Borrowed(xml))),
    }
}

/// The value as JSON text.
pub(crate) fn json_text(value: &Value) -> Result<String, Failure> {
    let json = to_json(value)?;
    Ok(json.to_string())
}

/// What a value is, for messages; never its content.
pub(crate) fn kind(value: &Value) -> &'static str {
    match value.kind() {
        ValueKind::Undefined => "nothing",
        ValueKind::None => "null",
        ValueKind::Bool => "true or false",
        ValueKind::Number => "a number",
        ValueKind::String => "text",
        ValueKind::Bytes => "bytes",
        ValueKind::Seq | ValueKind::Iterable => "a list",
        ValueKind::Map => "an object",
        _ if as_xml(value).is_some() => "text",
        _ if value.downcast_object_ref::<Decimal>().is_some() => {
            "a number with more digits than can be calculated with"
        }
        _ => "nothing",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> Json {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn numbers_keep_their_value_and_long_ones_their_spelling() {
        for (written, expected) in [
            ("7", "7"),
            ("-0", "0"),
            ("10.10", "10.1"),
            ("1e3", "1000"),
            ("0.1", "0.1"),
            ("1.5e-7", "1.5e-7"),
            ("9007199254740993.0", "9007199254740993.0"),
            ("9223372036854775808", "9223372036854775808"),
            ("123456789012345678901234567890", "123456789012345678901234567890"),
            ("-170141183460469231731687303715884105728", "-170141183460469231731687303715884105728"),
            (
                "1234567890123456789012345678901234567890123456789",
                "1234567890123456789012345678901234567890123456789",
            ),
            ("0.1000000000000000055511151231257827", "0.1000000000000000055511151231257827"),
            ("1e+400", "1e+400"),
        ] {
            let Json::Number(number) = json(written) else { panic!("a number") };
            assert_eq!(to_json(&number_value(&number)).unwrap().to_string(), expected, "{written}");
        }
    }

    #[test]
    fn a_view_is_the_value() {
        let whole = Arc::new(json(r#"{"a": [1, {"b": "x"}], "n": null}"#));
        let value = View::new(Arc::clone(&whole)).into_value();
        assert!(Arc::ptr_eq(&to_json(&value).unwrap(), &whole));
        let list = value.get_attr("a").unwrap();
        assert_eq!(list.len(), Some(2));
        assert_eq!(to_json(&list).unwrap().to_string(), r#"[1,{"b":"x"}]"#);
        assert_eq!(text(&value.get_attr("n").unwrap()).unwrap(), "null");
    }

    #[test]
    fn what_is_not_json_is_refused() {
        assert!(to_json(&Value::from(f64::NAN)).is_err());
        assert!(to_json(&Value::from_bytes(vec![0xff])).is_err());
        assert!(to_json(&Value::UNDEFINED).is_err());
        let large = Value::from("x".repeat(MAX_OUTPUT));
        assert_eq!(to_json(&large).unwrap_err().code.0, "expr.output");
    }
}
