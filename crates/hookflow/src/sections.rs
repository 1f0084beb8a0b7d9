//! The table of sections. To add one: a file in `sections/`, a `mod` line and a line in [`ALL`].

mod log;
mod ops;
mod outbound;
mod public;
mod reload;
mod retention;
mod shutdown;
mod store;

pub(crate) use log::{Log, LogFormat};
pub(crate) use ops::Ops;
pub(crate) use outbound::Outbound;
pub(crate) use public::Public;
pub(crate) use reload::Reload;
pub(crate) use shutdown::Shutdown;
pub(crate) use store::Store;

use crate::section::Section;

/// Every section, by key.
pub(crate) static ALL: &[&Section] = &[
    &log::SECTION,
    &ops::SECTION,
    &outbound::SECTION,
    &public::SECTION,
    &reload::SECTION,
    &retention::SECTION,
    &shutdown::SECTION,
    &store::SECTION,
];
