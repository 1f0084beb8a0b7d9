//! How much of a value is shown: an answer has a bound, whatever a run holds.

use hookflow_text::{Json, weight};
use serde_json::json;

/// The largest value that is shown whole, in bytes of memory.
const LARGEST: usize = 256 << 10;
/// What all values of an answer may take together.
const TOGETHER: usize = 4 << 20;

/// What is left to show.
pub(super) struct Room(usize);

impl Default for Room {
    fn default() -> Self {
        Self(TOGETHER)
    }
}

impl Room {
    /// The value, or how large it is.
    pub(super) fn show(&mut self, value: &Json) -> Json {
        let bytes = weight(value);
        if bytes > LARGEST.min(self.0) {
            return json!({"not_shown": true, "bytes": bytes});
        }
        self.0 -= bytes;
        value.clone()
    }

    /// The same of text that may be none.
    pub(super) fn show_bytes(&mut self, bytes: &[u8]) -> Json {
        if bytes.len() > LARGEST.min(self.0) {
            return json!({"not_shown": true, "bytes": bytes.len()});
        }
        self.show(&Json::String(String::from_utf8_lossy(bytes).into_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_values_and_many_values_are_not_shown() {
        let mut room = Room::default();
        assert_eq!(room.show(&json!({"a": 1})), json!({"a": 1}));
        let large = "x".repeat(LARGEST + 1);
        assert_eq!(room.show_bytes(large.as_bytes()), json!({"not_shown": true, "bytes": LARGEST + 1}));
        let half = "x".repeat(LARGEST / 2);
        let shown = (0..100).filter(|_| room.show_bytes(half.as_bytes()).is_string()).count();
        assert!((20..=2 * TOGETHER / LARGEST).contains(&shown), "{shown}");
    }
}
