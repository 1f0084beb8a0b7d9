//! The name of a request in answers and logs: the caller's when it is sane, else ours.

use http::{HeaderMap, HeaderName, HeaderValue};

/// Where it comes from, and where it goes.
pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The longest name that is taken from a caller.
const LONGEST: usize = 128;

/// The name of a request. It needs no escaping, neither in JSON nor in a header.
#[derive(Debug, Clone)]
pub(crate) struct RequestId(HeaderValue);

impl RequestId {
    /// The caller's, when there is exactly one and it is sane.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(X_REQUEST_ID).iter();
        let value = values.next().filter(|value| is_sane(value.as_bytes()))?;
        values.next().is_none().then(|| Self(value.clone()))
    }

    /// Ours.
    pub(crate) fn new(id: &str) -> Self {
        Self(HeaderValue::from_str(id).unwrap_or(HeaderValue::from_static("-")))
    }

    pub(crate) fn value(&self) -> &HeaderValue {
        &self.0
    }

    pub(crate) fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }
}

fn is_sane(id: &[u8]) -> bool {
    let plain = |byte: &u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b':' | b'=' | b'+' | b'/' | b'@')
    };
    (1..=LONGEST).contains(&id.len()) && id.iter().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sane_ids_are_taken() {
        let of = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(X_REQUEST_ID, HeaderValue::from_str(value).unwrap());
            }
            RequestId::of(&headers).map(|id| id.as_str().to_owned())
        };
        let longest = "a".repeat(LONGEST);
        for id in ["0af7651916cd43dd-8448", "Root=1-2:a+b/c_d.e@f", &longest] {
            assert_eq!(of(&[id]).as_deref(), Some(id));
        }
        let bad: [&[&str]; 7] =
            [&[], &[""], &["a b"], &["\"a\""], &["a\u{e9}"], &[&format!("{longest}a")], &["a", "b"]];
        for values in bad {
            assert_eq!(of(values), None, "{values:?}");
        }
    }
}
