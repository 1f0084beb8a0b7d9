//! Who may knock, and what they brought: from a received request to a verified, decoded event.
//!
//! ```text
//! Received ─Auth::verify→ Authenticated ─decode→ Event
//! ```
//! Each arrow consumes its left side, so nothing that is not authenticated can be decoded. Nothing here waits, reads a
//! clock, rolls dice, logs or touches a socket: time and IDs come in as arguments.

mod allow_from;
mod auth;
mod auth_scheme;
mod auth_schemes;
mod blob;
mod body;
mod charset;
mod content_encoding;
mod credentials;
mod decoder;
mod decoders;
mod encoding;
mod event;
mod handshake;
mod handshakes;
mod header_value;
mod headers;
mod media_type;
mod presets;
mod properties;
mod request;
mod route;

pub use allow_from::AllowFrom;
pub use auth::{Auth, Authenticated, HeadVerdict, Unauthorized};
pub use auth_scheme::{AuthScheme, CannotSign, ReplayId};
pub use auth_schemes::{Certificate, Fetched, auth_schemes};
pub use blob::{Blob, BlobFault, BlobReader, Blobs};
pub use body::{Body, Gathering, Means, SPOOL_ABOVE};
pub use credentials::{CREDENTIALS, Credential, Credentials};
pub use decoder::{BodySpec, DecodeRefusal, Decoder, XML_SHAPE};
pub use decoders::{decode_xml, decoders};
pub use encoding::{base64 as from_base64, to_base64};
pub use event::{Event, EventRecord, Origin, RecordFault, Sample, SampleBody, decode};
pub use handshake::{Handshake, HandshakeAnswer, HandshakeRefusal};
pub use handshakes::handshakes;
pub use presets::{Preset, presets};
pub use request::{Head, Received};
pub use route::{METHODS, Methods, Params, PathPattern, Route};
