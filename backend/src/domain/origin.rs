//! Whether a write comes from a page of ours, or from no page at all. Browsers say it in a header that no page can forge;
//! the rules are those of Go's `net/http.CrossOriginProtection`.

/// Why a write is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Foreign {
    /// `Sec-Fetch-Site` says so.
    Site,
    /// `Origin` is another host than the one that was asked.
    Origin,
}

/// Checks the headers of a request that would change something.
///
/// # Errors
/// [`Foreign`] when a browser sent it for a page of somebody else's.
pub fn check(sec_fetch_site: Option<&str>, origin: Option<&str>, host: Option<&str>) -> Result<(), Foreign> {
    match sec_fetch_site {
        // `none` is a person's own doing: an address typed in, a bookmark.
        Some("same-origin" | "none") => return Ok(()),
        Some(_) => return Err(Foreign::Site),
        // Old browsers, and every browser on plain http, do not say.
        None => {}
    }
    // A program that is no browser sends neither.
    let Some(origin) = origin else { return Ok(()) };
    let same = origin.split_once("://").zip(host).is_some_and(|((scheme, authority), host)| {
        let default = match scheme {
            "http" => ":80",
            "https" => ":443",
            _ => return false,
        };
        let plain = |text: &str| text.strip_suffix(default).unwrap_or(text).to_ascii_lowercase();
        !host.is_empty() && plain(authority) == plain(host)
    });
    if same { Ok(()) } else { Err(Foreign::Origin) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whose_page_it_is() {
        for (site, origin, host, expected) in [
            (None, None, Some("flow:8000"), Ok(())),
            (Some("same-origin"), Some("http://flow:8000"), Some("flow:8000"), Ok(())),
            // The proxy renamed the host; the browser knows better.
            (Some("same-origin"), Some("https://flow.example.com"), Some("inner:8000"), Ok(())),
            (Some("none"), None, Some("flow"), Ok(())),
            (Some("cross-site"), None, Some("flow"), Err(Foreign::Site)),
            (Some("same-site"), Some("https://flow"), Some("flow"), Err(Foreign::Site)),
            (Some(""), None, Some("flow"), Err(Foreign::Site)),
            (None, Some("http://flow:8000"), Some("Flow:8000"), Ok(())),
            (None, Some("https://flow"), Some("flow:443"), Ok(())),
            (None, Some("http://flow"), Some("flow:443"), Err(Foreign::Origin)),
            (None, Some("http://evil"), Some("flow"), Err(Foreign::Origin)),
            (None, Some("http://flow.evil"), Some("flow"), Err(Foreign::Origin)),
            (None, Some("null"), Some("flow"), Err(Foreign::Origin)),
            (None, Some("chrome-extension://flow"), Some("flow"), Err(Foreign::Origin)),
            (None, Some("http://"), Some(""), Err(Foreign::Origin)),
            (None, Some("http://flow"), None, Err(Foreign::Origin)),
        ] {
            assert_eq!(check(site, origin, host), expected, "{site:?} {origin:?} {host:?}");
        }
    }
}
