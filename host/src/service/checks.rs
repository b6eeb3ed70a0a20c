//! Parts that are hashed again before their uploads go on, for all lines together.
//!
//! After a restart of the machine everybody who was uploading comes back at once, and every part has to be read once. A
//! disk reads a few of them faster than many at a time, so the others wait for their turn; their clients, and those of
//! parts that are being hashed, are told meanwhile that somebody works (R-VT-73).
//!
//! **Guarantees**: a part is hashed by one thread, also if its client comes back over another connection before the server
//! noticed that the first one is gone; it is given up when nobody waits for it any more, and goes on where it was the next time.
//! **Memory**: a line for each of [`MOST`] parts. **Time**: never longer than [`MOMENT`](super::MOMENT) at a time.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;

use feige_core::wire::transfer::Path;

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
        suits: impl FnOnce(&Earlier) -> bool,
    ) -> Result<Left, HomeError> {
        match std::mem::take(waits) {
            Waits::ForEnd(check) => match check.wait(MOMENT) {
                Some(result) => result?,
                None => {
                    *waits = Waits::ForEnd(check);
                    return Ok(Left::Doubted);
                }
            },
            Waits::ForTurn if !self.is_free() => {
                *waits = Waits::ForTurn;
                thread::sleep(MOMENT);
                return Ok(Left::Doubted);
            }
            Waits::ForTurn | Waits::No => {}
        }
        // Whoever hashes a part has it for himself.
        if let Some(check) = self.find(home, path) {
            *waits = Waits::ForEnd(check);
            return Ok(Left::Doubted);
        }
        let left = home.earlier(path)?.filter(suits);
        if left.is_none_or(|left| left.doubted == 0) {
            return Ok(Left::Known(left));
        }
        *waits = self.begin(home, path)?;
        Ok(Left::Doubted)
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

    /// Who hashes this part.
    fn find(&self, home: &Arc<Home>, path: Path<'_>) -> Option<Arc<Check>> {
        self.under_way().iter().find_map(|one| one.of(home, path))
    }

    /// Begins to hash a part, or joins whoever has begun meanwhile.
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

impl UnderWay {
    /// The check, if it is of this part and not over.
    fn of(&self, home: &Arc<Home>, path: Path<'_>) -> Option<Arc<Check>> {
        if !std::ptr::eq(self.home.as_ptr(), Arc::as_ptr(home)) || self.path != path.as_str() {
            return None;
        }
        self.check.upgrade().filter(|check| !check.is_over())
    }
}
