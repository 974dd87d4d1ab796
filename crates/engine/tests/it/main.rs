//! The engine as a whole: a real SQLite file, a real receiver on the loopback interface, a clock that the test moves.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop where it is")]

mod clock_jumps;
mod dead_letters;
mod delivery;
mod failover;
mod harness;
mod health;
mod hostile;
mod lifecycle;
mod oauth;
mod pace;
mod replays;
mod retention;
