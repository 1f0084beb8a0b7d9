//! What a filter may cost, and the way of a value into one and out of it.

use super::filter::Stopped;
use hookflow_text::Json;
use jaq_core::ValT as _;
use jaq_json::{Map, Num, Rc, Val};
use jaq_std::ValT as _;
use std::cell::{Cell, RefCell};

/// What one run of a filter may cost, in parts of a value that it touches.
pub(super) const BUDGET: u64 = 8 << 20;
/// What a step costs: a quarter of a million of them are the budget.
const STEP_COSTS: u64 = 32;
/// Texts are copied in strides, so this much of one costs as much as a number.
const TEXT_STRIDE: usize = 64;
/// How long a text may be.
const MAX_TEXT: usize = 1 << 20;
/// How much a value may weigh.
const MAX_WEIGHT: u64 = 32 << 20;
/// What a part of a value weighs besides its text.
const PART_WEIGHS: u64 = 8;
/// How deep a value may nest, as in a body.
const MAX_DEPTH: usize = 128;
/// How many digits a whole number may have.
const MAX_DIGITS: usize = 4096;
/// What must be left of the stack for natives.
const SPARE_STACK: usize = 1 << 20;

/// Counts what a filter costs.
pub(super) struct Meter {
    left: Cell<u64>,
    why: RefCell<String>,
}

/// A bound was met; the meter knows which.
#[derive(Debug)]
pub(super) struct Met;

impl Meter {
    pub(super) fn new(budget: u64) -> Self {
        Self { left: Cell::new(budget), why: RefCell::default() }
    }

    pub(super) fn stopped(&self) -> Stopped {
        Stopped::Limit(self.why.borrow().clone())
    }

    fn met(&self, why: impl Into<String>) -> Met {
        self.why.replace(why.into());
        Met
    }

    fn spend(&self, cost: u64) -> Result<(), Met> {
        match self.left.get().checked_sub(cost) {
            Some(left) => {
                self.left.set(left);
                Ok(())
            }
            None => Err(self.met("the filter did more than a filter may")),
        }
    }

    fn text(&self, length: usize) -> Result<(), Met> {
        if length > MAX_TEXT {
            return Err(self.met(format!("a text in the filter is longer than {MAX_TEXT} bytes")));
        }
        self.spend((length / TEXT_STRIDE) as u64)
    }

    fn number(&self, number: &Num) -> Result<(), Met> {
        let digits = match number {
            // Ten bits are three digits and a little more.
            Num::BigInt(integer) => usize::try_from(integer.bits() / 10 * 3).unwrap_or(usize::MAX),
            Num::Dec(text) => text.len(),
            Num::Int(_) | Num::Float(_) => 0,
        };
        if digits > MAX_DIGITS {
            return Err(self.met(format!("a number in the filter has more than {MAX_DIGITS} digits")));
        }
        Ok(())
    }

    /// A step whose input is `value`.
    pub(super) fn step(&self, value: &Val) -> Result<(), Met> {
        self.spend(STEP_COSTS)?;
        if stacker::remaining_stack().is_some_and(|left| left < SPARE_STACK) {
            return Err(self.met("the filter calls itself too deep"));
        }
        match value {
            Val::TStr(text) | Val::BStr(text) => self.text(text.len()),
            Val::Arr(parts) => self.spend(parts.len() as u64),
            Val::Obj(parts) => self.spend(parts.len() as u64),
            Val::Num(number) => self.number(number),
            Val::Null | Val::Bool(_) => Ok(()),
        }
    }

    /// All that a value consists of.
    pub(super) fn weigh(&self, value: &Val) -> Result<(), Met> {
        self.add(value, &mut 0, 0)
    }

    fn add(&self, value: &Val, weight: &mut u64, depth: usize) -> Result<(), Met> {
        self.deeper(depth)?;
        self.heavier(weight, 0)?;
        match value {
            Val::Null | Val::Bool(_) => Ok(()),
            Val::Num(number) => self.number(number),
            Val::TStr(text) | Val::BStr(text) => {
                self.text(text.len())?;
                self.heavier(weight, text.len())
            }
            Val::Arr(parts) => parts.iter().try_for_each(|part| self.add(part, weight, depth + 1)),
            Val::Obj(parts) => parts.iter().try_for_each(|(key, part)| {
                self.add(key, weight, depth + 1)?;
                self.add(part, weight, depth + 1)
            }),
        }
    }

    fn deeper(&self, depth: usize) -> Result<(), Met> {
        if depth > MAX_DEPTH {
            return Err(self.met(format!("a value in the filter nests deeper than {MAX_DEPTH} levels")));
        }
        Ok(())
    }

