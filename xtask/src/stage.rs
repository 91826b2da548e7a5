//! Runs one stage of the test run and prints its seconds, so that a slow stage is seen.

use std::{
    process::{Command, ExitCode},
    time::Instant,
};

/// `stage NAME COMMAND ARG…`: exit code is the command's.
pub fn run(args: Vec<String>) -> ExitCode {
    let [name, command, rest @ ..] = args.as_slice() else {
        eprintln!("usage: xtask stage NAME COMMAND [ARG…]");
        return ExitCode::from(2);
    };
    println!("== {name}");
    let started = Instant::now();
    let status = Command::new(command).args(rest).status();
    let seconds = started.elapsed().as_secs_f64();
    match status {
        Ok(s) if s.success() => {
            println!("== {name}: ok, {seconds:.1} s");
            ExitCode::SUCCESS
        }
        Ok(s) => {
            println!("== {name}: FAILED ({s}), {seconds:.1} s");
            ExitCode::FAILURE
        }
        Err(e) => {
            println!("== {name}: cannot run `{command}`: {e}");
            ExitCode::FAILURE
        }
    }
}
