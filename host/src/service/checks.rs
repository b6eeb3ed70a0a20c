//! Parts that are hashed again before their uploads go on, for all lines together.
//!
//! After a restart of the machine everybody who was uploading comes back at once, and every part has to be read once. A
//! disk reads a few of them faster than many at a time, so the others wait for their turn; their clients, and those of
//! parts that are being hashed, are told meanwhile that somebody works (R-VT-73).
//!
//! **Guarantees**: a part is hashed by one thread, also if its client comes back over another connection before the server
//! noticed that the first one is gone; it is given up when nobody waits for it any more, and goes on where it was the next time.
//! **Memory**: a line for each of [`MOST`] parts. **Time**: [`MOMENT`](super::MOMENT), once for each part; to look again, none.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use feige_core::wire::transfer::{ErrorCode, Path};

use super::MOMENT;
use crate::home::{Check, Earlier, Home, HomeError};

/// Parts that are hashed at a time: enough for a disk and a processor to be busy.
const MOST: usize = 2;

/// The parts that are being hashed.
#[derive(Debug, Default)]
pub(super) struct Checks(Mutex<Vec<UnderWay>>);

#[derive(Debug)]
struct UnderWay {
    home: Weak<Home>,
    path: String,
    check: Weak<Check>,
}

/// What a line waits for.
#[derive(Debug, Default)]
pub(super) enum Waits {
    /// Nothing.
    #[default]
    No,
    /// Its turn.
    ForTurn,
    /// The end of it.
    ForEnd(Arc<Check>),
}

/// What an earlier attempt left.
pub(super) enum Left {
    /// This, or nothing.
    Known(Option<Earlier>),
    /// It is being hashed, or waits for that: look again.
    Doubted,
}

impl Checks {
    /// What an earlier attempt to receive a file left. Where some of that is doubted, it is hashed first if it `suits` the
    /// new attempt; `waits` is the memory of the line that asks, again and again.
    ///
    /// # Errors
    /// As for [`Home::earlier`].
    pub(super) fn left(
        &self,
        waits: &mut Waits,
        home: &Arc<Home>,
        path: Path<'_>,
        suits: impl Fn(&Earlier) -> bool,
    ) -> Result<Left, HomeError> {
        let mut patience = Duration::ZERO;
        loop {
            match std::mem::take(waits) {
                Waits::ForEnd(check) => match check.wait(patience) {
                    Some(result) => result?,
                    None => {
                        *waits = Waits::ForEnd(check);
                        return Ok(Left::Doubted);
                    }
                },
                Waits::ForTurn if !self.is_free() => {
                    *waits = Waits::ForTurn;
                    return Ok(Left::Doubted);
                }
                Waits::ForTurn | Waits::No => {}
            }
            let left = match home.earlier(path) {
                // Somebody may be hashing it, who then has it for himself.
                Err(error) if error.code == ErrorCode::Busy => match home.glance(path)?.filter(is_doubted) {
                    None => return Err(error),
                    doubted => doubted,
                },
                left => left?,
            };
            let left = left.filter(&suits);
            if !left.as_ref().is_some_and(is_doubted) {
                return Ok(Left::Known(left));
            }
            *waits = self.begin(home, path)?;
            // A part that is not large need not be looked for again.
            patience = MOMENT;
        }
    }

    /// The parts that somebody waits for.
    fn under_way(&self) -> std::sync::MutexGuard<'_, Vec<UnderWay>> {
        let mut under_way = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        under_way.retain(|one| one.check.strong_count() > 0);
        under_way
    }

    fn is_free(&self) -> bool {
        self.under_way().len() < MOST
    }

    /// Begins to hash a part, or joins whoever does.
    fn begin(&self, home: &Arc<Home>, path: Path<'_>) -> Result<Waits, HomeError> {
        let mut under_way = self.under_way();
        if let Some(check) = under_way.iter().find_map(|one| one.of(home, path)) {
            return Ok(Waits::ForEnd(check));
        }
        if under_way.len() >= MOST {
            return Ok(Waits::ForTurn);
        }
        let Some(check) = home.check(path)?.map(Arc::new) else { return Ok(Waits::No) };
        let path = path.as_str().to_owned();
        under_way.push(UnderWay { home: Arc::downgrade(home), path, check: Arc::downgrade(&check) });
        Ok(Waits::ForEnd(check))
    }
}

/// Whether some of it has to be hashed before it is of use.
const fn is_doubted(earlier: &Earlier) -> bool {
    earlier.doubted > 0
}

impl UnderWay {
    /// The check, if it is of this part and not over.
    fn of(&self, home: &Arc<Home>, path: Path<'_>) -> Option<Arc<Check>> {
        if !std::ptr::eq(self.home.as_ptr(), Arc::as_ptr(home)) || self.path != path.as_str() {
            return None;
        }
        self.check.upgrade().filter(|check| !check.is_over())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File};

