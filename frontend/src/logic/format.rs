//! Numbers in words: sizes, percentages, thousands.

/// A number with so many decimals. Written by hand, for the standard library's way is exact to the last of a
/// thousand digits and weighs more than a page of this application.
#[must_use]
pub fn fixed(value: f64, decimals: u32) -> String {
    let scale = 10_u64.pow(decimals);
    // Beyond what 64 bits hold the conversion saturates: such a number is no reading of ours.
    let scaled = (value.abs() * scale as f64).round() as u64;
    let sign = if value < 0.0 && scaled > 0 { "-" } else { "" };
    if decimals == 0 {
        return format!("{sign}{scaled}");
    }
    format!("{sign}{}.{:0width$}", scaled / scale, scaled % scale, width = decimals as usize)
}

/// A number as a field has it: `1.5`, to six decimals and without the zeros behind.
#[must_use]
pub fn plain(value: f64) -> String {
    let text = fixed(value, 6);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The number of a field. By the reader of JSON, which is there anyway: the library's weighs ten kilobytes.
#[must_use]
pub fn number(text: &str) -> Option<f64> {
    fastflow_shared::json::from_str(text.trim()).ok()
}

/// Bytes as `512 B`, `1.5 KiB`, `20 MiB`.
#[must_use]
pub fn bytes(bytes: f64, point: &str) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes.max(0.0);
    let mut unit = 0;
    while value >= 1_023.5 && unit + 1 < UNITS.len() {
        value /= 1_024.0;
        unit += 1;
    }
    format!("{} {}", decimal(value, point), UNITS[unit])
}

/// One decimal below ten, none above, and none when it would be zero.
#[must_use]
pub fn decimal(value: f64, point: &str) -> String {
    let tenths = (value * 10.0).round() / 10.0;
    if tenths.abs() < 10.0 && tenths.fract().abs() > 0.001 {
        fixed(tenths, 1).replace('.', point)
    } else {
        fixed(value, 0)
    }
}

/// `12,345` with the language's separator.
#[must_use]
pub fn thousands(n: i64, separator: &str) -> String {
    let digits = n.unsigned_abs().to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3 + 1);
    if n < 0 {
        out.push('-');
    }
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push_str(separator);
        }
        out.push(c);
    }
    out
}

/// The part of an id that a person can compare: UUIDv7 begins with the time, so its end tells runs apart.
#[must_use]
pub fn short_id(id: &str) -> &str {
    id.char_indices().rev().nth(7).map_or(id, |(at, _)| &id[at..])
}

/// The first seven characters of a commit.
#[must_use]
pub fn short_commit(commit: &str) -> &str {
    commit.char_indices().nth(7).map_or(commit, |(at, _)| &commit[..at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_has_its_number_back() {
        for (value, text) in [(1.5, "1.5"), (0.0, "0"), (512.0, "512"), (0.25, "0.25"), (-3.0, "-3"), (100.0, "100")] {
            assert_eq!(plain(value), text);
            assert_eq!(number(&format!(" {text} ")), Some(value));
        }
        assert_eq!((number(""), number("x"), number("1x")), (None, None, None));
    }

    #[test]
    fn sizes() {
        assert_eq!(bytes(0.0, "."), "0 B");
        assert_eq!(bytes(512.0, "."), "512 B");
        assert_eq!(bytes(1_536.0, ","), "1,5 KiB");
        assert_eq!(bytes(536_870_912.0, "."), "512 MiB");
        assert_eq!(bytes(1_073_700_000.0, "."), "1 GiB");
    }

    #[test]
    fn decimals() {
        for (value, decimals, text) in [
            (0.0, 1, "0.0"),
            (1.25, 1, "1.3"),
            (-0.04, 1, "0.0"),
            (-2.5, 1, "-2.5"),
            (99.95, 1, "100.0"),
            (7.0, 0, "7"),
            (1.005, 3, "1.005"),
            (f64::NAN, 1, "0.0"),
        ] {
            assert_eq!(fixed(value, decimals), text);
        }
    }

    #[test]
    fn separators() {
        assert_eq!(thousands(0, ","), "0");
        assert_eq!(thousands(999, ","), "999");
        assert_eq!(thousands(12_345, "."), "12.345");
        assert_eq!(thousands(-1_234_567, ","), "-1,234,567");
    }

    #[test]
    fn short_names() {
        assert_eq!(short_id("019a-abcdef12"), "abcdef12");
        assert_eq!(short_id("x"), "x");
        assert_eq!(short_commit("0123456789"), "0123456");
    }
}
