//! Members as people know them: decoded names, and the character set of each.
//!
//! **Memory**: limited by the node's table of members; what the node forgets is forgotten here.

use std::collections::HashMap;
use std::net::SocketAddrV4;

use feige_core::node::Sighting;
use feige_core::wire::ipmsg::{Client, Header, Label, Options};

use crate::charset::{Charset, Policy};
use crate::ui::event::Peer;

/// Octets of a name that are kept: several times what the programs of the family take.
const LONGEST_NAME: usize = 255;

/// What is known of a member beyond the node's record.
#[derive(Clone, Debug)]
pub struct Known {
    /// Who it is.
    pub peer: Peer,
    /// The character set that it declares: by an option, or by being a program that has only one.
    pub declared: Option<Charset>,
    /// Whether it announced that it reads UTF-8.
    pub reads_utf8: bool,
    /// The character set that its octets fitted.
    pub learned: Option<Charset>,
    /// Whether it is a Feige; nothing as long as it was not asked.
    pub feige: Option<bool>,
}

impl Known {
    /// The character set in which to write to it; nothing if that is a guess.
    #[must_use]
    pub fn charset(&self) -> Option<Charset> {
        self.declared.or(self.learned)
    }
}

/// All members.
#[derive(Debug)]
pub struct Directory {
    policy: Policy,
    members: HashMap<SocketAddrV4, Known>,
}

/// What a name stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Match {
    /// Nobody that is known.
    Nobody,
    /// This one.
    One(SocketAddrV4),
    /// Several: a list for the user.
    Several(Vec<String>),
}

/// A name as it is kept and shown, which is told with everything that its owner does: not as long as a datagram may be.
pub(super) fn name_of(text: &str) -> String {
    text[..text.floor_char_boundary(LONGEST_NAME)].to_owned()
}

