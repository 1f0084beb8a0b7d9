//! The senders whose way of signing is code, in alphabetic order of their presets.

mod adyen_payments;
mod aws_sns;
mod contentful;
mod paypal;

pub(crate) use self::aws_sns::is_host as is_sns_host;
use crate::Preset;
use crate::auth_scheme::{Secrets, Verifier};
use hookflow_text::{Diagnostics, Fields};

/// One of them.
pub(super) struct Sender {
    preset: &'static str,
    pub(super) load: Load,
}

/// Reads what stands beside the preset.
type Load = fn(&'static Preset, &mut Fields<'_>, &Secrets<'_>, &mut Diagnostics) -> Option<Box<dyn Verifier>>;

static SENDERS: &[&Sender] =
    &[&adyen_payments::SENDER, &aws_sns::SENDER, &contentful::SENDER, &paypal::SENDER];

/// The sender behind a preset.
pub(super) fn find(preset: &str) -> Option<&'static Sender> {
    SENDERS.iter().copied().find(|sender| sender.preset == preset)
}
