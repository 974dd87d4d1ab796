//! The signalbox binary: command line, configuration, HTTP, starting and stopping.
//!
//! It refuses to hold rules: what may happen is decided in `engine` and `domain`.

#![recursion_limit = "256"] // the types of nested views are deep; laying out the futures that render them goes as deep

pub mod assets;
mod bench;
pub mod cli;
pub mod config;
pub mod http;
pub mod lifecycle;
mod telemetry;
