//! Numbers as people read them, the same on the server and in the browser.

/// A duration: `245 ms`, `1.2 s`, `3 min 5 s`, `2 h 4 min`, `5 d 3 h`.
///
/// ```
/// assert_eq!(domain::human_ms(245), "245 ms");
/// assert_eq!(domain::human_ms(1_249), "1.2 s");
/// assert_eq!(domain::human_ms(185_000), "3 min 5 s");
/// ```
pub fn human_ms(ms: i64) -> String {
    let ms = ms.max(0);
    let seconds = ms / 1000;
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..60_000 if ms % 1000 < 100 => format!("{seconds} s"),
        1_000..60_000 => format!("{seconds}.{} s", ms % 1000 / 100),
        60_000..3_600_000 => two_units(seconds / 60, "min", seconds % 60, "s"),
        3_600_000..86_400_000 => two_units(seconds / 3600, "h", seconds / 60 % 60, "min"),
        _ => two_units(seconds / 86_400, "d", seconds / 3600 % 24, "h"),
    }
}

fn two_units(large: i64, large_unit: &str, small: i64, small_unit: &str) -> String {
    if small == 0 { format!("{large} {large_unit}") } else { format!("{large} {large_unit} {small} {small_unit}") }
}

/// A size: `512 B`, `1.5 KB`, `10 MB` (powers of 1024).
///
/// ```
/// assert_eq!(domain::human_bytes(1_536), "1.5 KB");
/// ```
pub fn human_bytes(bytes: u64) -> String {
    let (unit, name) = match bytes {
        0..1_024 => return format!("{bytes} B"),
        1_024..1_048_576 => (1_024, "KB"),
        _ => (1_048_576, "MB"),
    };
    let tenths = bytes * 10 / unit;
    if tenths.is_multiple_of(10) {
        format!("{} {name}", tenths / 10)
    } else {
        format!("{}.{} {name}", tenths / 10, tenths % 10)
    }
}
