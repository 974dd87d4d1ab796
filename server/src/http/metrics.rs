//! Figures in the Prometheus text format, written by hand: it is two lines of explanation and one of value per figure.

use std::fmt::Write as _;

use engine::Metrics;

/// All figures.
pub fn render(metrics: &Metrics) -> String {
    let Metrics { events_accepted, attempts_succeeded, attempts_failed, in_flight, in_hand, database_reads } = *metrics;
    let mut out = String::new();
    let mut family = |name: &str, kind: &str, help: &str, samples: &[(&str, u64)]| {
        // A String takes everything.
        let _ = write!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
        for (labels, value) in samples {
            let _ = writeln!(out, "{name}{labels} {value}");
        }
    };
    let gauge = |value: usize| u64::try_from(value).unwrap_or(u64::MAX);
    let version = concat!("{version=\"", env!("CARGO_PKG_VERSION"), "\"}");
    family("signalbox_build_info", "gauge", "The version that runs.", &[(version, 1)]);
    family("signalbox_events_accepted_total", "counter", "Events stored.", &[("", events_accepted)]);
    family(
        "signalbox_attempts_total",
        "counter",
        "Delivery tries that ended.",
        &[("{outcome=\"succeeded\"}", attempts_succeeded), ("{outcome=\"failed\"}", attempts_failed)],
    );
    family(
        "signalbox_in_flight",
        "gauge",
        "Tries in flight: begun, and their outcome not stored.",
        &[("", gauge(in_flight))],
    );
    family("signalbox_in_hand", "gauge", "Deliveries in flight or waiting in memory.", &[("", gauge(in_hand))]);
    family("signalbox_database_reads_total", "counter", "Questions to the database.", &[("", database_reads)]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_as_prometheus_wants_it() {
        let text = render(&Metrics { events_accepted: 7, attempts_failed: 2, ..Metrics::default() });
        for line in [
            "# TYPE signalbox_events_accepted_total counter",
            "signalbox_events_accepted_total 7",
            "signalbox_attempts_total{outcome=\"failed\"} 2",
            "signalbox_in_flight 0",
        ] {
            assert!(text.lines().any(|other| other == line), "{line} is missing in\n{text}");
        }
        assert!(text.ends_with('\n'));
    }
}
