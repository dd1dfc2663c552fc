//! Where each millisecond of a start goes, as a picture.

use std::fmt::Write as _;

/// A step of a start.
pub struct Phase {
    pub what: &'static str,
    /// Ours, or Docker's and Python's.
    pub ours: bool,
    /// Milliseconds; absent when a start has no such step.
    pub cold: Option<f64>,
    pub warm: Option<f64>,
}

const WIDTH: f64 = 860.0;
const LEFT: f64 = 300.0;
const LINE: f64 = 20.0;

/// Two stairs, one for a cold start and one for a warm one: each step begins where the one before it ended.
pub fn draw(phases: &[Phase]) -> String {
    let stairs: [(&str, Vec<(&Phase, f64)>); 2] = [
        ("Cold start", phases.iter().filter_map(|phase| Some((phase, phase.cold?))).collect()),
        ("Warm start: its container waits", phases.iter().filter_map(|phase| Some((phase, phase.warm?))).collect()),
    ];
    let steps: usize = stairs.iter().map(|(_, steps)| steps.len()).sum();
    #[expect(clippy::cast_precision_loss, reason = "a handful")]
    let height = steps as f64 * LINE + 150.0;
    let longest = stairs.iter().map(|(_, steps)| steps.iter().map(|(_, ms)| ms).sum::<f64>()).fold(1.0, f64::max);
    let scale = (WIDTH - LEFT - 90.0) / longest;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"system-ui, sans-serif\" \
         font-size=\"13\" role=\"img\" aria-label=\"Where the time of a start goes\">\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#ffffff\"/>\n"
    );
    let mut y = 30.0;
    for (title, steps) in &stairs {
        let sum: f64 = steps.iter().map(|(_, ms)| ms).sum();
        let _ = writeln!(svg, "<text x=\"16\" y=\"{y}\" font-weight=\"600\">{title}: {sum:.0} ms in all</text>");
        y += 12.0;
        let mut at = 0.0;
        for (phase, ms) in steps {
            let (x, wide) = (LEFT + at * scale, (ms * scale).max(1.5));
            let fill = if phase.ours { "#c2410c" } else { "#94a3b8" };
            let _ = writeln!(
                svg,
                "<text x=\"{}\" y=\"{}\" text-anchor=\"end\" fill=\"#334155\">{}</text>\
                 <rect x=\"{x:.1}\" y=\"{}\" width=\"{wide:.1}\" height=\"13\" rx=\"2\" fill=\"{fill}\"/>\
                 <text x=\"{:.1}\" y=\"{}\" fill=\"#334155\">{}</text>",
                LEFT - 12.0,
                y + 13.0,
                phase.what,
                y + 3.0,
                x + wide + 6.0,
                y + 14.0,
                number(*ms),
            );
            at += ms;
            y += LINE;
        }
        y += 34.0;
    }
    let _ = writeln!(
        svg,
        "<rect x=\"16\" y=\"{0}\" width=\"13\" height=\"13\" rx=\"2\" fill=\"#c2410c\"/><text x=\"36\" y=\"{1}\">Fast-Flow</text>\
         <rect x=\"126\" y=\"{0}\" width=\"13\" height=\"13\" rx=\"2\" fill=\"#94a3b8\"/><text x=\"146\" y=\"{1}\">Docker and Python</text>\n</svg>",
        y - 8.0,
        y + 3.0
    );
    svg
}

fn number(ms: f64) -> String {
    if ms < 10.0 { format!("{ms:.1} ms") } else { format!("{ms:.0} ms") }
}
