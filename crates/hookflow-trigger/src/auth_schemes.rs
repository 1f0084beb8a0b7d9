//! The table of authentication schemes, in alphabetic order.

mod api_key;
mod basic;
mod hmac;
mod token;

pub(crate) use self::hmac::is_sns_host;
pub use self::hmac::{Certificate, Fetched};
use crate::auth_scheme::{Secrets, Verifier};
use crate::{AuthScheme, Preset};
use hookflow_text::{Diagnostics, Fields};

/// Every authentication scheme.
static SCHEMES: &[&AuthScheme] = &[&api_key::API_KEY, &basic::BASIC, &hmac::HMAC, &token::TOKEN];

/// The kinds of credentials.
pub fn auth_schemes() -> &'static [&'static AuthScheme] {
    SCHEMES
}

/// What a preset means, with what stands beside it. The preset says of which type it is.
pub(crate) fn load_preset(
    preset: &'static Preset,
    fields: &mut Fields<'_>,
    secrets: &Secrets<'_>,
    diagnostics: &mut Diagnostics,
) -> Option<Box<dyn Verifier>> {
    if preset.kind() == token::TOKEN.name {
        token::load_preset(preset, fields, secrets, diagnostics)
    } else {
        hmac::load_preset(preset, fields, secrets, diagnostics)
    }
}