    /// One more part.
    fn heavier(&self, weight: &mut u64, text: usize) -> Result<(), Met> {
        self.spend(1)?;
        *weight += PART_WEIGHS + text as u64;
        if *weight > MAX_WEIGHT {
            return Err(self.met(format!("a value in the filter is larger than {MAX_WEIGHT} bytes")));
        }
        Ok(())
    }

    /// Whether a text nests no deeper than a value may.
    pub(super) fn nests(&self, text: &[u8]) -> Result<(), Met> {
        let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
        for byte in text {
            match (quoted, byte) {
                _ if escaped => escaped = false,
                (true, b'\\') => escaped = true,
                (_, b'"') => quoted = !quoted,
                (false, b'[' | b'{') => depth += 1,
                (false, b']' | b'}') => depth = depth.saturating_sub(1),
                _ => {}
            }
            self.deeper(depth)?;
        }
        Ok(())
    }

    /// Whether a text may be repeated.
    pub(super) fn times(&self, text: &Val, times: &Val) -> Result<(), Met> {
        match text.as_bytes() {
            Some(text) if times.is_int() => {
                // What is no machine's number is far too many, or below zero and none.
                let times = times.as_isize().map_or(MAX_TEXT, |times| usize::try_from(times).unwrap_or(0));
                self.text(text.len().saturating_mul(times))
            }
            _ => Ok(()),
        }
    }

    /// What a regular expression costs on a text: it is run through once, and may stand in as many places as it has
    /// characters, each as often as its counts say.
    pub(super) fn regex(&self, text: usize, pattern: &[u8]) -> Result<(), Met> {
        let mut places = pattern.len() as u64;
        for counts in pattern.split(|byte| *byte == b'{').skip(1) {
            let counts = counts.split(|byte| *byte == b'}').next().unwrap_or_default();
            let most = counts
                .split(|byte| *byte == b',')
                .filter_map(|count| std::str::from_utf8(count).ok()?.trim().parse::<u64>().ok())
                .max();
            places = places.saturating_mul(most.unwrap_or(1).max(1));
        }
        self.text(text)?;
        self.spend(places.saturating_mul(1 + text as u64) / 16)?;
        self.spend(places)
    }

    /// A value on its way in. Numbers stay as they are written.
    pub(super) fn take(&self, value: &Json, depth: usize) -> Result<Val, Met> {
        self.deeper(depth)?;
        self.spend(1)?;
        Ok(match value {
            Json::Null => Val::Null,
            Json::Bool(holds) => Val::Bool(*holds),
            Json::Number(number) => {
                Val::from_num(number.as_str()).map_err(|_| self.met("a number cannot be read"))?
            }
            Json::String(text) => {
                self.text(text.len())?;
                Val::utf8_str(text.clone())
            }
            Json::Array(parts) => Val::Arr(Rc::new(
                parts.iter().map(|part| self.take(part, depth + 1)).collect::<Result<_, _>>()?,
            )),
            Json::Object(parts) => Val::obj(
                parts
                    .iter()
                    .map(|(key, part)| {
                        self.text(key.len())?;
                        Ok((Val::utf8_str(key.clone()), self.take(part, depth + 1)?))
                    })
                    .collect::<Result<Map, _>>()?,
            ),
        })
    }
}

/// A value on its way out; it was weighed.
pub(super) fn give(value: &Val) -> Json {
    match value {
        Val::Null => Json::Null,
        Val::Bool(holds) => Json::Bool(*holds),
        Val::Num(number) => give_number(number),
        Val::TStr(text) | Val::BStr(text) => String::from_utf8_lossy(text).into_owned().into(),
        Val::Arr(parts) => parts.iter().map(give).collect(),
        Val::Obj(parts) => parts
            .iter()
            .map(|(key, part)| match key {
                Val::TStr(text) => (String::from_utf8_lossy(text).into_owned(), give(part)),
                other => (other.to_string(), give(part)),
            })
            .collect::<serde_json::Map<_, _>>()
            .into(),
    }
}

/// What was computed without a fraction is a whole number, as jq writes it; what is no number is null.
fn give_number(number: &Num) -> Json {
    let text = match number {
        Num::Float(float) if !float.is_finite() => return Json::Null,
        Num::Float(float) if float.fract() == 0.0 && float.abs() < 9e15 => format!("{float:.0}"),
        other => other.to_string(),
    };
    text.parse().map_or(Json::Null, Json::Number)
}
