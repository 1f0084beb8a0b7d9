//! What a flow is, and what a run does next.
//!
//! A flow's YAML is read, checked and lowered to a [`Plan`] of ten instructions. A [`Run`] executes it: facts in, effects
//! out, and nothing else: no clock, no dice, no socket. Recovery, waking, trying and testing are all the same replay.
//!
//! | to find | look in |
//! |---|---|
//! | a verb | `step_kinds/<verb>.rs`; the table is `step_kinds.rs` |
//! | what a flow may ask of the world | `effect.rs` |
//! | the machine | `run.rs` |
//! | the checks while loading | `lowering.rs`, `lowering/names.rs`, `lowering/paths.rs` |

mod arm;
mod attempt;
mod call_body;
mod call_url;
mod deep_stack;
mod effect;
mod fact;
mod fault;
mod flow;
mod integration;
mod lowering;
mod place;
mod place_code;
mod plan;
#[cfg(test)]
mod proof;
mod reading;
mod rehearsal;
mod retrace;
mod retry;
mod run;
mod sent_file;
mod status_set;
mod step_kind;
pub mod step_kinds;
mod subscription;
mod wait_token;
mod written;

pub use arm::{Arm, Choice, Seen, Times};
pub use attempt::{
    ATTEMPT_BODY, ATTEMPT_BODY_KEPT, Attempt, KeptBody, MASK, MASKED_IN_REQUESTS, SentHop, SentRequest,
    UnreadAnswer, header_texts,
};
pub use call_body::{CallBody, FileRef, Multipart, Part, Piece};
pub use call_url::CallUrl;
pub use effect::{
    Ask, Effect, Emission, HttpCall, LogLevel, LogLine, Reply, ResponseFormat, SubRun, Via, Waiting,
};
pub use fact::{End, Fact, Outcome};
pub use fault::{Blame, Fault, FaultKind};
pub use flow::{
    Ack, Dedupe, Durability, Enabled, Expect, ExpectedCall, ExpectedCalls, ExpectedEmit, ExpectedError,
    ExpectedLog, Expects, FLOW, Flow, Mismatch, Mock, MockOutcome, OnTimeout, Queue, Sample, SampleRefused,
    Signing, Surroundings, TestCase, TestRequest, Took, Webhook,
};
pub use integration::{
    EXAMPLE_INTEGRATION, Header, INTEGRATION, Integration, Integrations, OutboundWebhook, Outlet, POOL,
    PROXY, PoolRule, ProxyRule, TlsFiles,
};
pub use place::{Place, StepNumber};
pub use place_code::transactional_id;
pub use plan::{Asked, Plan, StepInfo};
pub use rehearsal::{Answer, Rehearsal, StepTrace, World, rehearse, rehearse_in};
pub use retrace::{Retraced, RetracedStep, facts_before, retrace};
pub use retry::read_retry_after;
pub use run::{Diverged, Run, Start};
pub use status_set::StatusSet;
pub use step_kind::{Asking, Example, StepKind};
pub use step_kinds::emit::is_event_name;
pub use subscription::{Message, Pattern, SUBSCRIPTION, Subscription, Subscriptions};
pub use wait_token::WaitToken;
