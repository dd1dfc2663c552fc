//! Hiding secret values in a stream of text. Pure: bytes in, bytes out.
//!
//! A [`Mask`] is compiled once per run from the values that the run was given, each in all the ways in which it is likely to
//! be printed ([`forms`]). A [`Masker`] takes one stream, cut anywhere, and replaces what it must not show by [`SHOWN`].
//!
//! What is hidden is the *union* of all occurrences: where two overlap, one `***` stands for both. So the result depends
//! neither on how the stream is cut nor on the order of the secrets, and nothing of a secret stays because another one began
//! within it. It takes one step of an automaton per byte (Aho-Corasick) and never goes back.
//!
//! Text that could be the beginning of a secret is held until it is decided, or until the stream ends. It is never decided
//! by time: a secret that is written letter by letter, with pauses, is one secret. What is held is shorter than the longest
//! form, and an ordinary line of progress is not held, since it does not begin one.

use std::fmt;
use std::sync::Arc;

use aho_corasick::automaton::{Automaton, StateID};
use aho_corasick::nfa::{contiguous, noncontiguous};
use aho_corasick::{Anchored, MatchKind};
use thiserror::Error;

mod forms;
#[cfg(test)]
mod tests;

pub use forms::{MIN_BYTES, MIN_LINE, url_password};

/// What stands in the place of a secret.
pub const SHOWN: &str = "***";

/// A stream that ends within a secret shows nothing of it from this length on; less may be anything.
const MIN_PREFIX: usize = 8;

/// How much the forms of all secrets of a run may take together: the automaton takes some twenty times that.
const MAX_FORMS: usize = 4 << 20;

/// A hidden stretch is told in pieces of this size, so that a script that prints nothing but a secret for ever is bounded.
const MAX_HIDDEN: u64 = 1 << 30;

/// More than can be looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "its secrets are too large to be masked in its log ({bytes} bytes in all the ways of writing them, {MAX_FORMS} are \
     possible): give it fewer, by `secrets` in pipeline.json, or hand large ones over as a file"
)]
pub struct TooMuch {
    /// What they take.
    pub bytes: usize,
}

/// Whether a value is too short to be looked for: it would be found everywhere.
#[must_use]
pub fn is_too_short(value: &str) -> bool {
    value.trim().len() < MIN_BYTES
}

/// The secrets of a run, ready to be looked for.
pub struct Mask {
    automaton: contiguous::NFA,
    start: StateID,
    /// How long the text is that leads to each state, sorted by state: it may be the beginning of a secret.
    depths: Vec<(StateID, u32)>,
}

impl fmt::Debug for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mask").field("forms", &self.automaton.patterns_len()).finish_non_exhaustive()
    }
}

impl Mask {
    /// Compiles values; `None` when there is nothing to look for.
    ///
    /// # Errors
    /// [`TooMuch`].
    pub fn new<'a>(values: impl IntoIterator<Item = &'a str>) -> Result<Option<Arc<Self>>, TooMuch> {
        let forms = forms::of_all(values, MAX_FORMS).map_err(|bytes| TooMuch { bytes })?;
        if forms.is_empty() {
            return Ok(None);
        }
        let built = noncontiguous::Builder::new()
            .match_kind(MatchKind::Standard)
            .prefilter(false)
            .build(&forms)
            .and_then(|automaton| contiguous::Builder::new().prefilter(false).build_from_noncontiguous(&automaton));
        let too_much = |_| TooMuch { bytes: forms.iter().map(Vec::len).sum() };
        let automaton = built.map_err(too_much)?;
        let start = automaton.start_state(Anchored::No).map_err(|_| TooMuch { bytes: 0 })?;
        let mut mask = Self { automaton, start, depths: Vec::new() };
        mask.measure(&forms);
        Ok(Some(Arc::new(mask)))
    }

    /// Finds out how much of the text each state holds back.
    fn measure(&mut self, forms: &[Vec<u8>]) {
        let step = |state, byte: &u8| self.automaton.next_state(Anchored::No, state, *byte);
        let mut depths = Vec::new();
        for form in forms {
            let mut state = self.start;
            for (depth, byte) in (1..).zip(&form[..form.len() - 1]) {
                state = step(state, byte);
                depths.push((state, depth));
            }
        }
        depths.sort_unstable();
        depths.dedup();
        // The end of a form that begins no longer one is decided, but for what of its end begins another.
        let mut ends: Vec<(StateID, StateID)> = forms
            .iter()
            .map(|form| (form.iter().fold(self.start, step), form[1..].iter().fold(self.start, step)))
            .collect();
        ends.retain(|(end, _)| depths.binary_search_by_key(end, |(state, _)| *state).is_err());
        ends.sort_unstable();
        ends.dedup();
        let ends_only: Vec<(StateID, u32)> = ends
            .iter()
            .map(|&(end, mut rest)| {
                // What is left may be the end of a shorter form itself.
                while let Ok(index) = ends.binary_search_by_key(&rest, |(end, _)| *end) {
                    rest = ends[index].1;
                }
                let found = depths.binary_search_by_key(&rest, |(state, _)| *state);
                (end, found.map_or(0, |index| depths[index].1))
            })
            .collect();
        depths.extend(ends_only);
        depths.sort_unstable();
        self.depths = depths;
    }

    /// A whole text, masked.
    #[must_use]
    pub fn text(self: &Arc<Self>, text: &str) -> String {
        let mut masker = Masker::new(self.clone());
        let mut masked = Masked::default();
        masker.push(text.as_bytes(), &mut masked);
        masker.finish(&mut masked);
        String::from_utf8_lossy(&masked.text).into_owned()
    }

    fn depth(&self, state: StateID) -> usize {
        let found = self.depths.binary_search_by_key(&state, |(state, _)| *state);
        found.map_or(0, |index| self.depths[index].1 as usize)
    }
}

