//! ANSI escape sequences of a log line: colours and emphasis become spans, everything else vanishes.
//!
//! Only SGR (`ESC [ … m`) has a meaning in a stored log; cursor movement and titles are dropped so that they do not
//! show as garbage. The 256 and true colours are mapped to the nearest of the 16 classic ones: those are tuned for
//! contrast in both themes, which a script's own RGB value cannot be.

/// How a piece of text looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Style {
    /// Foreground, 0–15.
    pub fg: Option<u8>,
    /// Background, 0–15.
    pub bg: Option<u8>,
    /// Heavier.
    pub bold: bool,
    /// Paler.
    pub dim: bool,
    /// Slanted.
    pub italic: bool,
    /// Underlined.
    pub underline: bool,
    /// Struck through.
    pub strike: bool,
    /// Foreground and background exchanged.
    pub inverse: bool,
}

impl Style {
    /// CSS classes of this style; empty for plain text.
    #[must_use]
    pub fn classes(self) -> String {
        let mut out = Vec::new();
        let (fg, bg) = if self.inverse { (self.bg, self.fg) } else { (self.fg, self.bg) };
        if let Some(fg) = fg {
            out.push(format!("af{fg}"));
        }
        if let Some(bg) = bg {
            out.push(format!("ab{bg}"));
        }
        let flags = [
            (self.bold, "a-bold"),
            (self.dim, "a-dim"),
            (self.italic, "a-italic"),
            (self.underline, "a-under"),
            (self.strike, "a-strike"),
            (self.inverse && fg.is_none() && bg.is_none(), "a-inverse"),
        ];
        out.extend(flags.into_iter().filter(|(on, _)| *on).map(|(_, class)| class.to_owned()));
        out.join(" ")
    }
}

/// A piece of a line in one style.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// How it looks.
    pub style: Style,
    /// What it says.
    pub text: String,
}

/// Splits a line into spans. `start` is the style left over from the line before; the style at the end is returned.
#[must_use]
pub fn parse(line: &str, start: Style) -> (Vec<Span>, Style) {
    let mut spans: Vec<Span> = Vec::new();
    let mut style = start;
    let mut plain = String::new();
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => match chars.peek().copied() {
                Some('[') => {
                    chars.next();
                    let mut body = String::new();
                    let mut end = None;
                    for c in chars.by_ref() {
                        if ('\u{40}'..='\u{7e}').contains(&c) {
                            end = Some(c);
                            break;
                        }
                        body.push(c);
                    }
                    if end == Some('m') {
                        let next = sgr(&body, style);
                        if next != style {
                            flush(&mut spans, &mut plain, style);
                            style = next;
                        }
                    }
                }
                Some(']') => {
                    // A title or a link: ends with BEL or ESC \.
                    chars.next();
                    while let Some(c) = chars.next() {
                        if c == '\u{7}' {
                            break;
                        }
                        if c == '\u{1b}' {
                            chars.next_if_eq(&'\\');
                            break;
                        }
                    }
                }
                Some(_) => {
                    chars.next();
                }
                None => {}
            },
            // A progress bar rewrites its line: what stands after the last carriage return is what a terminal shows.
            '\r' => {
                if chars.peek().is_some() {
                    spans.clear();
                    plain.clear();
                }
            }
            '\t' => plain.push('\t'),
            c if c.is_control() => {}
            c => plain.push(c),
        }
    }
    flush(&mut spans, &mut plain, style);
    (spans, style)
}

fn flush(spans: &mut Vec<Span>, plain: &mut String, style: Style) {
    if !plain.is_empty() {
        spans.push(Span { style, text: std::mem::take(plain) });
    }
}

fn sgr(body: &str, mut style: Style) -> Style {
    let codes: Vec<u16> = body.split([';', ':']).map(|code| code.parse().unwrap_or(0)).collect();
    let mut i = 0;
    while i < codes.len() {
        match codes[i] {
            0 => style = Style::default(),
            1 => style.bold = true,
            2 => style.dim = true,
            3 => style.italic = true,
            4 => style.underline = true,
            7 => style.inverse = true,
            9 => style.strike = true,
            21 | 22 => (style.bold, style.dim) = (false, false),
            23 => style.italic = false,
            24 => style.underline = false,
            27 => style.inverse = false,
            29 => style.strike = false,
            code @ 30..=37 => style.fg = low(code, 30),
            39 => style.fg = None,
            code @ 40..=47 => style.bg = low(code, 40),
            49 => style.bg = None,
            code @ 90..=97 => style.fg = low(code, 82),
            code @ 100..=107 => style.bg = low(code, 92),
            code @ (38 | 48) => {
                let (colour, used) = extended(&codes[i + 1..]);
                if code == 38 {
                    style.fg = colour.or(style.fg);
                } else {
                    style.bg = colour.or(style.bg);
                }
                i += used;
            }
            _ => {}
        }
        i += 1;
    }
    style
}

