//! Repository chores: `cargo run -p xtask -- floors` holds the law of the house over the manifests and files, `-- tags` the
//! bars of the tag catalogue.

mod floors;
mod stage;
mod tags;

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    match args.next().as_deref() {
        Some("floors") => floors::run(),
        Some("tags") => tags::run(args.collect()),
        Some("stage") => stage::run(args.collect()),
        _ => {
            eprintln!("usage: xtask floors | xtask tags [write] | xtask stage NAME COMMAND [ARG…]");
            ExitCode::from(2)
        }
    }
}
