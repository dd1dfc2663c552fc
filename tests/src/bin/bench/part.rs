//! Which parts there are, and which of them somebody wants.

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Starts,
    Burst,
    Flood,
    Clients,
    Masking,
    Throughput,
    Memory,
    Sync,
    Schedules,
    Million,
    Soak,
    Web,
    Size,
}

impl Part {
    /// Every part, in the order in which they run.
    const ALL: [Self; 13] = [
        Self::Starts,
        Self::Burst,
        Self::Flood,
        Self::Clients,
        Self::Masking,
        Self::Throughput,
        Self::Memory,
        Self::Sync,
        Self::Schedules,
        Self::Million,
        Self::Soak,
        Self::Web,
        Self::Size,
    ];

    /// Its name, and what it measures.
    pub const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Starts => {
                ("starts", "first line and completion, warm and cold, beside Docker and the plan's command")
            }
            Self::Burst => ("burst", "ten and fifty starts at once beside Docker"),
            Self::Flood => ("flood", "a flood with 1, 20 and 200 viewers beside Docker"),
            Self::Clients => ("clients", "200 clients that wait for something to happen"),
            Self::Masking => ("masking", "lines per second with 100 secrets and with none"),
            Self::Throughput => ("throughput", "runs per second without Docker, on both databases"),
            Self::Memory => ("memory", "the idle server with 500 pipelines"),
            Self::Sync => ("sync", "a repository of 500 pipelines"),
            Self::Schedules => ("schedules", "500 jobs due in one minute, and 1,000 that are not"),
            Self::Million => ("million", "1,000,000 stored runs on both databases (MILLION_RUNS: another number)"),
            Self::Soak => ("soak", "100,000 runs: memory, open files, disk (SOAK_RUNS: another number)"),
            Self::Web => ("web", "500 pipelines and 10,000 runs in a browser: waits, memory (WEB_MINUTES), 20 tabs"),
            Self::Size => ("size", "the SPA over the wire, the binary"),
        }
    }
}

/// What the arguments ask for.
#[derive(Debug, PartialEq, Eq)]
pub enum Wish {
    /// How this is called.
    Help,
    /// These parts.
    Measure {
        /// In the order in which they run.
        parts: Vec<Part>,
        /// Whether the document gets the figures.
        writes: bool,
    },
}

impl Wish {
    /// # Errors
    /// A sentence, when there is no such part or option.
    pub fn read(arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let (mut names, mut writes) = (Vec::new(), false);
        for argument in arguments {
            match argument.as_str() {
                "--help" | "-h" => return Ok(Self::Help),
                "--write" => writes = true,
                name if Part::ALL.iter().any(|part| part.words().0 == name) => names.push(argument),
                other => return Err(format!("there is no part or option {other:?}")),
            }
        }
        let wanted = |part: &Part| names.is_empty() || names.iter().any(|name| part.words().0 == name);
        Ok(Self::Measure { parts: Part::ALL.into_iter().filter(wanted).collect(), writes })
    }
}

/// How this is called.
pub fn help() -> String {
    let mut text = "Usage: make bench [PART=\"NAME…\"] [WRITE=1], or scripts/bench [NAME…] [--write]\n\n\
                    Measures the optimised server on this machine, which should do nothing else. Without a name: all parts.\n\
                    --write puts the figures into docs/performance.md and draws docs/images/start.svg.\n\nParts:\n"
        .to_owned();
    for part in Part::ALL {
        let (name, what) = part.words();
        text.push_str(&format!("  {name:<12}{what}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(arguments: &[&str]) -> Result<Wish, String> {
        Wish::read(arguments.iter().map(|argument| (*argument).to_owned()))
    }

    #[test]
    fn what_the_arguments_ask_for() {
        assert_eq!(read(&[]), Ok(Wish::Measure { parts: Part::ALL.to_vec(), writes: false }));
        let two = vec![Part::Starts, Part::Soak];
        assert_eq!(read(&["soak", "--write", "starts"]), Ok(Wish::Measure { parts: two, writes: true }));
        assert_eq!(read(&["soak", "--help"]), Ok(Wish::Help));
        assert!(read(&["sok"]).is_err_and(|mistake| mistake.contains("sok")));
    }

    #[test]
    fn the_help_names_every_part() {
        for part in Part::ALL {
            assert!(help().contains(part.words().0), "{part:?}");
        }
    }
}