fn low(code: u16, base: u16) -> Option<u8> {
    u8::try_from(code - base).ok()
}

/// `5;n` or `2;r;g;b`: the colour and how many codes it took.
fn extended(rest: &[u16]) -> (Option<u8>, usize) {
    let byte = |n: u16| u8::try_from(n).unwrap_or(u8::MAX);
    match rest {
        [5, n, ..] => (Some(from_256(byte(*n))), 2),
        [2, r, g, b, ..] => (Some(nearest(byte(*r), byte(*g), byte(*b))), 4),
        _ => (None, rest.len()),
    }
}

fn from_256(n: u8) -> u8 {
    match n {
        0..=15 => n,
        16..=231 => {
            let level = |v: u8| if v == 0 { 0 } else { 55 + v * 40 };
            let n = n - 16;
            nearest(level(n / 36), level(n / 6 % 6), level(n % 6))
        }
        232..=255 => {
            let grey = 8 + (n - 232) * 10;
            nearest(grey, grey, grey)
        }
    }
}

fn nearest(r: u8, g: u8, b: u8) -> u8 {
    const PALETTE: [(i32, i32, i32); 16] = [
        (0, 0, 0),
        (205, 0, 0),
        (0, 205, 0),
        (205, 205, 0),
        (0, 0, 238),
        (205, 0, 205),
        (0, 205, 205),
        (229, 229, 229),
        (127, 127, 127),
        (255, 0, 0),
        (0, 255, 0),
        (255, 255, 0),
        (92, 92, 255),
        (255, 0, 255),
        (0, 255, 255),
        (255, 255, 255),
    ];
    let distance = |(pr, pg, pb): (i32, i32, i32)| {
        (pr - i32::from(r)).pow(2) + (pg - i32::from(g)).pow(2) + (pb - i32::from(b)).pow(2)
    };
    (0_u8..).zip(PALETTE).min_by_key(|(_, colour)| distance(*colour)).map_or(7, |(index, _)| index)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strip(line: &str) -> String {
        parse(line, Style::default()).0.into_iter().map(|span| span.text).collect()
    }

    fn spans(line: &str) -> Vec<(String, String)> {
        parse(line, Style::default()).0.into_iter().map(|s| (s.style.classes(), s.text)).collect()
    }

    #[test]
    fn plain_text_is_one_span() {
        assert_eq!(spans("  hello  "), [(String::new(), "  hello  ".to_owned())]);
        assert!(spans("").is_empty());
    }

    #[test]
    fn colours_and_emphasis() {
        assert_eq!(
            spans("a\u{1b}[1;31mb\u{1b}[0mc\u{1b}[92md"),
            [
                (String::new(), "a".into()),
                ("af1 a-bold".into(), "b".into()),
                (String::new(), "c".into()),
                ("af10".into(), "d".into())
            ]
        );
        assert_eq!(spans("\u{1b}[mx\u{1b}[41;97my"), [(String::new(), "x".into()), ("af15 ab1".into(), "y".into())]);
    }

    #[test]
    fn many_colours_become_sixteen() {
        assert_eq!(spans("\u{1b}[38;5;196mr"), [("af9".to_owned(), "r".to_owned())]);
        assert_eq!(spans("\u{1b}[48;2;0;0;240;1mr"), [("ab4 a-bold".to_owned(), "r".to_owned())]);
        assert_eq!(spans("\u{1b}[38;5;2;4mr"), [("af2 a-under".to_owned(), "r".to_owned())]);
    }

    #[test]
    fn a_style_outlives_its_line() {
        let (_, style) = parse("\u{1b}[33mwarn", Style::default());
        let (next, _) = parse("more", style);
        assert_eq!(next[0].style.fg, Some(3));
    }

    #[test]
    fn what_is_no_colour_vanishes() {
        assert_eq!(strip("\u{1b}[2K\u{1b}[1Gdone\u{1b}]0;title\u{7}!\u{1b}]8;;x\u{1b}\\"), "done!");
        assert_eq!(strip("a\u{0}b\tc"), "ab\tc");
        assert_eq!(strip("broken \u{1b}[3"), "broken ");
        assert_eq!(strip("\u{1b}"), "");
    }

    #[test]
    fn a_progress_bar_shows_its_last_state() {
        assert_eq!(strip("10 %\r50 %\r100 %\r"), "100 %");
    }

    #[test]
    fn inverse_exchanges() {
        assert_eq!(spans("\u{1b}[7;31mx"), [("ab1".to_owned(), "x".to_owned())]);
        assert_eq!(spans("\u{1b}[7mx"), [("a-inverse".to_owned(), "x".to_owned())]);
    }
}
