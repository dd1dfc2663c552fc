//! Where a git repository is: what counts as its address, its branch, a folder in it. Credentials that somebody pasted into
//! an address are taken out of it, so that the address can be shown, stored and logged.

use zeroize::Zeroizing;

/// How a repository is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// Not encrypted.
    Http,
    /// Encrypted, with tokens.
    Https,
    /// Encrypted, with keys.
    Ssh,
    /// A folder of this machine.
    Local,
}

/// The address of a repository, without any credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// How it is reached.
    pub scheme: Scheme,
    /// The address as git takes it. Over ssh it holds the user's name, which is no secret.
    pub url: String,
    /// The host with its port, lower case; empty for a folder of this machine.
    pub host: String,
    /// User name that the address named.
    pub username: Option<String>,
}

/// An address and the password that it held.
pub type Parsed = (Address, Option<Zeroizing<String>>);

impl Address {
    /// Reads an address as people paste it.
    ///
    /// # Errors
    /// What is wrong, in words. Never repeats the text: it may hold a password.
    pub fn parse(text: &str) -> Result<Parsed, String> {
        let text = text.trim();
        if text.is_empty() || text.chars().any(|c| c.is_control() || c == ' ') {
            return Err("an address has no spaces and no control characters".to_owned());
        }
        if text.starts_with('/') {
            return Ok((Self::local(text), None));
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            return scp(text).ok_or_else(allowed);
        };
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            "ssh" => Scheme::Ssh,
            "file" if rest.starts_with('/') => return Ok((Self::local(rest), None)),
            _ => return Err(allowed()),
        };
        if rest.contains(['?', '#']) {
            return Err("leave out everything from ? or # on; a token belongs into its own setting".to_owned());
        }
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (userinfo, host) = authority.rsplit_once('@').map_or((None, authority), |(user, host)| (Some(user), host));
        let host = host.to_ascii_lowercase();
        let good = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
        if host.is_empty() || host.starts_with(['-', ':']) || !host.chars().all(good) || path.is_empty() {
            return Err(allowed());
        }
        if userinfo.is_some_and(|info| info.starts_with('-')) {
            return Err(allowed());
        }
        let (username, password) = match userinfo {
            None | Some("") => (None, None),
            Some(info) => match info.split_once(':') {
                Some((user, password)) => (Some(decode(user)), Some(decode(password)).filter(|text| !text.is_empty())),
                // A lone name before an https host is how tokens are pasted.
                None if scheme != Scheme::Ssh => (None, Some(decode(info))),
                None => (Some(decode(info)), None),
            },
        };
        Ok((Self::remote(scheme, &host, path, username.filter(|name| !name.is_empty())), password.map(Zeroizing::new)))
    }

    /// The page that shows a commit in a browser, where this address is that of a host for repositories. All of them but
    /// Bitbucket have it below the same word.
    #[must_use]
    pub fn commit_page(&self, commit: &str) -> Option<String> {
        let path = match self.scheme {
            Scheme::Local => return None,
            _ => self.url.split_once("://")?.1.split_once('/')?.1,
        };
        let path = path.trim_end_matches('/');
        let path = path.strip_suffix(".git").unwrap_or(path);
        // The port of ssh says nothing about the one of the pages.
        let host = if self.scheme == Scheme::Ssh { self.host.split(':').next()? } else { &self.host };
        let scheme = if self.scheme == Scheme::Http { "http" } else { "https" };
        let word = if host == "bitbucket.org" { "commits" } else { "commit" };
        let safe = !path.is_empty() && !host.starts_with('[') && commit.chars().all(|c| c.is_ascii_hexdigit());
        safe.then(|| format!("{scheme}://{host}/{path}/{word}/{commit}"))
    }

    fn local(path: &str) -> Self {
        Self { scheme: Scheme::Local, url: path.to_owned(), host: String::new(), username: None }
    }

    fn remote(scheme: Scheme, host: &str, path: &str, username: Option<String>) -> Self {
        let url = match scheme {
            Scheme::Http => format!("http://{host}/{path}"),
            Scheme::Https => format!("https://{host}/{path}"),
            _ => format!("ssh://{}@{host}/{path}", username.as_deref().unwrap_or("git")),
        };
        Self { scheme, url, host: host.to_owned(), username }
    }
}