    use feige_core::digest::Digest;

    /// Octets of a block, which are all zeros.
    const LEN: usize = 1 << 20;

    /// Blocks of a part that is not hashed before somebody has looked.
    const MANY: u64 = 64 << 10;

    /// A home with parts that were left before the machine restarted, of so many blocks, none of which is on the disk.
    fn home(parts: &[(&str, u64)]) -> (tempfile::TempDir, Arc<Home>) {
        let folder = tempfile::tempdir().unwrap();
        let Digest(digest) = Digest::of(&vec![0; LEN]);
        for &(name, blocks) in parts {
            let octets = blocks * LEN as u64;
            let part = File::create(folder.path().join(format!(".{name}.feige-part"))).unwrap();
            part.set_len(octets).unwrap();
            let mut sums = [&b"feigesum"[..], &[1, 20, 0, 0, 0, 0, 0, 0], &7_u64.to_le_bytes()].concat();
            sums.extend((octets + 1).to_le_bytes());
            sums.extend(i64::MIN.to_le_bytes());
            // Another start than this one.
            sums.resize(64, 1);
            sums.extend(std::iter::repeat_n(digest, usize::try_from(blocks).unwrap()).flatten());
            fs::write(folder.path().join(format!(".{name}.feige-sums")), sums).unwrap();
        }
        let home = Home::open(folder.path(), None).unwrap();
        (folder, home)
    }

    fn path(name: &str) -> Path<'_> {
        Path::parse(name).unwrap()
    }

    /// Asks once; what is known then.
    fn ask(checks: &Checks, waits: &mut Waits, home: &Arc<Home>, name: &str) -> Option<Earlier> {
        match checks.left(waits, home, path(name), |earlier| earlier.stamp == 7).unwrap() {
            Left::Known(left) => Some(left.expect("it is there")),
            Left::Doubted => None,
        }
    }

    fn checked(waits: &Waits) -> Option<&Arc<Check>> {
        match waits {
            Waits::ForEnd(check) => Some(check),
            _ => None,
        }
    }

    #[test]
    fn what_is_doubted_is_hashed_and_then_known() {
        let (_folder, home) = home(&[("a", 40)]);
        let (checks, mut waits) = (Checks::default(), [Waits::No, Waits::No]);
        // Both of them hear of it, although each looks while the other may still have it.
        for waits in &mut waits {
            assert_eq!(ask(&checks, waits, &home, "a"), None);
        }
        for waits in &mut waits {
            let known = std::iter::from_fn(|| Some(ask(&checks, waits, &home, "a"))).flatten().next().unwrap();
            assert_eq!((known.offset, known.doubted), (40 * LEN as u64, 0));
            assert!(matches!(waits, Waits::No));
        }
    }

    #[test]
    fn what_does_not_suit_is_not_hashed() {
        let (_folder, home) = home(&[("a", MANY)]);
        let (checks, mut waits) = (Checks::default(), Waits::No);
        for name in ["a", "b"] {
            let left = checks.left(&mut waits, &home, path(name), |earlier| earlier.stamp == 8);
            assert!(matches!(left, Ok(Left::Known(None))) && matches!(waits, Waits::No), "{name}");
        }
    }

    #[test]
    fn some_are_hashed_at_a_time_each_by_one_until_nobody_waits_for_it() {
        let (_folder, home) = home(&[("a", MANY), ("b", MANY), ("c", MANY), ("d", 0)]);
        let checks = Checks::default();
        let mut waits: [Waits; 4] = Default::default();
        for (waits, name) in waits.iter_mut().zip(["a", "b", "c", "a"]) {
            assert_eq!(ask(&checks, waits, &home, name), None);
        }
        let [a, b, c, again] = &mut waits;
        assert!(matches!(c, Waits::ForTurn), "{c:?}");
        assert!(Arc::ptr_eq(checked(a).unwrap(), checked(again).unwrap()), "{a:?} {again:?}");
        assert!(checked(b).is_some());
        // The part belongs to who hashes it; others are not concerned.
        assert_eq!(home.earlier(path("a")).unwrap_err().code, ErrorCode::Busy);
        assert!(ask(&checks, &mut Waits::No, &home, "d").is_some());
        // The first connection is gone, the second still waits.
        *a = Waits::No;
        assert_eq!((ask(&checks, c, &home, "c"), ask(&checks, again, &home, "a")), (None, None));
        assert!(matches!(c, Waits::ForTurn), "{c:?}");
        *again = Waits::No;
        assert_eq!(ask(&checks, c, &home, "c"), None);
        assert!(checked(c).is_some(), "{c:?}");
        let left = home.earlier(path("a")).unwrap().unwrap();
        assert_eq!(left.offset + left.doubted, MANY * LEN as u64, "nobody has it, and nothing of it is lost");
        assert!(left.doubted > 0, "{left:?}");
    }
}
