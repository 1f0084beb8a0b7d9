//! The order to die or to err at some point, which `cargo xtask crash` gives in `HOOKFLOW_FAULT`. Only programs that are
//! made for that take it.

use crate::environment::Environment;
use hookflow_runtime::{FAULT_POINTS, PLANTS, arm_faults};
use std::process::ExitCode;

const VARIABLE: &str = "HOOKFLOW_FAULT";

/// Takes the order. Returned is the end of a process that has nothing more to do: `list` names everything there is.
pub(crate) fn arm() -> Option<ExitCode> {
    let order = Environment::of_process().get(VARIABLE)?;
    let order = String::from_utf8_lossy(&order);
    if order == "list" {
        for name in FAULT_POINTS {
            println!("point {name}");
        }
        for name in PLANTS {
            println!("plant {name}");
        }
        return Some(ExitCode::SUCCESS);
    }
    let why = arm_faults(&order).err()?;
    eprintln!("{VARIABLE}: {why}");
    Some(ExitCode::from(2))
}
