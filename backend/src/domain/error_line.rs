//! Finds the line of a Python traceback that says what went wrong, while the output streams past.

/// Longest reason that is kept, in characters.
const MAX_CHARS: usize = 300;

/// Watches standard error for tracebacks and remembers the exception of the last one.
///
/// A traceback is `Traceback (most recent call last):`, indented lines, then a line that is not indented: the
/// exception (Python's `traceback` module). Memory is bounded: one line at a time.
#[derive(Debug, Default)]
pub struct ExceptionWatch {
    line: Vec<u8>,
    inside: bool,
    last: Option<String>,
}

impl ExceptionWatch {
    /// Takes a piece of standard error, cut anywhere.
    pub fn feed(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (text, ended) = match piece.split_last() {
                Some((b'\n', text)) => (text, true),
                _ => (piece, false),
            };
            // What is beyond the limit is not needed to recognise a line.
            let room = (MAX_CHARS * 4).saturating_sub(self.line.len());
            self.line.extend_from_slice(&text[..text.len().min(room)]);
            if ended {
                self.end_of_line();
            }
        }
    }

    /// The exception's line, if a traceback was seen.
    #[must_use]
    pub fn exception(mut self) -> Option<String> {
        if !self.line.is_empty() {
            self.end_of_line();
        }
        self.last
    }

    fn end_of_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end();
        if text.starts_with("Traceback (most recent call last)") {
            self.inside = true;
        } else if self.inside && !text.is_empty() && !text.starts_with([' ', '\t']) {
            self.inside = false;
            self.last = Some(text.chars().take(MAX_CHARS).collect());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "Traceback (most recent call last):\n  File \"main.py\", line 3, in <module>\n    1/0\nZeroDivisionError: division by zero\n";

    fn watch(chunks: &[&[u8]]) -> Option<String> {
        let mut watch = ExceptionWatch::default();
        for chunk in chunks {
            watch.feed(chunk);
        }
        watch.exception()
    }

    #[test]
    fn the_exception_is_found_wherever_the_stream_is_cut() {
        for cut in 0..TRACE.len() {
            let (a, b) = TRACE.as_bytes().split_at(cut);
            assert_eq!(watch(&[a, b]).as_deref(), Some("ZeroDivisionError: division by zero"), "cut at {cut}");
        }
    }

    #[test]
    fn the_last_of_chained_exceptions_counts() {
        let text = format!(
            "{TRACE}\nDuring handling of the above exception, another exception occurred:\n\nTraceback (most recent call last):\n  x\nValueError: bad"
        );
        assert_eq!(watch(&[text.as_bytes()]).as_deref(), Some("ValueError: bad"));
    }

    #[test]
    fn ordinary_output_is_no_exception() {
        assert_eq!(watch(&[b"ValueError: mentioned only\nmore\n"]), None);
    }

    #[test]
    fn an_endless_line_takes_no_memory() {
        let mut watch = ExceptionWatch::default();
        for _ in 0..1000 {
            watch.feed(&[b'x'; 4096]);
        }
        assert!(watch.line.len() <= MAX_CHARS * 4);
    }
}
