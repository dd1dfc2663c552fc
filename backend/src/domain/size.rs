//! Sizes as people write them: `"512m"`, `"1.5g"`, `1048576`. Units are binary, as Docker counts them.

use thiserror::Error;

/// The least memory that Docker gives a container, in bytes.
pub const MIN_MEMORY: u64 = 6 << 20;

/// A size that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is not a size: write a number with an optional unit b, k, m, g or t, like \"512m\" or \"1.5g\"")]
pub struct BadSize(pub String);

/// Reads a size in bytes. Case does not matter; `m`, `mb` and `mib` are the same.
///
/// # Errors
/// [`BadSize`] when it is not a number with a known unit, or not above zero.
pub fn parse_bytes(text: &str) -> Result<u64, BadSize> {
    let bad = || BadSize(text.to_owned());
    let lower = text.trim().to_ascii_lowercase();
    let split = lower.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(lower.len());
    let (number, unit) = lower.split_at(split);
    let number: f64 = number.parse().map_err(|_| bad())?;
    let shift = match unit.trim() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => return Err(bad()),
    };
    #[expect(clippy::cast_precision_loss, reason = "a power of two up to 2^40 is exact")]
    let bytes = number * (1_u64 << shift) as f64;
    // Not a number is in no range.
    if !(1.0..=9.0e15).contains(&bytes) {
        return Err(bad());
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked above")]
    let bytes = bytes as u64;
    Ok(bytes)
}

/// Writes a size with at most one decimal, e.g. `512 MB` or `1.5 GB`.
#[must_use]
pub fn format_bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    #[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let text = format!("{value:.1}");
    format!("{} {}", text.strip_suffix(".0").unwrap_or(&text), UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_of_any_case_and_unit() {
        for (text, bytes) in [
            ("512m", 512 << 20),
            ("512M", 512 << 20),
            ("1.5g", 3 << 29),
            ("1G", 1 << 30),
            ("64 MiB", 64 << 20),
            ("1048576", 1 << 20),
            ("10b", 10),
            ("2kb", 2048),
        ] {
            assert_eq!(parse_bytes(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "m", "-1m", "1x", "0", "0m", "1e3m", "nan", "1.2.3g", "99999999t"] {
            assert!(parse_bytes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn shown_short() {
        assert_eq!(format_bytes(512 << 20), "512 MB");
        assert_eq!(format_bytes(3 << 29), "1.5 GB");
        assert_eq!(format_bytes(7), "7 B");
    }
}
