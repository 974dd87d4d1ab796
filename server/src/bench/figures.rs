//! What was measured: named numbers, medians of rounds, and how they are printed.
//!
//! A name ends with its unit: `_per_s`, `_ms`, `_mb`, `_s_per_1000`. The table and the JSON use the same names.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::{Measure, process::Cpu};

/// The numbers of one round, in the order in which they are read.
#[derive(Default)]
pub(super) struct Figures(Vec<(&'static str, f64)>);

impl Figures {
    pub(super) fn add(&mut self, name: &'static str, value: f64) {
        self.0.push((name, value));
    }

    /// Percentiles of microseconds, in milliseconds.
    pub(super) fn add_percentiles(&mut self, names: &[(&'static str, usize)], mut us: Vec<u64>) {
        us.sort_unstable();
        for (name, percent) in names {
            let index = (us.len() * percent / 100).min(us.len().saturating_sub(1));
            self.add(name, float(us.get(index).copied().unwrap_or_default()) / 1000.0);
        }
    }

    /// What `deliveries` cost.
    pub(super) fn add_cpu(&mut self, cpu: Cpu, deliveries: f64) {
        self.add("cpu_server_s_per_1000", cpu.server_s / deliveries * 1000.0);
        self.add("cpu_database_s_per_1000", cpu.database_s / deliveries * 1000.0);
    }

    /// The raw limit before and after, and what is left of it in the rate `name`.
    pub(super) fn add_ratio_to_raw(&mut self, name: &'static str, [before, after]: [f64; 2]) {
        self.add("raw_before_per_s", before);
        self.add("raw_after_per_s", after);
        self.add("ratio_to_raw", self.get(name) / f64::midpoint(before, after));
    }

    pub(super) fn get(&self, name: &str) -> f64 {
        self.0.iter().find(|(found, _)| *found == name).map_or(f64::NAN, |(_, value)| *value)
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
pub(super) fn float(count: u64) -> f64 {
    count as f64
}

/// Of an even count, the mean of the two in the middle.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let last = values.len().saturating_sub(1);
    f64::midpoint(values[last / 2], values[last.div_ceil(2)])
}

/// Name, median, and the value of each round.
fn summary(rounds: &[Figures]) -> impl Iterator<Item = (&'static str, f64, Vec<f64>)> {
    let names = rounds.first().map_or(&[][..], |first| &first.0[..]).iter().map(|(name, _)| *name);
    names.map(move |name| {
        let values: Vec<f64> = rounds.iter().map(|round| round.get(name)).collect();
        (name, median(values.clone()), values)
    })
}

/// Prints the medians of `rounds`, and each round when there are several.
#[expect(clippy::print_stdout, reason = "the report is what the command is for")]
pub(super) fn print<S: Measure>(scenario: &S, rounds: &[Figures]) {
    let database = if scenario.common().database.is_some() { "PostgreSQL" } else { "SQLite" };
    let asked = serde_json::to_value(scenario).unwrap_or_default();
    if scenario.common().json {
        let figures: Map<String, Value> = summary(rounds)
            .map(|(name, median, values)| (name.to_owned(), json!({"median": median, "rounds": values})))
            .collect();
        let report = json!({"scenario": S::NAME, "database": database, "asked": asked, "figures": figures});
        println!("{report:#}");
        return;
    }
    let mut text = format!("{} · {database}", S::NAME);
    for (name, value) in asked.as_object().into_iter().flatten() {
        write!(text, " · {name} {value}").expect("a String takes it");
    }
    for (name, median, values) in summary(rounds) {
        write!(text, "\n  {name:<28} {median:>12.3}").expect("a String takes it");
        if values.len() > 1 {
            let values: Vec<String> = values.iter().map(|value| format!("{value:.3}")).collect();
            write!(text, "   ({})", values.join(", ")).expect("a String takes it");
        }
    }
    println!("{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_in_the_middle() {
        assert_eq!(median(vec![3.0, 1.0, 9.0]).to_bits(), 3.0_f64.to_bits());
        assert_eq!(median(vec![4.0, 1.0]).to_bits(), 2.5_f64.to_bits());
    }

    #[test]
    fn percentiles_are_milliseconds_of_what_was_measured() {
        let mut figures = Figures::default();
        figures.add_percentiles(&[("p50_ms", 50), ("p99_ms", 99), ("max_ms", 100)], (1..=200).rev().collect());
        assert_eq!(
            [0.101, 0.199, 0.2].map(f64::to_bits),
            ["p50_ms", "p99_ms", "max_ms"].map(|n| figures.get(n).to_bits())
        );
    }
}
