//! Where something is: `feige://[user@]host[:port]/path`.
//!
//! Not the `url` crate: by the rules of the web it would take `#` and `?` of a file's name for something else, fold `..`
//! away without a word, and bring tables for international host names that nothing here looks up. And people type these:
//! spaces and any letters may stand as they are.
//!
//! **Guarantees**: what is shown ([`Display`](fmt::Display)) reads back as the same. A password in a URL is refused and not
//! repeated: it would stand in the shell's history and in the list of processes.

use std::fmt::{self, Write as _};
use std::net::{Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::str::FromStr;

use feige_core::stream::transfer::scram;
use feige_core::wire::transfer::{PORT, Path};

use crate::exit::Failure;

/// The longest host name of the DNS.
const LONGEST_HOST: usize = 253;

/// A place at a server.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Url {
    /// Who signs in; `None`: a guest.
    pub user: Option<String>,
    /// A name or an address; of IPv6 without brackets, with its zone (`fe80::1%eth0`) if it has one.
    pub host: String,
    /// The TCP port.
    pub port: u16,
    /// Begins with a slash. A slash at the end tells that a folder is meant. [`Path::parse`] takes it.
    pub path: String,
}

/// What is wrong with a URL, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadUrl(String);

/// One with this text.
fn bad<T>(text: impl Into<String>) -> Result<T, BadUrl> {
    Err(BadUrl(text.into()))
}

impl FromStr for Url {
    type Err = BadUrl;

    fn from_str(text: &str) -> Result<Self, BadUrl> {
        let rest = match text.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("feige") => rest,
            Some((scheme, _)) if is_scheme(scheme) => {
                return bad(format!("`{scheme}://` is not spoken here; write feige://host/path"));
            }
            _ => return bad("write feige://host/path, so that it is no local file"),
        };
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        // A user may have an `@` in the name, a host may not.
        let (user, host) = match authority.rsplit_once('@') {
            Some((user, host)) => (Some(parse_user(user)?), host),
            None => (None, authority),
        };
        let (host, port) = parse_host(host)?;
        let path = if path.is_empty() { "/".to_owned() } else { decoded(path)? };
        Path::parse(&path).map_err(|error| BadUrl(format!("the path `{}`: {error}", path.escape_debug())))?;
        Ok(Self { user, host, port, path })
    }
}

impl Url {
    /// The path as the core takes it: without slashes around it.
    #[must_use]
    pub fn trimmed_path(&self) -> &str {
        let path = self.path.strip_prefix('/').unwrap_or(&self.path);
        path.strip_suffix('/').unwrap_or(path)
    }

    /// Whether a folder is meant, whatever is there.
    #[must_use]
    pub fn means_folder(&self) -> bool {
        self.path.ends_with('/')
    }

    /// The addresses of the host, of which the first that answers is the right one.
    ///
    /// # Errors
    /// A [`Failure`] with [`Exit::Nobody`](crate::exit::Exit::Nobody) if there are none.
    pub fn resolve(&self) -> Result<Vec<SocketAddr>, Failure> {
        let Self { host, port, .. } = self;
        let unknown = |why: &dyn fmt::Display| Failure::nobody(format!("cannot find the host {host}: {why}"));
        let addresses: Vec<_> = (host.as_str(), *port).to_socket_addrs().map_err(|error| unknown(&error))?.collect();
        if addresses.is_empty() { Err(unknown(&"it has no address")) } else { Ok(addresses) }
    }
}

/// As it can be typed.
impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("feige://")?;
        if let Some(user) = &self.user {
            encode(f, user, |character| matches!(character, '/' | ':' | '@'))?;
            f.write_char('@')?;
        }
        if self.host.contains(':') {
            // RFC 6874: the zone's `%` is written `%25`.
            write!(f, "[{}]", self.host.replace('%', "%25"))?;
        } else {
            f.write_str(&self.host)?;
        }
        if self.port != PORT {
            write!(f, ":{}", self.port)?;
        }
        encode(f, &self.path, |_| false)
    }
}

