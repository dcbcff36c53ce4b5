//! `tress-load`: requests as fast as they are answered, over a few connections, from one thread on one CPU.
//!
//! Each connection has one request under way: the next is sent when the last byte of the answer has come and been
//! checked. Before the clock starts every connection has been opened, TLS included, and has had one answer. What was
//! measured is printed as one JSON object. `tress-load serve` is the other end, for comparison: an echo server with as
//! little between the socket and the socket as epoll allows.
//!
//! `arguments` says what is asked for, `load` drives the connections, each a `link` (the bytes, plain or TLS) and an
//! `exchange` (what is sent, and what must come back: `echo`, `http`); `report` counts.
#![forbid(unsafe_code)]

mod arguments;
mod echo;
mod exchange;
mod http;
mod link;
mod load;
mod process;
mod report;
mod serve;

use std::process::ExitCode;

use arguments::{Command, Kind};

/// The arguments were wrong, or what they name is not there.
const UNUSABLE: u8 = 2;

fn main() -> ExitCode {
    let command = match arguments::parse(lexopt::Parser::from_env()) {
        Ok(command) => command,
        Err(error) => return unusable(&error),
    };
    let done = match command {
        Command::Help => {
            print!("{}", arguments::USAGE);
            return ExitCode::SUCCESS;
        }
        Command::Serve(plan) => serve::run(&plan).map(|()| ExitCode::SUCCESS),
        Command::Load(plan) => generate(&plan),
    };
    done.unwrap_or_else(|error| unusable(&error))
}

fn generate(plan: &arguments::Load) -> Result<ExitCode, String> {
    let report = match &plan.kind {
        Kind::Echo { size } => {
            let bytes = echo::Echo::bytes(*size);
            load::run(plan, |index| echo::Echo::new(&bytes, index))
        }
        Kind::Http(expected) => load::run(plan, |_| http::Http::new(expected)),
    }?;
    println!("{}", report.json());
    for failure in &report.failures {
        eprintln!("tress-load: {failure}");
    }
    Ok(if report.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn unusable(error: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("tress-load: {error}");
    ExitCode::from(UNUSABLE)
}
