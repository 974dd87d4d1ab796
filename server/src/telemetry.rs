//! Logging: to standard error, so that standard output stays for what was asked for.

use std::io;

use tracing_subscriber::{EnvFilter, fmt};

use crate::config::{Config, LogFormat};

/// What the database says below a warning.
const QUIET_NOTICES: &str = "sqlx::postgres::notice=warn";

/// Starts logging. Once per process.
pub fn start(config: &Config) {
    // Config has parsed it already; should it fail here, everything is better than nothing.
    let filter = EnvFilter::try_new(&config.log).unwrap_or_default();
    // PostgreSQL remarks at every start that the migrations' table exists.
    let filter = filter.add_directive(QUIET_NOTICES.parse().expect("a constant directive, run at every start"));
    let subscriber = fmt().with_env_filter(filter).with_writer(io::stderr);
    match config.log_format {
        LogFormat::Text => subscriber.with_ansi(io::IsTerminal::is_terminal(&io::stderr())).init(),
        LogFormat::Json => subscriber.json().flatten_event(true).init(),
    }
}