/// Writes `text`, with what would be taken for something else as `%xx`.
fn encode(f: &mut fmt::Formatter<'_>, text: &str, special: impl Fn(char) -> bool) -> fmt::Result {
    for character in text.chars() {
        if character == '%' || character == ' ' || character.is_control() || special(character) {
            let mut octets = [0; 4];
            character.encode_utf8(&mut octets).bytes().try_for_each(|octet| write!(f, "%{octet:02X}"))?;
        } else {
            f.write_char(character)?;
        }
    }
    Ok(())
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.chars().all(|character| character.is_ascii_alphanumeric() || "+-.".contains(character))
}

fn parse_user(user: &str) -> Result<String, BadUrl> {
    if user.contains(':') {
        return bad(
            "no password in a URL, where others can read it: leave it out and be asked, or use FEIGE_PASSWORD or --password-file",
        );
    }
    let user = decoded(user)?;
    if user.is_empty() {
        return bad("there is no user in front of the `@`");
    }
    if user.len() > scram::USER_MAX || user.chars().any(char::is_control) {
        return bad(format!("there can be no user `{}`", user.escape_debug()));
    }
    Ok(user)
}

/// Host and port.
fn parse_host(text: &str) -> Result<(String, u16), BadUrl> {
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let Some((host, port)) = rest.split_once(']') else {
            return bad("the `]` behind the IPv6 address is missing");
        };
        (parse_v6(host)?, port)
    } else {
        let (host, port) = text.split_at(text.find(':').unwrap_or(text.len()));
        if text.parse::<Ipv6Addr>().is_ok() {
            return bad(format!("an IPv6 address stands in brackets: feige://[{text}]/"));
        }
        let plain = |character: char| character.is_alphanumeric() || ".-_".contains(character);
        if host.is_empty() {
            return bad("the host is missing: write feige://host/path");
        }
        if host.len() > LONGEST_HOST || !host.chars().all(plain) {
            return bad(format!("`{}` is no host: a name or an address is needed", host.escape_debug()));
        }
        (host.to_owned(), port)
    };
    let port = match port.strip_prefix(':') {
        None if port.is_empty() => PORT,
        // `parse` takes a sign as well.
        Some(digits) if digits.bytes().all(|digit| digit.is_ascii_digit()) => match digits.parse() {
            Ok(port) if port != 0 => port,
            _ => return bad(format!("`{digits}` is no port: 1 to 65535")),
        },
        _ => return bad(format!("`{}` behind the host is no port", port.escape_debug())),
    };
    Ok((host, port))
}

fn parse_v6(text: &str) -> Result<String, BadUrl> {
    let (address, zone) = match text.split_once('%') {
        Some((address, zone)) => (address, Some(zone.strip_prefix("25").unwrap_or(zone))),
        None => (text, None),
    };
    let plain = |zone: &str| {
        !zone.is_empty() && zone.chars().all(|character| character.is_ascii_alphanumeric() || ".-_".contains(character))
    };
    match address.parse::<Ipv6Addr>() {
        Ok(address) if zone.is_none_or(plain) => {
            Ok(zone.map_or_else(|| address.to_string(), |zone| format!("{address}%{zone}")))
        }
        _ => bad(format!("`{}` is no IPv6 address", text.escape_debug())),
    }
}