impl Directory {
    /// Nobody is known yet.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        Self { policy, members: HashMap::new() }
    }

    /// The policy for character sets.
    #[must_use]
    pub const fn policy(&self) -> Policy {
        self.policy
    }

    /// Takes in an entry, and returns who it is. Remembered is only whom the node remembers.
    pub fn sighted(&mut self, sighting: &Sighting<'_>) -> Peer {
        for gone in [sighting.moved_from, sighting.evicted].into_iter().flatten() {
            self.members.remove(&gone);
        }
        let reads_utf8 = sighting.header.options.contains(Options::CAP_UTF8);
        let declared = if reads_utf8 { Some(Charset::Utf8) } else { of_program(self.policy, &sighting.header) };
        let before = self.members.get(&sighting.at);
        let mut learned = before.and_then(|known| known.learned);
        let feige = before.and_then(|known| known.feige);
        let names = [sighting.user, sighting.host, sighting.nick, sighting.group];
        // The legacy part of an entry says what its sender falls back to, even if it reads UTF-8.
        for name in names.iter().filter(|name| !name.utf8) {
            learned = self.policy.sniff(name.text.as_bytes()).or(learned);
        }
        let of_program = of_program(self.policy, &sighting.header);
        let decode = |name: Label<'_>| {
            let charset = if name.utf8 { Some(Charset::Utf8) } else { of_program };
            name_of(&self.policy.decode(name.text.as_bytes(), charset, learned))
        };
        let [user, hostname, nick, group] = names.map(decode);
        let version = name_of(&String::from_utf8_lossy(sighting.header.version.as_bytes()));
        let peer = Peer { user, hostname, nick, group, addr: sighting.at, version, away: sighting.absent };
        if sighting.kept {
            self.members.insert(sighting.at, Known { peer: peer.clone(), declared, reads_utf8, learned, feige });
        }
        peer
    }

    /// Forgets a member.
    pub fn remove(&mut self, at: SocketAddrV4) -> Option<Peer> {
        self.members.remove(&at).map(|known| known.peer)
    }

    /// What is known of the member at this address.
    #[must_use]
    pub fn at(&self, at: SocketAddrV4) -> Option<&Known> {
        self.members.get(&at)
    }

    /// Decodes a text from `at`, and remembers what character set it fitted.
    pub fn decode(&mut self, at: SocketAddrV4, octets: &[u8], header: &Header<'_>) -> String {
        let utf8 = header.options.contains(Options::UTF8);
        let declared = if utf8 { Some(Charset::Utf8) } else { of_program(self.policy, header) };
        let known = self.members.get_mut(&at);
        let learned = known.as_ref().and_then(|known| known.learned);
        if let (Some(known), None) = (known, declared)
            && !learned.is_some_and(|learned| learned.fits(octets))
        {
            known.learned = self.policy.sniff(octets).or(learned);
        }
        self.policy.decode(octets, declared, learned).into_owned()
    }

    /// Who wrote a datagram: the member, or as much as its header tells.
    pub fn author(&mut self, at: SocketAddrV4, header: &Header<'_>) -> Peer {
        if let Some(known) = self.members.get(&at) {
            return known.peer.clone();
        }
        let user = name_of(&self.decode(at, header.user.as_bytes(), header));
        Peer {
            hostname: name_of(&self.decode(at, header.host.as_bytes(), header)),
            nick: user.clone(),
            user,
            group: String::new(),
            addr: at,
            version: name_of(&String::from_utf8_lossy(header.version.as_bytes())),
            away: false,
        }
    }

    /// A member said what program it is.
    pub fn runs(&mut self, at: SocketAddrV4, software: &str) {
        if let Some(known) = self.members.get_mut(&at) {
            known.feige = Some(software.starts_with("Feige "));
        }
    }

    /// Everybody, by name.
    #[must_use]
    pub fn everybody(&self) -> Vec<Peer> {
        let mut peers: Vec<Peer> = self.members.values().map(|known| known.peer.clone()).collect();
        peers.sort_by(|a, b| (&a.nick, &a.user, a.addr).cmp(&(&b.nick, &b.user, b.addr)));
        peers
    }

    /// Finds who is meant by a nick, a user, a host, or user@host, in this order; letters of any case.
    #[must_use]
    pub fn find(&self, name: &str) -> Match {
        let name = name.to_lowercase();
        let by = |part: &dyn Fn(&Peer) -> String| -> Vec<&Peer> {
            self.members.values().map(|known| &known.peer).filter(|peer| part(peer).to_lowercase() == name).collect()
        };
        let parts: [&dyn Fn(&Peer) -> String; 4] = [
            &|peer| format!("{}@{}", peer.user, peer.hostname),
            &|peer| peer.nick.clone(),
            &|peer| peer.user.clone(),
            &|peer| peer.hostname.clone(),
        ];
        for part in parts {
            let found = by(part);
            match found.as_slice() {
                [] => {}
                [peer] => return Match::One(peer.addr),
                several => {
                    let mut list: Vec<String> = several
                        .iter()
                        .map(|peer| format!("{}@{} ({})", peer.user, peer.hostname, peer.addr.ip()))
                        .collect();
                    list.sort();
                    return Match::Several(list);
                }
            }
        }
        Match::Nobody
    }
}

/// The character set that a program is known to use for everything (R-IP-103, R-IP-104).
fn of_program(policy: Policy, header: &Header<'_>) -> Option<Charset> {
    if header.options.contains(Options::UTF8) {
        return Some(Charset::Utf8);
    }
    policy.forced().or(match header.client() {
        Client::Iptux { .. } => Some(Charset::Utf8),
        Client::Feiq(_) | Client::Shiyeline => Some(Charset::Gbk),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_kept_whole_up_to_a_length() {
        assert_eq!(name_of("飞鸽"), "飞鸽");
        let long = "飞".repeat(20_000);
        let name = name_of(&long);
        assert!(long.starts_with(&name) && name.len() == LONGEST_NAME, "{}", name.len());
        assert_eq!(name_of(&"é".repeat(200)).len(), LONGEST_NAME - 1, "not half a character");
    }
}
