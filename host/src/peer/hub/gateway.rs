//! Between the flood and the classic programs: what has to be remembered to translate.
//!
//! Classic questions have no id, and classic answers name only what was found. So it is remembered who asked for what
//! (to answer in the asker's form), which question came just now (to take its second copy for one), and what we asked
//! for ourselves (to know what a `found` answers).
//!
//! A classic program sends its question to all of its neighbours. If several of them are Feiges, all of them must make
//! the same query of it, or it floods once for each: the id is made of what all of them know, the question and the time
//! (R-FL-89). So it can be guessed. Whoever guesses it can ask with it first over a link, and have the answers instead of
//! the asker: no worse than what anybody can do who answers a question with a lie. A text that is forged word for word does
//! no harm, since the true one is passed on if it goes farther, and both are answered to the same asker. The form is in the
//! id, because an answer in the other form could not be read.
//!
//! **Guarantees**: an answer goes only to networks that are configured, and to nobody more than a few times a minute; a
//! `found` that nobody asked for is dropped. **Memory**: at most [`MOST`] entries of each kind.
//! **Protocol**: R-FL-77, R-FL-79, R-FL-89.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::{Duration, Instant, SystemTime};

use feige_core::digest::Digest;
use feige_core::wire::flood::QueryId;
use feige_core::wire::flood::classic::Program;

/// Entries of each kind.
const MOST: usize = 1024;

/// How long an asker, and what we asked, is remembered: as long as a query.
const LIFETIME: Duration = Duration::from_secs(30);

/// A question of the same name from the same asker is the same within this time: longer than it takes to come over
/// all ways, shorter than a person takes to ask again.
const SAME: Duration = Duration::from_secs(4);

/// A question gets another id with each of these periods of the clock (R-FL-89), in seconds.
const PERIOD: u64 = 8;

/// Answers to one asker in a minute, and to one machine, because a forger can make up ports.
const ANSWERS: u32 = 60;
const ANSWERS_TO_MACHINE: u32 = 240;

/// Who asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Asker {
    pub(super) at: SocketAddrV4,
    /// In whose form.
    pub(super) program: Program,
}

#[derive(Debug, Default)]
pub(super) struct Gateway {
    askers: Table<QueryId, Asker>,
    recent: Table<(String, Asker), QueryId>,
    /// What we asked classic programs to answer to us.
    asked: Table<String, QueryId>,
    told: Table<SocketAddrV4, u32>,
    told_machines: Table<Ipv4Addr, u32>,
}

/// Entries that are forgotten after a time.
#[derive(Debug)]
struct Table<K, V> {
    entries: HashMap<K, (V, Instant)>,
}

impl<K, V> Default for Table<K, V> {
    fn default() -> Self {
        Self { entries: HashMap::new() }
    }
}

impl<K: Hash + Eq, V> Table<K, V> {
    fn get(&self, key: &K) -> Option<&V> {
        self.entries.get(key).filter(|(_, until)| Instant::now() < *until).map(|(value, _)| value)
    }

    /// Keeps an entry; `false` if there is no room.
    fn put(&mut self, key: K, value: V, time: Duration) -> bool {
        let now = Instant::now();
        if self.entries.len() >= MOST {
            self.entries.retain(|_, (_, until)| now < *until);
        }
        let fits = self.entries.len() < MOST || self.entries.contains_key(&key);
        if fits {
            self.entries.insert(key, (value, now + time));
        }
        fits
    }
}

impl Gateway {
    /// The id of a question that came without one: that of its other copy, or the one that every other Feige gives it
    /// now.
    pub(super) fn id(&mut self, name: &str, asker: Asker, now: SystemTime) -> QueryId {
        let key = (name.to_owned(), asker);
        if let Some(id) = self.recent.get(&key) {
            return *id;
        }
        let id = id_of(name, asker, now);
        self.recent.put(key, id, SAME);
        id
    }

    /// Remembers who asked. The first stays: a later copy may have been translated on its way.
    pub(super) fn asks(&mut self, id: QueryId, asker: Asker) -> bool {
        self.askers.get(&id).is_some() || self.askers.put(id, asker, LIFETIME)
    }

