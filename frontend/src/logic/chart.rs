//! Geometry of a small line chart: scales, ticks, and points as SVG wants them.

use super::format::fixed;

/// The drawing area; text stands outside the SVG, so it may stretch.
pub const WIDTH: f64 = 600.0;
/// Its height.
pub const HEIGHT: f64 = 120.0;

/// A round number at or above `max`, at which an axis can end.
#[must_use]
pub fn nice_top(max: f64) -> f64 {
    if !max.is_finite() || max <= 0.0 {
        return 1.0;
    }
    let power = 10_f64.powf(max.log10().floor());
    let lead = max / power;
    let step = [1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0].into_iter().find(|s| lead <= *s + 1e-9);
    step.unwrap_or(10.0) * power
}

/// Where a value lies from the top.
#[must_use]
pub fn y(value: f64, top: f64) -> f64 {
    HEIGHT - (value / top).clamp(0.0, 1.0) * HEIGHT
}

/// Where a time lies from the left.
#[must_use]
pub fn x(at: f64, first: f64, last: f64) -> f64 {
    if last <= first { WIDTH } else { (at - first) / (last - first) * WIDTH }
}

/// The path of a line through `(x, y)`; breaks where a value is missing.
#[must_use]
pub fn line(points: &[(f64, f64)]) -> String {
    let mut out = String::with_capacity(points.len() * 14);
    for (i, (x, y)) in points.iter().enumerate() {
        out.push(if i == 0 { 'M' } else { 'L' });
        out.push_str(&fixed(*x, 1));
        out.push(' ');
        out.push_str(&fixed(*y, 1));
    }
    out
}

/// The same, closed at the bottom.
#[must_use]
pub fn area(points: &[(f64, f64)]) -> String {
    match (points.first(), points.last()) {
        (Some((first, _)), Some((last, _))) => {
            let bottom = fixed(HEIGHT, 1);
            format!("{}L{} {bottom}L{} {bottom}Z", line(points), fixed(*last, 1), fixed(*first, 1))
        }
        _ => String::new(),
    }
}

/// Index of the point nearest to `fraction` of the width.
#[must_use]
pub fn nearest(points: &[(f64, f64)], fraction: f64) -> Option<usize> {
    let at = fraction * WIDTH;
    let gap = |i: &usize| (points[*i].0 - at).abs();
    (0..points.len()).min_by(|a, b| gap(a).total_cmp(&gap(b)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_end_at_round_numbers() {
        assert_eq!(nice_top(0.0), 1.0);
        assert_eq!(nice_top(97.3), 100.0);
        assert_eq!(nice_top(101.0), 150.0);
        assert_eq!(nice_top(512.0), 600.0);
        assert_eq!(nice_top(f64::NAN), 1.0);
    }

    #[test]
    fn values_stay_inside() {
        assert_eq!(y(200.0, 100.0), 0.0);
        assert_eq!(y(0.0, 100.0), HEIGHT);
        assert_eq!(x(5.0, 0.0, 10.0), WIDTH / 2.0);
        assert_eq!(x(5.0, 5.0, 5.0), WIDTH);
    }

    #[test]
    fn paths() {
        let points = [(0.0, 10.0), (300.0, 20.0), (600.0, 5.0)];
        assert_eq!(line(&points), "M0.0 10.0L300.0 20.0L600.0 5.0");
        assert!(area(&points).ends_with("L600.0 120.0L0.0 120.0Z"));
        assert_eq!(area(&[]), "");
        assert_eq!(nearest(&points, 0.6), Some(1));
        assert_eq!(nearest(&[], 0.6), None);
    }
}
