//! In which ways a secret is likely to be printed.
//!
//! A script rarely prints a secret as it is: it prints an URL, a header, a traceback with `repr`, a JSON document. Each is a
//! fixed text once the secret is known, so it can be looked for. What is encrypted, compressed, split by other text or
//! changed in case is not found; nobody can find that. But in an URL: those are written in lower case as a whole.

use std::collections::HashSet;

use base64::Engine as _;
use base64::alphabet::{self, Alphabet};
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};

/// A value shorter than this is not looked for: it would be found in ordinary text.
pub const MIN_BYTES: usize = 6;

/// A line of a value of several lines is looked for on its own from this length on: shorter ones are `{` or `end`.
pub const MIN_LINE: usize = 8;

/// Values longer than this that consist of several lines get the rarer forms by their lines alone.
const LONG: usize = 4096;

/// What `base64` and `openssl` put into a line, in bytes of the input, when they break lines.
const WRAPPED: [usize; 2] = [57, 48];

/// All forms of all values, each once.
///
/// # Errors
/// How many bytes they take, at least, when that is more than `limit`.
pub(super) fn of_all<'a>(values: impl IntoIterator<Item = &'a str>, limit: usize) -> Result<Vec<Vec<u8>>, usize> {
    let mut forms = Forms::default();
    for value in values {
        forms.secret(value);
        if forms.bytes > limit {
            return Err(forms.bytes);
        }
    }
    let mut forms: Vec<_> = forms.found.into_iter().collect();
    // So that the same secrets give the same automaton.
    forms.sort_unstable();
    Ok(forms)
}

#[derive(Default)]
struct Forms {
    found: HashSet<Vec<u8>>,
    bytes: usize,
}

impl Forms {
    fn add(&mut self, form: impl Into<Vec<u8>>) {
        let form = form.into();
        if form.len() >= MIN_BYTES && !self.found.contains(&form) {
            self.bytes += form.len();
            self.found.insert(form);
        }
    }

    /// A value, and what it consists of.
    fn secret(&mut self, value: &str) {
        let trimmed = value.trim();
        if trimmed.len() < MIN_BYTES {
            return;
        }
        self.add(value);
        let lines: Vec<&str> = trimmed.lines().map(str::trim).collect();
        self.text(trimmed, lines.len() == 1 || trimmed.len() <= LONG);
        if lines.len() > 1 {
            for line in lines.iter().filter(|line| line.len() >= MIN_LINE) {
                self.text(line, true);
            }
            self.add(lines.join("\r\n"));
        }
        if let Some(password) = url_password(trimmed) {
            self.secret_part(password);
        }
        // It may be given as it stands in an URL, and be used as what it means.
        for coded in url_password(trimmed).into_iter().chain([trimmed]).filter(|text| text.contains('%')) {
            if let Some(decoded) = percent_decoded(coded) {
                self.secret_part(&decoded);
            }
        }
        if let Ok(serde_json::Value::Object(fields)) = serde_json::from_str(trimmed) {
            for (name, value) in fields {
                if let serde_json::Value::String(value) = value
                    && is_secret_name(&name)
                {
                    self.secret_part(&value);
                }
            }
        }
    }

    fn secret_part(&mut self, part: &str) {
        let part = part.trim();
        if part.len() >= MIN_LINE {
            self.text(part, true);
            for line in part.lines().map(str::trim).filter(|line| line.len() >= MIN_LINE && *line != part) {
                self.text(line, true);
            }
        }
    }

    /// A text in all its forms.
    fn text(&mut self, text: &str, all: bool) {
        self.add(text);
        for form in json(text) {
            self.add(json(&form).swap_remove(0));
            self.add(form);
        }
        self.base64(text.as_bytes());
        if !all {
            return;
        }
        for form in [repr(text, false), repr(text, true), bytes_repr(text.as_bytes())] {
            self.add(form);
        }
        for form in urls(text) {
            // Not without an escape: a password in lower case may be an ordinary word.
            if form != text && form.contains('%') {
                self.add(form.to_ascii_lowercase());
            }
            self.add(form);
        }
        for form in html(text) {
            self.add(form);
        }
        // As shells quote it: Python's shlex and bash by each quote, dash by each row of quotes; and $'…'.
        for quoted in [r#"'"'"'"#, r"'\''"] {
            self.add(text.replace('\'', quoted));
        }
        self.add(rows_quoted(text));
        self.add(repr(text, false).replace("\\'", "'").replace('\'', "\\'"));
        self.add(hex::encode(text));
        self.add(hex::encode_upper(text));
    }

    /// Base64, wherever the text stands in what is encoded: three bytes become four characters, so there are three ways.
    fn base64(&mut self, bytes: &[u8]) {
        for alphabet in [&alphabet::STANDARD, &alphabet::URL_SAFE] {
            for shift in 0..3 {
                for form in shifted(bytes, shift, alphabet) {
                    for escaped in percent_coded(&form) {
                        self.add(escaped);
                    }
                    self.add(form);
                }
            }
            for width in WRAPPED.into_iter().filter(|width| bytes.len() > *width) {
                for line in bytes.chunks(width) {
                    for form in shifted(line, 0, alphabet) {
                        self.add(form);
                    }
                }
            }
        }
    }
}