    /// Who asked, if it was a classic program.
    pub(super) fn asker(&self, id: QueryId) -> Option<Asker> {
        self.askers.get(&id).copied()
    }

    /// We ask for this name in our own.
    pub(super) fn ask(&mut self, name: &str, id: QueryId) {
        self.asked.put(name.to_owned(), id, LIFETIME);
    }

    /// Which query a `found` of this name answers.
    pub(super) fn answered(&self, name: &str) -> Option<QueryId> {
        self.asked.get(&name.to_owned()).copied()
    }

    /// Whether an asker may be told once more (R-FL-77).
    pub(super) fn may_tell(&mut self, at: SocketAddrV4) -> bool {
        self.told.count(at, ANSWERS) && self.told_machines.count(*at.ip(), ANSWERS_TO_MACHINE)
    }
}

/// What R-FL-89 makes of a question.
fn id_of(name: &str, asker: Asker, now: SystemTime) -> QueryId {
    let form = match asker.program {
        Program::J => 'J',
        Program::C => 'C',
    };
    // A clock before 1970 is in step with nobody's.
    let seconds = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let text = format!("{form} {name} {} {} {}", asker.at.ip(), asker.at.port(), seconds / PERIOD);
    // In the order of octets in which ids are sent.
    QueryId::new(Digest::of(text.as_bytes()).key().swap_bytes().max(1))
}

impl<K: Hash + Eq> Table<K, u32> {
    /// Counts one more within a minute; `false` if there are more than `most`, or there is no room to count.
    fn count(&mut self, key: K, most: u32) -> bool {
        if let Some((count, until)) = self.entries.get_mut(&key)
            && Instant::now() < *until
        {
            *count = count.saturating_add(1);
            return *count <= most;
        }
        self.put(key, 1, Duration::from_secs(60))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// proves: R-FL-77, R-FL-79
    #[test]
    fn nobody_is_told_without_end_and_nothing_that_was_not_asked_for_is_believed() {
        let mut gateway = Gateway::default();
        let at: SocketAddrV4 = "10.0.0.1:10801".parse().unwrap();
        let told = (0..1000).filter(|_| gateway.may_tell(at)).count();
        assert_eq!(told, 60);
        assert!(gateway.may_tell("10.0.0.2:10801".parse().unwrap()));
        // With another port each time.
        let told = (1..1000).filter(|&port| gateway.may_tell(SocketAddrV4::new(*at.ip(), port))).count();
        assert_eq!(told, 240 - 60);
        assert_eq!(gateway.answered("3.txt"), None);
        gateway.ask("3.txt", QueryId::new(7));
        assert_eq!(gateway.answered("3.txt"), Some(QueryId::new(7)));
        // Askers that are made up fill the table, and no more.
        let asker = Asker { at, program: Program::J };
        let kept = (1..5000).filter(|&id| gateway.asks(QueryId::new(id), asker)).count();
        assert_eq!(kept, MOST);
    }

    /// The id is that of the book, octet by octet.
    ///
    /// proves: R-FL-89
    #[test]
    fn a_question_without_an_id_has_the_same_at_every_gateway_and_another_later() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let asker = Asker { at: "127.0.0.1:10801".parse().unwrap(), program: Program::J };
        let id = |name, asker, seconds| Gateway::default().id(name, asker, at(seconds));
        let first = id("3.txt", asker, 1_700_000_000);
        assert_eq!(first.to_string(), "f0d29e1d13906d2b");
        assert_eq!(first, id("3.txt", asker, 1_700_000_007));
        assert_ne!(first, id("3.txt", asker, 1_700_000_008));
        assert_ne!(first, id("4.txt", asker, 1_700_000_000));
        let other_port = Asker { at: "127.0.0.1:10802".parse().unwrap(), ..asker };
        let other_form = Asker { program: Program::C, ..asker };
        for other in [other_port, other_form] {
            assert_ne!(first, id("3.txt", other, 1_700_000_000));
        }
        // Its other copy comes when the period has just ended.
        let mut gateway = Gateway::default();
        assert_eq!(gateway.id("3.txt", asker, at(7)), gateway.id("3.txt", asker, at(8)));
    }
}
