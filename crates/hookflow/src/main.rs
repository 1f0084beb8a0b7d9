//! The hookflow binary: the commands, the configuration, and the assembly of all the other crates.
//!
//! The only crate that reads configuration and the environment. A command is a file in `commands/`, a section of
//! `config/hookflow.yaml` a file in `sections/`; `project.rs` loads a folder, `assembly.rs` builds the service.

mod assembly;
mod command;
mod commands;
mod config;
mod environment;
#[cfg(feature = "fault-points")]
mod faults;
mod in_force;
mod inventory;
mod kept;
mod listing;
mod logging;
mod named_credential;
mod one_call;
mod ops_client;
mod outlets;
mod pages;
mod project;
mod recorded_request;
mod reload;
mod report;
mod rig;
mod schemas;
mod secrets;
mod section;
mod sections;
mod seen;
mod starter;
mod terminal;

#[cfg(test)]
mod documents;

use std::process::ExitCode;
use terminal::Terminal;

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    #[cfg(feature = "fault-points")]
    if let Some(ended) = faults::arm() {
        return ended;
    }
    let matches = commands::cli().get_matches();
    commands::run(&matches, &mut Terminal::of_process())
}
