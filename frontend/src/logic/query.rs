//! Query strings: what a list shows is in its address, so that a link, a reload and the back button keep it.

use fastflow_shared::routes::segment;
use fastflow_shared::{ErrorType, RunStatus, Trigger};

/// The pairs of a query string, decoded.
#[must_use]
pub fn parse(query: &str) -> Vec<(String, String)> {
    query
        .trim_start_matches('?')
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(key, value)| (decode(&key.replace('+', " ")), decode(&value.replace('+', " "))))
        .collect()
}

/// The value of a key.
#[must_use]
pub fn get(query: &str, key: &str) -> Option<String> {
    parse(query).into_iter().find(|(k, _)| k == key).map(|(_, value)| value)
}

/// A query string without its question mark; empty values are left out.
#[must_use]
pub fn build(pairs: &[(&str, String)]) -> String {
    let pairs: Vec<String> = pairs
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(key, value)| format!("{}={}", segment(key), segment(value)))
        .collect();
    pairs.join("&")
}

/// `path?query`, or the path alone.
#[must_use]
pub fn url(path: &str, pairs: &[(&str, String)]) -> String {
    let query = build(pairs);
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}

/// Undoes percent-encoding; what is not a good escape stays as it is.
#[must_use]
pub fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        let hex = |at: usize| bytes.get(at).and_then(|b| (*b as char).to_digit(16));
        match (bytes[i], hex(i + 1), hex(i + 2)) {
            (b'%', Some(high), Some(low)) => {
                out.push(u8::try_from(high * 16 + low).unwrap_or_default());
                i += 2;
            }
            (byte, ..) => out.push(byte),
        }
        i += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Where to go after a login: only a path of our own, never another host.
#[must_use]
pub fn safe_next(query: &str) -> String {
    get(query, "next")
        .filter(|next| next.starts_with('/') && !next.starts_with("//") && !next.contains('\\'))
        .filter(|next| !next.starts_with("/login"))
        .unwrap_or_else(|| "/".to_owned())
}

/// Order of the list of runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RunOrder {
    /// Latest first.
    #[default]
    Newest,
    /// Earliest first.
    Oldest,
    /// Longest first.
    Longest,
    /// Shortest first.
    Shortest,
}

impl RunOrder {
    /// Every order.
    pub const ALL: [Self; 4] = [Self::Newest, Self::Oldest, Self::Longest, Self::Shortest];

    /// Its name in an address and for the API; the usual one needs none.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Newest => "",
            Self::Oldest => "asc",
            Self::Longest => "longest",
            Self::Shortest => "shortest",
        }
    }

    /// The order of that name, and the usual one for any other.
    #[must_use]
    pub fn parse(name: &str) -> Self {
        Self::ALL.into_iter().find(|order| order.as_str() == name).unwrap_or_default()
    }

    /// What a click on a column's head asks for: that column, and the other way round when it is that column's already.
    #[must_use]
    pub fn turned(self, (first, second): (Self, Self)) -> Self {
        if self == first { second } else { first }
    }
}

/// What the list of runs shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunFilter {
    /// Of this pipeline.
    pub pipeline: Option<String>,
    /// In one of these states; empty for all.
    pub status: Vec<RunStatus>,
    /// Started by this.
    pub trigger: Option<Trigger>,
    /// Failed for this cause.
    pub cause: Option<ErrorType>,
    /// In this order.
    pub order: RunOrder,
    /// From this day on, as a date field writes it; empty for all.
    pub from: String,
    /// Up to and with this day.
    pub to: String,
}

impl RunFilter {
    /// From a page's address; what is not understood is ignored.
    #[must_use]
    pub fn parse(query: &str) -> Self {
        let mut filter = Self::default();
        for (key, value) in parse(query) {
            match key.as_str() {
                "pipeline" => filter.pipeline = (!value.is_empty()).then_some(value),
                "status" => filter.status.extend(value.split(',').filter_map(RunStatus::parse)),
                "trigger" => filter.trigger = Trigger::parse(&value),
                "error_type" => filter.cause = ErrorType::parse(&value),
                "order" => filter.order = RunOrder::parse(&value),
                "from" => filter.from = value,
                "to" => filter.to = value,
                _ => {}
            }
        }
        filter
    }

    /// The pairs for an address, the page's and the API's alike.
    #[must_use]
    pub fn pairs(&self) -> Vec<(&'static str, String)> {
        let status: Vec<&str> = self.status.iter().map(|status| status.as_str()).collect();
        vec![
            ("pipeline", self.pipeline.clone().unwrap_or_default()),
            ("status", status.join(",")),
            ("trigger", self.trigger.map(Trigger::as_str).unwrap_or_default().to_owned()),
            ("error_type", self.cause.map(ErrorType::as_str).unwrap_or_default().to_owned()),
            ("order", self.order.as_str().to_owned()),
            ("from", self.from.clone()),
            ("to", self.to.clone()),
        ]
    }

    /// Whether it leaves anything out.
    #[must_use]
    pub fn is_narrow(&self) -> bool {
        let chosen = self.trigger.is_some() || self.cause.is_some();
        chosen || self.pipeline.is_some() || !(self.status.is_empty() && self.from.is_empty() && self.to.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_survives_its_address() {
        let filter = RunFilter {
            pipeline: Some("a b/ü&c".into()),
            status: vec![RunStatus::Running, RunStatus::Failed],
            trigger: Some(Trigger::Schedule),
            cause: Some(ErrorType::Oom),
            order: RunOrder::Shortest,
            from: "2026-01-31".into(),
            to: String::new(),
        };
        assert_eq!(RunFilter::parse(&build(&filter.pairs())), filter);
        assert_eq!(RunFilter::parse("?status=NOPE&trigger=x&foo"), RunFilter::default());
        assert_eq!(build(&RunFilter::default().pairs()), "");
    }

    #[test]
    fn a_column_is_turned_by_its_second_click() {
        let duration = (RunOrder::Longest, RunOrder::Shortest);
        assert_eq!(RunOrder::Newest.turned(duration), RunOrder::Longest);
        assert_eq!(RunOrder::Longest.turned(duration), RunOrder::Shortest);
        assert_eq!(RunOrder::Shortest.turned(duration), RunOrder::Longest);
        assert!(RunOrder::ALL.into_iter().all(|order| RunOrder::parse(order.as_str()) == order));
    }

    #[test]
    fn broken_escapes_are_kept() {
        assert_eq!(get("a=%zz%4&b=1+2%C3%BC", "a").as_deref(), Some("%zz%4"));
        assert_eq!(get("a=%zz%4&b=1+2%C3%BC", "b").as_deref(), Some("1 2ü"));
    }

    #[test]
    fn a_login_leads_only_to_our_own_pages() {
        assert_eq!(safe_next("?next=%2Fruns%3Fstatus%3DFAILED"), "/runs?status=FAILED");
        for evil in ["?next=https://x", "?next=//x", "?next=/%5Cx", "?next=/login", ""] {
            assert_eq!(safe_next(evil), "/");
        }
    }
}
