//! Reads a launcher's script back: the fake's shell. It understands exactly what `launcher::script` writes.

use super::super::Job;

/// The job of a complete script; `None` while it is not complete.
pub(super) fn decode(script: &[u8]) -> Option<Job> {
    let mut rest = Rest(std::str::from_utf8(script).ok()?);
    rest.skip("{ cd -- ")?;
    let cwd = rest.word()?;
    rest.skip(" || exit\nunset PWD OLDPWD\n")?;
    let mut env = Vec::new();
    while rest.skip("export ").is_some() {
        let name = rest.until('=')?.to_owned();
        env.push((name, rest.word()?));
        rest.skip("\n")?;
    }
    rest.skip("trap - EXIT\nexec")?;
    let mut argv = Vec::new();
    while rest.0.starts_with(" '") {
        rest.skip(" ")?;
        argv.push(rest.word()?);
    }
    rest.skip(" </dev/null\n}\n")?;
    rest.0.is_empty().then_some(Job { argv, env, cwd })
}

/// What has not been read yet.
struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    fn skip(&mut self, text: &str) -> Option<()> {
        self.0 = self.0.strip_prefix(text)?;
        Some(())
    }

    fn until(&mut self, end: char) -> Option<&'a str> {
        let (before, after) = self.0.split_once(end)?;
        self.0 = after;
        Some(before)
    }

    /// A single-quoted word, its own single quotes standing outside as `\'`.
    fn word(&mut self) -> Option<String> {
        self.skip("'")?;
        let mut word = self.until('\'')?.to_owned();
        while self.skip("\\''").is_some() {
            word.push('\'');
            word.push_str(self.until('\'')?);
        }
        Some(word)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::super::launcher::script;
    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(
            argv in proptest::collection::vec("[^\u{0}]{1,20}", 1..4),
            env in proptest::collection::vec(("[A-Z]{1,5}", "['\\\\\n x</}a-c]{0,30}"), 0..5),
            cut in 0.0..1.0,
        ) {
            let argv = argv.into_iter().map(|argument| format!("x{argument}")).collect();
            let job = Job { argv, env, cwd: "/it's".to_owned() };
            let whole = script(&job).expect("valid");
            prop_assert_eq!(decode(&whole), Some(job));
            prop_assert_eq!(decode(&whole[..(cut * whole.len() as f64) as usize]), None);
        }
    }
}
