//! What `MiniJinja` has compiled, shared by everything of the same shape.
//!
//! A compiled expression takes 12 KiB whatever its length, and a rewritten one names its paths `_0`, `_1`: `_0 * 2`
//! stands in many flows. So each shape is compiled once, for as long as anybody holds it.

use crate::engine::engine;
use minijinja::{Error, Expression};
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};

/// A compiled expression.
pub(crate) type Compiled = Arc<Expression<'static, 'static>>;

static SHAPES: LazyLock<Mutex<Shapes>> = LazyLock::new(Mutex::default);

#[derive(Default)]
struct Shapes {
    by_source: HashMap<String, Weak<Expression<'static, 'static>>>,
    /// When there are more than this, those that nobody holds any more are forgotten.
    sweep_at: usize,
}

/// The compiled form of a rewritten expression.
pub(crate) fn compiled(source: String) -> Result<Compiled, Error> {
    let mut shapes = SHAPES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(compiled) = shapes.by_source.get(&source).and_then(Weak::upgrade) {
        return Ok(compiled);
    }
    let compiled = Arc::new(engine().compile_expression_owned(source.clone())?);
    if shapes.by_source.len() >= shapes.sweep_at {
        shapes.by_source.retain(|_, held| held.strong_count() > 0);
        shapes.sweep_at = (shapes.by_source.len() * 2).max(1_000);
    }
    shapes.by_source.insert(source, Arc::downgrade(&compiled));
    Ok(compiled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_shape_is_compiled_once_and_forgotten_when_nobody_holds_it() {
        let (first, second) = (compiled("_0 * 2".into()).unwrap(), compiled("_0 * 2".into()).unwrap());
        assert!(Arc::ptr_eq(&first, &second));
        assert!(!Arc::ptr_eq(&first, &compiled("_0 * 3".into()).unwrap()));
        for n in 0..3_000 {
            drop(compiled(format!("_0 + {n}")).unwrap());
        }
        assert!(SHAPES.lock().unwrap().by_source.len() < 2_000);
        assert!(compiled("_0 +".into()).is_err());
    }
}