fn allowed() -> String {
    "https://host/path, ssh://git@host/path, git@host:path, or the absolute path of a folder".to_owned()
}

/// `git@host:path`.
fn scp(text: &str) -> Option<Parsed> {
    let (authority, path) = text.split_once(':')?;
    let (user, host) = authority.split_once('@')?;
    let good = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    let named =
        !user.is_empty() && !user.starts_with('-') && !host.is_empty() && !host.starts_with('-') && !path.is_empty();
    let plain = user.chars().all(good) && host.chars().all(good);
    (named && plain).then(|| {
        let host = host.to_ascii_lowercase();
        (Address::remote(Scheme::Ssh, &host, path.trim_start_matches('/'), Some(user.to_owned())), None)
    })
}

/// Percent-decodes; what is no encoding stays as it is.
fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut index = 0;
    while index < bytes.len() {
        let pair = (bytes[index] == b'%').then(|| text.get(index + 1..index + 3)).flatten();
        match pair.and_then(|pair| u8::from_str_radix(pair, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                index += 3;
            }
            None => {
                out.push(bytes[index]);
                index += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Checks the name of a branch by git's rules.
///
/// # Errors
/// What is wrong, in words.
pub fn check_branch(name: &str) -> Result<(), String> {
    let bad = |c: char| c.is_control() || " ~^:?*[\\".contains(c);
    let parts = || name.split('/');
    let wrong = name.is_empty()
        || name.len() > 200
        || name.chars().any(bad)
        || name.starts_with('-')
        || name.ends_with('.')
        || name == "@"
        || name.contains("..")
        || name.contains("@{")
        || parts().any(|part| part.is_empty() || part.starts_with('.') || part.ends_with(".lock"));
    if wrong { Err(format!("{name:?} cannot be the name of a branch")) } else { Ok(()) }
}

/// A folder of the repository as `a/b`; empty for the whole.
///
/// # Errors
/// What is wrong, in words.
pub fn clean_subdir(text: &str) -> Result<String, String> {
    let parts: Vec<&str> = text.trim().split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    if text.trim().starts_with('/') || parts.iter().any(|part| *part == ".." || part.contains('\0')) {
        return Err(format!("{text:?} is no folder within the repository: give it as a/b, without .."));
    }
    Ok(parts.join("/"))
}

/// Whether a symbolic link `depth` folders below the folder that it must not leave, leading to `target`, stays inside,
/// whatever other links there are that pass this test too.
#[must_use]
pub fn link_stays_inside(target: &[u8], depth: usize) -> bool {
    if target.is_empty() || target.starts_with(b"/") || target.contains(&0) {
        return false;
    }
    let parts: Vec<&[u8]> =
        target.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".").collect();
    let ups = parts.iter().take_while(|part| **part == b"..").count();
    // `..` behind a name could climb out of wherever another link has led to.
    ups <= depth && parts.iter().skip(ups).all(|part| *part != b"..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_as_people_paste_them() {
        for (text, url, host, user, password) in [
            ("https://github.com/o/r.git", "https://github.com/o/r.git", "github.com", None, None),
            ("https://t0ken@GitHub.com/o/r", "https://github.com/o/r", "github.com", None, Some("t0ken")),
            ("https://u:p%40ss@h:8443/r", "https://h:8443/r", "h:8443", Some("u"), Some("p@ss")),
            ("https://u:a@b@h/r", "https://h/r", "h", Some("u"), Some("a@b")),
            ("http://h/r", "http://h/r", "h", None, None),
            ("ssh://git@h:22/o/r", "ssh://git@h:22/o/r", "h:22", Some("git"), None),
            ("ssh://git:secret@h/r", "ssh://git@h/r", "h", Some("git"), Some("secret")),
            ("ssh://h/r", "ssh://git@h/r", "h", None, None),
            ("git@GitHub.com:o/r.git", "ssh://git@github.com/o/r.git", "github.com", Some("git"), None),
            (" /srv/repo ", "/srv/repo", "", None, None),
            ("file:///srv/repo", "/srv/repo", "", None, None),
        ] {
            let (address, found) = Address::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!((address.url.as_str(), address.host.as_str()), (url, host), "{text}");
            assert_eq!(address.username.as_deref(), user, "{text}");
            assert_eq!(found.as_deref().map(String::as_str), password, "{text}");
        }
    }

    #[test]
    fn a_commit_has_a_page_where_the_host_has_pages() {
        for (text, page) in [
            ("https://github.com/o/r.git", Some("https://github.com/o/r/commit/4f1c")),
            ("https://t0ken@gitlab.example.org:8443/g/s/r/", Some("https://gitlab.example.org:8443/g/s/r/commit/4f1c")),
            ("git@github.com:o/r.git", Some("https://github.com/o/r/commit/4f1c")),
            ("ssh://git@forge.example.org:2222/o/r", Some("https://forge.example.org/o/r/commit/4f1c")),
            ("https://bitbucket.org/o/r", Some("https://bitbucket.org/o/r/commits/4f1c")),
            ("http://h/r", Some("http://h/r/commit/4f1c")),
            ("/srv/repo", None),
        ] {
            let address = Address::parse(text).unwrap_or_else(|error| panic!("{text}: {error}")).0;
            assert_eq!(address.commit_page("4f1c").as_deref(), page, "{text}");
            assert_eq!(address.commit_page("../x"), None);
        }
    }

    #[test]
    fn what_is_no_address_is_refused_without_being_repeated() {
        for text in [
            "",
            "repo",
            "git://h/r",
            "ftp://h/r",
            "https://",
            "https://h",
            "https:///r",
            "https://h/r?private_token=x",
            "https://-oProxyCommand=x/r",
            "ssh://-x/r",
            "-x@h:r",
            "git@-h:r",
            "ext::sh -c id",
            "https://h\n/r",
            "file://x",
        ] {
            let error = Address::parse(text).expect_err(text);
            assert!(!error.contains("private_token") && !error.contains("ProxyCommand"), "{error}");
        }
    }

    #[test]
    fn branches_and_folders() {
        for good in ["main", "feature/a-1", "ünï", "v1.2"] {
            assert!(check_branch(good).is_ok(), "{good}");
        }
        for bad in
            ["", "-x", "a..b", "a b", "a//b", "/a", "a/", ".a", "a.lock", "a/.b", "a:b", "@", "a@{1", "a~1", "x."]
        {
            assert!(check_branch(bad).is_err(), "{bad}");
        }
        for (text, clean) in [("", ""), ("a/b", "a/b"), ("./a//b/", "a/b"), (" a ", "a")] {
            assert_eq!(clean_subdir(text).as_deref(), Ok(clean));
        }
        for bad in ["/a", "..", "a/../b"] {
            assert!(clean_subdir(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn links_that_leave_are_told_from_those_that_stay() {
        for (target, depth, stays) in [
            ("a", 0, true),
            ("./a/b", 0, true),
            ("../a", 1, true),
            ("../a", 0, false),
            ("../../a", 1, false),
            ("a/../b", 3, false),
            ("/etc/passwd", 5, false),
            ("", 0, false),
            (".", 0, true),
            ("..", 1, true),
            ("...", 0, true),
        ] {
            assert_eq!(link_stays_inside(target.as_bytes(), depth), stays, "{target} at {depth}");
        }
    }
}
