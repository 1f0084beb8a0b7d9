//! The table of authentication schemes, in alphabetic order.

mod api_key;
mod basic;
mod hmac;

use crate::AuthScheme;

/// Every authentication scheme.
static SCHEMES: &[&AuthScheme] = &[&api_key::API_KEY, &basic::BASIC, &hmac::HMAC];

/// The kinds of credentials.
pub fn auth_schemes() -> &'static [&'static AuthScheme] {
    SCHEMES
}
