//! The public door: webhooks come in here, and every answer to them goes out here.
//!
//! A request goes from the `connection` through the `guards` to the engine; `answer::respond` alone chooses what the
//! caller hears. Nothing else listens in public.

mod answer;
mod certificates;
mod connection;
mod delays;
mod door;
mod guards;
mod memory;
mod origin;
mod outside;
mod problem;
mod rates;
mod receive;
mod refusal;
mod rejections;
mod request_id;
mod seats;
mod socket;
mod target;
mod tls;
mod visits;
mod wire;

pub use certificates::{CERTIFICATE_BYTES, fetch_certificate};
pub use door::{Bound, Door, DoorLimits, DoorParts};
pub use origin::TrustedProxies;
pub use outside::{Getting, Outside};
pub use rejections::Rejections;
pub use tls::{Tls, TlsError, TlsFiles};