/// A piece of a stream that may be shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Masked {
    /// The text, with [`SHOWN`] for what is hidden.
    pub text: Vec<u8>,
    /// What is hidden, in order.
    pub hidden: Vec<Hidden>,
}

/// One hidden stretch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hidden {
    /// Where its [`SHOWN`] begins in the text.
    pub at: usize,
    /// How many bytes it stands for.
    pub bytes: u64,
}

impl Masked {
    /// Forgets everything and keeps the memory.
    pub fn clear(&mut self) {
        self.text.clear();
        self.hidden.clear();
    }

    /// How many bytes of the stream this is.
    #[must_use]
    pub fn stream_bytes(&self) -> u64 {
        let hidden: u64 = self.hidden.iter().map(|hidden| hidden.bytes).sum();
        (self.text.len() - self.hidden.len() * SHOWN.len()) as u64 + hidden
    }

    fn hide(&mut self, bytes: u64) {
        self.hidden.push(Hidden { at: self.text.len(), bytes });
        self.text.extend_from_slice(SHOWN.as_bytes());
    }
}

/// A stretch of what is held: from, to.
type Span = (usize, usize);

/// Masks one stream.
#[derive(Debug)]
pub struct Masker {
    mask: Arc<Mask>,
    state: StateID,
    /// What was taken and not given yet.
    held: Vec<u8>,
    /// Where in it secrets are; sorted, and no two overlap.
    secret: Vec<Span>,
    /// Bytes of a secret that were before what is held: the first of `secret` goes on with them.
    swallowed: u64,
}

impl Masker {
    /// At the beginning of a stream, or at any place in it that no secret spans.
    #[must_use]
    pub fn new(mask: Arc<Mask>) -> Self {
        let state = mask.start;
        Self { mask, state, held: Vec::new(), secret: Vec::new(), swallowed: 0 }
    }

    /// Takes the next bytes; what is decided is added to `out`.
    pub fn push(&mut self, bytes: &[u8], out: &mut Masked) {
        let automaton = &self.mask.automaton;
        let mut end = self.held.len();
        self.held.extend_from_slice(bytes);
        let mut state = self.state;
        for byte in bytes {
            state = automaton.next_state(Anchored::No, state, *byte);
            end += 1;
            if automaton.is_special(state) && automaton.is_match(state) {
                // The first is the longest that ends here.
                let length = automaton.pattern_len(automaton.match_pattern(state, 0));
                add(&mut self.secret, (end - length, end));
            }
        }
        self.state = state;
        let undecided = self.mask.depth(state);
        self.give(self.held.len() - undecided, out);
    }

    /// The stream has ended: what is held is decided.
    pub fn finish(&mut self, out: &mut Masked) {
        let (all, begun) = (self.held.len(), self.mask.depth(self.state));
        if begun >= MIN_PREFIX {
            add(&mut self.secret, (all - begun, all));
        }
        self.give(all, out);
        self.forget();
    }

    /// Drops what is held: it will come again, or is not to be shown.
    pub fn forget(&mut self) {
        self.state = self.mask.start;
        self.held.clear();
        self.secret.clear();
        self.swallowed = 0;
    }

    /// Gives what lies before `until`.
    fn give(&mut self, until: usize, out: &mut Masked) {
        let mut from = 0;
        let mut done = 0;
        for &(start, end) in &self.secret {
            if end > until {
                break;
            }
            out.text.extend_from_slice(&self.held[from..start]);
            out.hide(std::mem::take(&mut self.swallowed) + (end - start) as u64);
            from = end;
            done += 1;
        }
        self.secret.drain(..done);
        match self.secret.first().copied() {
            // It began before and may go on: what is known of it need not be kept.
            Some((start, _)) if start < until => {
                out.text.extend_from_slice(&self.held[from..start]);
                self.swallowed += (until - start) as u64;
                if self.swallowed >= MAX_HIDDEN {
                    out.hide(std::mem::take(&mut self.swallowed));
                }
            }
            _ => out.text.extend_from_slice(&self.held[from..until]),
        }
        self.held.drain(..until);
        for (start, end) in &mut self.secret {
            *start = start.saturating_sub(until);
            *end -= until;
        }
    }
}

/// Adds a stretch that ends where the text ends so far, together with those that it overlaps.
fn add(secret: &mut Vec<Span>, (mut start, end): Span) {
    while let Some((first, last)) = secret.last().copied() {
        if last <= start {
            break;
        }
        start = start.min(first);
        secret.pop();
    }
    secret.push((start, end));
}
