//! The token in the URL of a `wait` step: which run and which place, and a code that nobody can make who does not
//! know the run's seed.

use crate::place_code::place_code;
use crate::{Place, StepNumber};
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use std::fmt;
use std::sync::Arc;

/// How many bytes of the code a token holds: nobody guesses 128 bits.
const CODE: usize = 16;
/// No token is longer.
const LONGEST: usize = 400;
/// What the key is derived for.
const PURPOSE: &[u8] = b"hookflow wait";

/// A token that somebody has brought. Who it names is not proved before [`WaitToken::proves`].
pub struct WaitToken {
    /// The run it names.
    pub run: Arc<str>,
    /// The place it names.
    pub place: Place,
    code: [u8; CODE],
}

impl WaitToken {
    /// The token of a place in a run, as it stands in the URL.
    pub fn mint(run: &str, seed: &[u8; 16], place: &Place) -> String {
        let code = mac(run, seed, place).finalize().into_bytes();
        format!("{run}~{place}~{}", crate::flow::hex(code.get(..CODE).unwrap_or_default()))
    }

    /// Reads a token; `None` when it is none.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = Some(text).filter(|text| text.len() <= LONGEST)?.split('~');
        let (run, place, code, None) = (parts.next()?, parts.next()?, parts.next()?, parts.next()) else {
            return None;
        };
        let mut numbers = place.split('.').map(|number| number.parse::<u32>().ok());
        let step = StepNumber(numbers.next()??);
        let place = Place { step, turns: numbers.collect::<Option<_>>()? };
        if run.is_empty() || code.len() != 2 * CODE {
            return None;
        }
        let mut bytes = [0; CODE];
        for (n, byte) in bytes.iter_mut().enumerate() {
            let digits = code.get(2 * n..2 * n + 2).filter(|digits| digits.bytes().all(is_hex))?;
            *byte = u8::from_str_radix(digits, 16).ok()?;
        }
        Some(Self { run: run.into(), place, code: bytes })
    }

    /// A text as it may be shown: without the codes of the tokens in it. `None` when there are none.
    pub fn mask(text: &str) -> Option<String> {
        let mut pieces = text.split('~');
        let mut shown = pieces.next()?.to_owned();
        let (mut place, mut found) = ("", false);
        for piece in pieces {
            shown.push('~');
            let (code, rest) = piece.split_at_checked(2 * CODE).unwrap_or_default();
            let is_code = !code.is_empty() && code.bytes().all(is_hex) && is_place(place);
            shown.push_str(if is_code { "***" } else { piece });
            shown.push_str(if is_code { rest } else { "" });
            (place, found) = (piece, found || is_code);
        }
        found.then_some(shown)
    }

    /// Whether it was made for the run with this seed. Takes as long whether it was or not.
    pub fn proves(&self, seed: &[u8; 16]) -> bool {
        mac(&self.run, seed, &self.place).verify_truncated_left(&self.code).is_ok()
    }
}

fn is_hex(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

fn is_place(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte == b'.' || byte.is_ascii_digit())
}

fn mac(run: &str, seed: &[u8; 16], place: &Place) -> Hmac<Sha256> {
    place_code(PURPOSE, run, seed, place)
}

/// The code is not shown.
impl fmt::Debug for WaitToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitToken")
            .field("run", &self.run)
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEED: &[u8; 16] = b"0123456789abcdef";

    fn place(turns: &[u32]) -> Place {
        Place { step: StepNumber(7), turns: turns.to_vec() }
    }

    #[test]
    fn a_token_proves_its_own_run_and_place_and_no_other() {
        for turns in [&[][..], &[0], &[3, 12]] {
            let text = WaitToken::mint("run-1", SEED, &place(turns));
            let token = WaitToken::parse(&text).unwrap();
            assert_eq!((&*token.run, &token.place), ("run-1", &place(turns)));
            assert!(token.proves(SEED) && !token.proves(b"0123456789abcdeF"));
        }
        let text = WaitToken::mint("run-1", SEED, &place(&[1]));
        for other in
            [text.replace("run-1", "run-2"), text.replace("~7.1~", "~7.2~"), text.replace("~7.1~", "~7~")]
        {
            assert!(!WaitToken::parse(&other).unwrap().proves(SEED), "{other}");
        }
        let (head, last) = text.split_at(text.len() - 1);
        let forged = format!("{head}{}", if last == "0" { '1' } else { '0' });
        assert!(!WaitToken::parse(&forged).unwrap().proves(SEED));
        assert!(!format!("{:?}", WaitToken::parse(&text)).contains(text.rsplit('~').next().unwrap()));
    }

    #[test]
    fn codes_are_not_shown() {
        let token = WaitToken::mint("r", SEED, &place(&[2]));
        let code = token.rsplit('~').next().unwrap();
        let text = format!("{{\"a\": \"http://x/resume/{token}?a\", \"b\": \"{token}\"}} ~7~{code}");
        let masked = WaitToken::mask(&text).unwrap();
        assert_eq!(masked, r#"{"a": "http://x/resume/r~7.2~***?a", "b": "r~7.2~***"} ~7~***"#);
        for harmless in ["", "~", "a~b~c", "~~", code, &format!("~{code}"), &format!("a~b~{code}"), "r~7~é"]
        {
            assert_eq!(WaitToken::mask(harmless), None, "{harmless}");
        }
    }

    #[test]
    fn what_is_no_token_is_none() {
        let good = WaitToken::mint("r", SEED, &place(&[]));
        for bad in [
            String::new(),
            "r".into(),
            "r~7".into(),
            "r~7~".into(),
            format!("{good}~"),
            format!("{good}0"),
            good.replace("~7~", "~-7~"),
            good.replace("~7~", "~99999999999~"),
            good.replace("~7~", "~7.~"),
            good.trim_start_matches('r').to_owned(),
            format!("r~7~{}", "é".repeat(16)),
            format!("r~7~{}", "+1".repeat(16)),
            "r".repeat(1_000) + &good,
        ] {
            assert!(WaitToken::parse(&bad).is_none(), "{bad}");
        }
    }
}