/// The text behind `%xx`.
fn decoded(text: &str) -> Result<String, BadUrl> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, behind @ ..] = rest {
        rest = behind;
        if *first != b'%' {
            octets.push(*first);
            continue;
        }
        let digit = |octet: u8| char::from(octet).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let escaped = match behind {
            [high, low, behind @ ..] => digit(*high).zip(digit(*low)).map(|(high, low)| (high << 4 | low, behind)),
            _ => None,
        };
        match escaped {
            Some((b'/', _)) => return bad("`%2F` cannot be part of a name"),
            Some((octet, behind)) => {
                octets.push(octet);
                rest = behind;
            }
            None => return bad("a `%` has two hexadecimal digits behind it; the character itself is written `%25`"),
        }
    }
    String::from_utf8(octets).map_err(|_| BadUrl("what is written with `%` is not UTF-8".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;

    fn url(user: Option<&str>, host: &str, port: u16, path: &str) -> Url {
        Url { user: user.map(str::to_owned), host: host.into(), port, path: path.into() }
    }

    #[test]
    fn urls_are_read_and_written() {
        for (text, expected, written) in [
            ("feige://nas", url(None, "nas", 2426, "/"), "feige://nas/"),
            ("feige://nas/", url(None, "nas", 2426, "/"), "feige://nas/"),
            ("FEIGE://nas:2426/a", url(None, "nas", 2426, "/a"), "feige://nas/a"),
            ("feige://alice@nas:4000/a/b/", url(Some("alice"), "nas", 4000, "/a/b/"), "feige://alice@nas:4000/a/b/"),
            ("feige://192.168.1.7:1/x", url(None, "192.168.1.7", 1, "/x"), "feige://192.168.1.7:1/x"),
            ("feige://[::1]/x", url(None, "::1", 2426, "/x"), "feige://[::1]/x"),
            (
                "feige://a@[2001:DB8:0:0::7]:65535",
                url(Some("a"), "2001:db8::7", 65535, "/"),
                "feige://a@[2001:db8::7]:65535/",
            ),
            ("feige://[fe80::1%25eth0]/", url(None, "fe80::1%eth0", 2426, "/"), "feige://[fe80::1%25eth0]/"),
            ("feige://[fe80::1%eth0]/", url(None, "fe80::1%eth0", 2426, "/"), "feige://[fe80::1%25eth0]/"),
            ("feige://my_nas-2.local/x", url(None, "my_nas-2.local", 2426, "/x"), "feige://my_nas-2.local/x"),
            // As people type names of files.
            ("feige://nas/my file.txt", url(None, "nas", 2426, "/my file.txt"), "feige://nas/my%20file.txt"),
            ("feige://nas/my%20file.txt", url(None, "nas", 2426, "/my file.txt"), "feige://nas/my%20file.txt"),
            ("feige://nas/报告/数据.csv", url(None, "nas", 2426, "/报告/数据.csv"), "feige://nas/报告/数据.csv"),
            ("feige://nas/%E6%8A%a5", url(None, "nas", 2426, "/报"), "feige://nas/报"),
            ("feige://nas/a#1?b=c&d", url(None, "nas", 2426, "/a#1?b=c&d"), "feige://nas/a#1?b=c&d"),
            ("feige://nas/100%25", url(None, "nas", 2426, "/100%"), "feige://nas/100%25"),
            ("feige://nas/me@home", url(None, "nas", 2426, "/me@home"), "feige://nas/me@home"),
            ("feige://a%40b%3Ac@nas/", url(Some("a@b:c"), "nas", 2426, "/"), "feige://a%40b%3Ac@nas/"),
            ("feige://a@b@nas/", url(Some("a@b"), "nas", 2426, "/"), "feige://a%40b@nas/"),
            ("feige://飞鸽@nas/", url(Some("飞鸽"), "nas", 2426, "/"), "feige://飞鸽@nas/"),
        ] {
            assert_eq!(text.parse(), Ok(expected.clone()), "{text}");
            assert_eq!(expected.to_string(), written, "{text}");
            assert_eq!(written.parse(), Ok(expected), "{written}");
        }
    }

    #[test]
    fn errors_say_what_to_write() {
        let long = format!("feige://{}/", "h".repeat(254));
        let long_user = format!("feige://{}@nas/", "u".repeat(65));
        for (text, says) in [
            ("", "write feige://host/path"),
            ("nas/path", "write feige://host/path"),
            ("nas:2426/path", "write feige://host/path"),
            ("/tmp/file", "write feige://host/path"),
            ("feige:nas/path", "write feige://host/path"),
            ("feige:/nas/path", "write feige://host/path"),
            ("http://nas/path", "`http://` is not spoken"),
            ("feige://", "the host is missing"),
            ("feige:///path", "the host is missing"),
            ("feige://:2426/", "the host is missing"),
            ("feige://alice@/", "the host is missing"),
            ("feige://@nas/", "no user in front"),
            ("feige://alice:@nas/", "no password in a URL"),
            ("feige://a%0a@nas/", "can be no user"),
            ("feige://a%2f@nas/", "%2F"),
            (&long_user, "can be no user"),
            ("feige://na s/", "is no host"),
            ("feige://nas?x/", "is no host"),
            ("feige://n\u{1b}as/", "`n\\u{1b}as` is no host"),
            (&long, "is no host"),
            ("feige://nas:/", "is no port"),
            ("feige://nas:0/", "is no port"),
            ("feige://nas:65536/", "is no port"),
            ("feige://nas:+1/", "is no port"),
            ("feige://nas:ftp/", "is no port"),
            ("feige://fe80::1/", "feige://[fe80::1]/"),
            ("feige://[fe80::1/", "`]`"),
            ("feige://[nas]/", "is no IPv6"),
            ("feige://[1.2.3.4]/", "is no IPv6"),
            ("feige://[::1]2/", "is no port"),
            ("feige://[fe80::1%25]/", "is no IPv6"),
            ("feige://[fe80::1%25e/0]/", "`]`"),
            ("feige://nas/50%", "written `%25`"),
            ("feige://nas/50%2", "written `%25`"),
            ("feige://nas/50%zz", "written `%25`"),
            ("feige://nas/%+1", "written `%25`"),
            ("feige://nas/%ff", "not UTF-8"),
            ("feige://nas/a%2Fb", "%2F"),
            ("feige://nas/../etc/passwd", "not allowed"),
            ("feige://nas/%2e%2e/etc/passwd", "not allowed"),
            ("feige://nas/a/./b", "not allowed"),
            ("feige://nas//a", "not allowed"),
            ("feige://nas/a\\b", "not allowed"),
            ("feige://nas/a%00", "`/a\\0`"),
            ("feige://nas/a%1b[2J", "`/a\\u{1b}[2J`"),
            ("feige://nas/con", "not allowed"),
        ] {
            let error = text.parse::<Url>().expect_err(text).to_string();
            assert!(error.contains(says), "{text}: {error}");
            assert!(!error.contains(char::is_control), "{text}: {error}");
        }
        let error = "feige://alice:geheim@nas/".parse::<Url>().expect_err("a password").to_string();
        assert!(error.contains("FEIGE_PASSWORD") && !error.contains("geheim"), "{error}");
    }

    #[test]
    fn paths_are_for_the_core() {
        let url: Url = "feige://nas/a/b/".parse().expect("good");
        assert_eq!((url.trimmed_path(), url.means_folder()), ("a/b", true));
        let url: Url = "feige://nas/a/b".parse().expect("good");
        assert_eq!((url.trimmed_path(), url.means_folder()), ("a/b", false));
        let url: Url = "feige://nas".parse().expect("good");
        assert_eq!((url.trimmed_path(), url.means_folder()), ("", true));
    }

    #[test]
    fn hosts_have_addresses_or_are_not_found() {
        let resolve = |text: &str| text.parse::<Url>().expect("good").resolve();
        assert_eq!(resolve("feige://127.0.0.1:7/"), Ok(vec!["127.0.0.1:7".parse().expect("an address")]));
        assert_eq!(resolve("feige://[::1]/"), Ok(vec!["[::1]:2426".parse().expect("an address")]));
        // Reserved by RFC 6761, so nobody has to be asked; where a resolver is asked all the same, it says no.
        let failure = resolve("feige://nobody.invalid/").expect_err("no such host");
        assert_eq!(failure.exit, Exit::Nobody);
        assert!(failure.message.contains("nobody.invalid"), "{failure}");
    }
}
