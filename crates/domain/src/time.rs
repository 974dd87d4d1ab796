//! A moment in time, and the three ways this product writes one. There is no clock here.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Milliseconds since 1970-01-01T00:00:00Z.
///
/// Serialized as an RFC 3339 text in UTC with milliseconds.
///
/// ```
/// use domain::Timestamp;
/// assert_eq!(Timestamp::from_millis(1_614_265_330_500).to_string(), "2021-02-25T15:02:10.500Z");
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// From milliseconds since the epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the epoch.
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch, as Standard Webhooks writes them.
    pub const fn unix_seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// The moment `ms` milliseconds later (earlier when negative).
    #[must_use]
    pub const fn plus_ms(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Milliseconds from `earlier` to this moment; negative when it is later.
    pub const fn since_ms(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Start of the minute that this moment is in: the key of a rollup row.
    pub const fn minute(self) -> i64 {
        self.0.div_euclid(60_000)
    }

    /// Reads RFC 3339 (`2026-11-22T10:00:00Z`, offsets and fractions allowed) or a bare date, which means its
    /// midnight in UTC.
    pub fn parse(text: &str) -> Option<Self> {
        let (date, rest) = (text.get(..10)?, text.get(10..)?);
        let (year, month, day) = (date.get(..4)?.parse().ok()?, two(date.get(5..7)?)?, two(date.get(8..10)?)?);
        if date.as_bytes()[4] != b'-'
            || date.as_bytes()[7] != b'-'
            || !(1..=12).contains(&month)
            || !(1..=31).contains(&day)
        {
            return None;
        }
        let midnight = days_from_civil(year, month, day) * 86_400_000;
        if rest.is_empty() {
            return Some(Self(midnight));
        }
        let rest = rest.strip_prefix(['T', 't', ' '])?;
        let clock = rest.get(..8)?;
        let (hour, minute, second) = (two(clock.get(..2)?)?, two(clock.get(3..5)?)?, two(clock.get(6..8)?)?);
        if clock.as_bytes()[2] != b':' || clock.as_bytes()[5] != b':' || hour > 23 || minute > 59 || second > 60 {
            return None;
        }
        let rest = rest.get(8..)?;
        let (fraction, zone) = match rest.strip_prefix('.') {
            Some(fraction) => fraction.split_at(fraction.find(|c: char| !c.is_ascii_digit())?),
            None => ("", rest),
        };
        let millis: i64 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
        let offset_minutes = match zone {
            "Z" | "z" => 0,
            _ => {
                let sign = match zone.as_bytes().first()? {
                    b'+' => 1,
                    b'-' => -1,
                    _ => return None,
                };
                let (hours, minutes) = zone.get(1..)?.split_once(':')?;
                sign * (two(hours)? * 60 + two(minutes)?)
            }
        };
        Some(Self(midnight + ((hour * 60 + minute - offset_minutes) * 60 + second) * 1000 + millis))
    }
}

/// A two-digit number.
fn two(text: &str) -> Option<i64> {
    (text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())?
}

/// Reads the date form of `Retry-After` (RFC 9110 §5.6.7, `IMF-fixdate` only: the two obsolete forms are not sent any more).
pub fn parse_http_date(text: &str) -> Option<Timestamp> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let mut words = text.trim().split(' ');
    words.next()?.strip_suffix(',')?;
    let day = two(words.next()?)?;
    let name = words.next()?;
    let month = MONTHS.iter().position(|month| *month == name)? + 1;
    let year = words.next()?;
    let clock = words.next()?;
    if words.next()? != "GMT" || words.next().is_some() {
        return None;
    }
    Timestamp::parse(&format!("{year}-{month:02}-{day:02}T{clock}Z"))
}

/// Days since 1970-01-01 of a date in the proleptic Gregorian calendar.
const fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// Year, month and day of a count of days since 1970-01-01.
const fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month, day_of_year - (153 * shifted_month + 2) / 5 + 1)
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, millis) = (self.0.div_euclid(86_400_000), self.0.rem_euclid(86_400_000));
        let (year, month, day) = civil_from_days(days);
        let seconds = millis / 1000;
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:03}Z",
            seconds / 3600,
            seconds / 60 % 60,
            seconds % 60,
            millis % 1000
        )
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text)
            .ok_or_else(|| serde::de::Error::custom("expected an RFC 3339 time such as 2026-11-22T10:00:00Z"))
    }
}

#[cfg(feature = "openapi")]
impl utoipa::PartialSchema for Timestamp {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, Type};
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
            .examples(["2026-11-22T10:00:00.000Z"])
            .into()
    }
}

#[cfg(feature = "openapi")]
impl utoipa::ToSchema for Timestamp {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_what_people_and_programs_write() {
        for (text, millis) in [
            ("1970-01-01", 0),
            ("2021-02-25T15:02:10Z", 1_614_265_330_000),
            ("2021-02-25T15:02:10.5Z", 1_614_265_330_500),
            ("2021-02-25T16:02:10.123456+01:00", 1_614_265_330_123),
            ("2000-02-29T23:59:59Z", 951_868_799_000),
        ] {
            assert_eq!(Timestamp::parse(text), Some(Timestamp::from_millis(millis)), "{text}");
        }
        for text in
            ["", "now", "2021-13-01", "2021-02-25T15:02", "2021-02-25T15:02:10", "2021-02-25T25:02:10Z", "é021-02-25"]
        {
            assert_eq!(Timestamp::parse(text), None, "{text}");
        }
    }

    #[test]
    fn reads_http_dates() {
        assert_eq!(parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Timestamp::from_millis(784_111_777_000)));
        assert_eq!(parse_http_date("soon"), None);
    }

    proptest! {
        #[test]
        fn text_and_back(millis in -62_135_596_800_000_i64..253_402_300_800_000) {
            let time = Timestamp::from_millis(millis);
            prop_assert_eq!(Timestamp::parse(&time.to_string()), Some(time));
        }

        #[test]
        fn never_panics(text in ".{0,40}") {
            let _ = Timestamp::parse(&text);
            let _ = parse_http_date(&text);
        }
    }
}