/// The characters that `bytes` alone decide when `shift` bytes come before; the same with what they decide when nothing
/// follows.
fn shifted(bytes: &[u8], shift: usize, alphabet: &Alphabet) -> Vec<String> {
    let engine = GeneralPurpose::new(alphabet, GeneralPurposeConfig::new().with_encode_padding(false));
    let mut data = vec![0; shift];
    data.extend_from_slice(bytes);
    let text = engine.encode(&data);
    let (from, until) = ((shift * 8).div_ceil(6), data.len() * 8 / 6);
    let Some(core) = text.get(from..until) else { return Vec::new() };
    let mut forms = vec![core.to_owned()];
    if until < text.len() {
        forms.push(text[from..].to_owned());
        forms.push(format!("{}{}", &text[from..], "=".repeat((3 - data.len() % 3) % 3)));
    }
    forms
}

/// The `+`, `/` and `=` of base64 as they stand in an URL.
fn percent_coded(base64: &str) -> Vec<String> {
    if !base64.contains(['+', '/', '=']) {
        return Vec::new();
    }
    let upper = base64.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
    vec![upper.replace("%2B", "%2b").replace("%2F", "%2f").replace("%3D", "%3d"), upper]
}

/// Inside of a JSON text: with other characters as they are, or as `\u`, in both cases of its digits. Also with `/` escaped.
fn json(text: &str) -> Vec<String> {
    let escape = |ascii: bool, upper: bool, slash: bool| {
        let mut out = String::with_capacity(text.len() + 8);
        for c in text.chars() {
            match c {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                '\u{8}' => out.push_str("\\b"),
                '\u{c}' => out.push_str("\\f"),
                '/' if slash => out.push_str("\\/"),
                c if (c as u32) < 0x20 || (ascii && !c.is_ascii()) => {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        out.push_str(&if upper { format!("\\u{unit:04X}") } else { format!("\\u{unit:04x}") });
                    }
                }
                c => out.push(c),
            }
        }
        out
    };
    vec![escape(false, false, false), escape(true, false, false), escape(true, true, false), escape(false, false, true)]
}

/// As dash prints it: a row of single quotes stands between double ones.
fn rows_quoted(text: &str) -> String {
    let (mut out, mut inside) = (String::with_capacity(text.len() + 8), false);
    for c in text.chars() {
        if (c == '\'') != inside {
            inside = !inside;
            out.push_str(if inside { "'\"" } else { "\"'" });
        }
        out.push(c);
    }
    out
}

/// Inside of Python's `repr` of a text, or of its `ascii`.
fn repr(text: &str, ascii: bool) -> String {
    // Python chooses the quotes that the text does not hold.
    let escape_quote = text.contains('\'') && text.contains('"');
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\'' if escape_quote => out.push_str("\\'"),
            c if (c as u32) < 0x20 || c as u32 == 0x7f => out.push_str(&format!("\\x{:02x}", c as u32)),
            c if ascii && !c.is_ascii() => match c as u32 {
                code @ ..0x100 => out.push_str(&format!("\\x{code:02x}")),
                code @ ..0x1_0000 => out.push_str(&format!("\\u{code:04x}")),
                code => out.push_str(&format!("\\U{code:08x}")),
            },
            c => out.push(c),
        }
    }
    out
}

/// Inside of Python's `repr` of bytes.
fn bytes_repr(bytes: &[u8]) -> String {
    let escape_quote = bytes.contains(&b'\'') && bytes.contains(&b'"');
    let mut out = String::with_capacity(bytes.len() + 8);
    for byte in bytes {
        match byte {
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            b'\'' if escape_quote => out.push_str("\\'"),
            0x20..0x7f => out.push(*byte as char),
            byte => out.push_str(&format!("\\x{byte:02x}")),
        }
    }
    out
}

/// In an URL, by what Python's `quote` and `quote_plus`, JavaScript's functions and forms leave as it is.
fn urls(text: &str) -> Vec<String> {
    let mut forms = Vec::new();
    for kept in ["-._~", "-._~/", "-._*", "-_.!~*'()", "-_.!~*'();/?:@&=+$,#"] {
        for upper in [true, false] {
            let mut out = String::with_capacity(text.len() + 8);
            for byte in text.bytes() {
                if byte.is_ascii_alphanumeric() || kept.as_bytes().contains(&byte) {
                    out.push(byte as char);
                } else if upper {
                    out.push_str(&format!("%{byte:02X}"));
                } else {
                    out.push_str(&format!("%{byte:02x}"));
                }
            }
            if out.contains("%20") {
                forms.push(out.replace("%20", "+"));
            }
            forms.push(out);
        }
    }
    forms
}

/// In HTML and in XML.
fn html(text: &str) -> Vec<String> {
    if !text.contains(['&', '<', '>', '"', '\'']) {
        return Vec::new();
    }
    let xml = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let attribute = xml.replace('"', "&quot;");
    vec![
        attribute.replace('\'', "&#x27;"),
        attribute.replace('\'', "&#39;"),
        attribute.replace('\'', "&apos;"),
        attribute,
        xml,
    ]
}

