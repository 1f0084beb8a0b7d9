//! Judges what callers, the target and the operator saw of a service that was killed: `judge <folder>`. It asks nobody
//! else, least of all the service.

use std::path::Path;
use std::process::ExitCode;
use xtask::judge::{Case, SOUND, judge};

fn main() -> anyhow::Result<ExitCode> {
    let Some(folder) = std::env::args().nth(1) else {
        eprintln!("judge <folder>");
        return Ok(ExitCode::from(2));
    };
    let case = Case::read(Path::new(&folder))?;
    println!("{}", case.summary());
    let findings = judge(&case);
    for finding in &findings {
        println!("{finding}");
    }
    print!("{}", if findings.is_empty() { SOUND } else { "it does not hold\n" });
    Ok(if findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
