//! Delays as people type them: `90`, `30s`, `5m`, `2h`, `1d`. Whole units only; limits are `domain`'s.

/// Seconds per unit, the longest first.
const UNITS: [(u32, char); 4] = [(86_400, 'd'), (3_600, 'h'), (60, 'm'), (1, 's')];

/// Seconds that `text` means. A number without a unit counts seconds.
pub fn seconds(text: &str) -> Result<u32, String> {
    let text = text.trim();
    let unit = UNITS.iter().find_map(|(seconds, unit)| Some((text.strip_suffix(*unit)?, *seconds)));
    let (number, unit) = unit.unwrap_or((text, 1));
    let parsed = number.trim_end().parse::<u32>().ok().and_then(|number| number.checked_mul(unit));
    parsed.ok_or_else(|| format!("\"{text}\" is not a delay; write 30s, 5m, 2h or 1d"))
}

/// The shortest text that means `seconds`.
pub fn text(seconds: u32) -> String {
    let fits = |(unit, _): &&(u32, char)| seconds >= *unit && seconds.is_multiple_of(*unit);
    let (unit, name) = UNITS.iter().find(fits).unwrap_or(&(1, 's'));
    format!("{}{name}", seconds / unit)
}

/// The delays of a list, between commas or spaces.
pub fn list(text: &str) -> Result<Vec<u32>, String> {
    text.split([',', ' ', '\n', ';']).filter(|part| !part.is_empty()).map(seconds).collect()
}

/// A list as it is typed.
pub fn list_text(delays: &[u32]) -> String {
    delays.iter().map(|delay| text(*delay)).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_back() {
        let delays = [5, 60, 90, 300, 3_600, 86_400, 604_800];
        assert_eq!(list_text(&delays), "5s, 1m, 90s, 5m, 1h, 1d, 7d");
        assert_eq!(list(&list_text(&delays)), Ok(delays.to_vec()));
        assert_eq!(list(" 5 ,10s;2h\n"), Ok(vec![5, 10, 7_200]));
        assert_eq!(text(0), "0s");
    }

    #[test]
    fn names_what_it_cannot_read() {
        for wrong in ["x", "5x", "1.5h", "-3s", "99999999d", "s"] {
            assert_eq!(seconds(wrong), Err(format!("\"{wrong}\" is not a delay; write 30s, 5m, 2h or 1d")));
        }
    }
}