/// The password of `scheme://user:password@host`, as it stands there.
#[must_use]
pub fn url_password(value: &str) -> Option<&str> {
    let authority = value.split_once("://")?.1.split(['/', '?', '#']).next()?;
    Some(authority.rsplit_once('@')?.0.split_once(':')?.1)
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if *byte == b'%' {
            let code = std::str::from_utf8(rest.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(code, 16).ok()?);
            rest = &rest[2..];
        } else {
            bytes.push(*byte);
        }
    }
    String::from_utf8(bytes).ok().filter(|decoded| decoded != text)
}

/// Whether a field of that name of a JSON document (a cloud's key file) is likely to be secret by itself.
fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name != "private_key_id" && ["key", "secret", "token", "passw", "credential"].iter().any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(value: &str, form: &str) -> bool {
        of_all([value], usize::MAX).expect("no limit").contains(&form.as_bytes().to_vec())
    }

    #[test]
    fn what_python_prints_of_a_value_is_known() {
        let value = "pä'ss \"w\\rd\n☃🐍 l2/x+y";
        for form in [
            // json.dumps, with and without ensure_ascii; repr; ascii; repr of the bytes.
            r#"p\u00e4'ss \"w\\rd\n\u2603\ud83d\udc0d l2/x+y"#,
            r#"pä'ss \"w\\rd\n☃🐍 l2/x+y"#,
            r#"pä\'ss "w\\rd\n☃🐍 l2/x+y"#,
            r#"p\xe4\'ss "w\\rd\n\u2603\U0001f40d l2/x+y"#,
            r#"p\xc3\xa4\'ss "w\\rd\n\xe2\x98\x83\xf0\x9f\x90\x8d l2/x+y"#,
            // quote, quote with safe='', quote_plus.
            "p%C3%A4%27ss%20%22w%5Crd%0A%E2%98%83%F0%9F%90%8D%20l2/x%2By",
            "p%C3%A4%27ss%20%22w%5Crd%0A%E2%98%83%F0%9F%90%8D%20l2%2Fx%2By",
            "p%C3%A4%27ss+%22w%5Crd%0A%E2%98%83%F0%9F%90%8D+l2%2Fx%2By",
            "p%c3%a4%27ss+%22w%5crd%0a%e2%98%83%f0%9f%90%8d+l2%2fx%2by",
            // html.escape; a line of it.
            "pä&#x27;ss &quot;w\\rd\n☃🐍 l2/x+y",
            "pä'ss \"w\\rd",
            "7063",
        ] {
            let found = if form == "7063" { !has(value, form) } else { has(value, form) };
            assert!(found, "{form}");
        }
    }

    #[test]
    fn an_url_in_lower_case_is_known() {
        // quote_plus('…').lower(): the escapes of escapes, and the letters of the value as well.
        let value = "https://robot:Xw7H%2FyB@git/r";
        for form in ["https%3A%2F%2Frobot%3AXw7H%252FyB%40git%2Fr", "https%3a%2f%2frobot%3axw7h%252fyb%40git%2fr"] {
            assert!(has(value, form), "{form}");
        }
        assert!(has("Sunday Morning", "Sunday%20Morning") && has("Sunday Morning", "sunday%20morning"));
        assert!(!has("SundayMorning", "sundaymorning") && !has("Sunday Morning", "sunday morning"));
    }

    #[test]
    fn base64_is_known_at_every_place_and_end() {
        // base64.b64encode(b'swordfish'), (b'xswordfish'), (b'xyswordfish?'), and their ends.
        for form in ["c3dvcmRmaXNo", "N3b3JkZmlza", "zd29yZGZpc2", "N3b3JkZmlzaA==", "zd29yZGZpc2g="] {
            assert!(has("swordfish", form), "{form}");
        }
        assert!(has("\u{fb}\u{ff}\u{fe}\u{fb}", "w7vDv8O-w7s"), "URL-safe");
        assert!(has("\u{fb}\u{ff}\u{fe}\u{fb}", "w7vDv8O%2Bw7s"), "in an URL");
    }

    #[test]
    fn parts_that_are_secret_by_themselves_are_known() {
        assert!(has("postgres://app:p%40ssword@db:5432/x?y=z@w", "p%40ssword"));
        assert!(has("postgres://app:p%40ssword@db:5432/x", "p@ssword"));
        let key_file = r#"{"type": "service_account", "private_key": "-----BEGIN-----\nMIIEvQIBADAN\n-----END-----"}"#;
        assert!(has(key_file, "MIIEvQIBADAN") && !has(key_file, "service_account"));
        assert!(has("-----BEGIN-----\nMIIEvQIBADAN\n-----END-----\n", "MIIEvQIBADAN"));
    }

    #[test]
    fn what_is_too_short_is_not_looked_for_and_too_much_is_refused() {
        assert_eq!(of_all(["", "12345", " 12345 \n"], 100), Ok(Vec::new()));
        assert!(!has("first line\nend\n{", "end"));
        assert!(of_all(["a secret that is quite long"], 100).is_err());
    }
}
