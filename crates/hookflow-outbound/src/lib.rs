//! The only outgoing calls. Every connection the process opens to somebody else goes through one dialer, which judges
//! the address it is about to connect to. One call is one try: whether to try again is the engine's matter.

mod address;
mod call_fault;
mod caller;
mod dialer;
mod outgoing;
mod policy;
mod proxy;
mod redirect;
#[cfg(feature = "scripted")]
mod scripted;
mod tls;

pub use call_fault::{CallFault, CallFaultKind};
pub use caller::Caller;
pub use outgoing::Outgoing;
pub use policy::Policy;
pub use proxy::Proxy;
pub use redirect::Hop;
#[cfg(feature = "scripted")]
pub use scripted::Script;
pub use tls::{Tls, TlsError};
