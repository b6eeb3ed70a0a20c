//! What has been read and not yet understood.

use core::ops::Range;

use heapless::{Deque, Vec};

use super::{BLOCKS, MOST_BLOCKS};
use crate::digest::{Digest, Hasher};
use crate::stream::ProtocolError;
use crate::wire::transfer::{LENGTH, Prefix, prefix};

/// Blocks of small files that are hashed together, at most. A microcontroller hashes one after the other anyhow.
const TOGETHER: usize = if cfg!(target_os = "none") { 4 } else { BLOCKS };

/// The unread octets of the lent input buffer.
///
/// Blocks of small files that are complete in the buffer are hashed together, although they are asked about one by one.
#[derive(Debug, Default)]
pub(super) struct Intake {
    start: usize,
    end: usize,
    /// How far the next read may fill the buffer.
    limit: usize,
    /// Octets taken since the connection began: positions that stay when the buffer is compacted.
    taken: u64,
    /// Digests of blocks that come later, and where these begin.
    ahead: Deque<(u64, Digest), TOGETHER>,
}

/// A header, complete in the buffer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    /// Octets of the header itself.
    len: usize,
}

impl Head {
    /// Octets of length and header.
    pub(super) const fn total(self) -> usize {
        self.len.saturating_add(LENGTH)
    }
}

/// What a later message has for a body.
pub(super) enum Body {
    /// None.
    Empty,
    /// The digest of one block, and its octets: so many.
    Block(usize),
    /// Something else: looking ahead ends here.
    Other,
}

impl Intake {
    /// How many octets are unread.
    pub(super) const fn len(&self) -> usize {
        self.end.saturating_sub(self.start)
    }

    /// The unread octets.
    pub(super) fn unread<'i>(&self, input: &'i [u8]) -> &'i [u8] {
        input.get(self.start..self.end).unwrap_or_default()
    }

    /// The next header, if it is complete.
    pub(super) fn head(&self, input: &[u8], most: usize) -> Result<Option<Head>, ProtocolError> {
        let unread = self.unread(input);
        Ok(match prefix(unread, most).map_err(ProtocolError::Malformed)? {
            Prefix::Header(len) if unread.len() >= len.saturating_add(LENGTH) => Some(Head { len }),
            Prefix::Header(_) | Prefix::More => None,
        })
    }

    /// Whether a header is there, complete or impossible, that is not as `expected`.
    pub(super) fn surprises(&self, input: &[u8], most: u16, expected: impl FnOnce(&[u8]) -> bool) -> bool {
        match self.head(input, usize::from(most)) {
            Ok(Some(head)) => !expected(self.header(input, head)),
            Ok(None) => false,
            Err(_) => true,
        }
    }

    /// The octets of that header.
    pub(super) fn header<'i>(&self, input: &'i [u8], head: Head) -> &'i [u8] {
        self.unread(input).get(LENGTH..head.total()).unwrap_or_default()
    }

    /// The first `count` unread octets are understood.
    pub(super) fn take(&mut self, count: usize) {
        let count = count.min(self.len());
        self.start = self.start.saturating_add(count);
        self.taken = self.taken.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
    }

    /// Where in the buffer the unread octets are.
    pub(super) const fn span(&self) -> Range<usize> {
        self.start..self.end
    }

    /// The unread octets are the first ones now, of another buffer.
    pub(super) const fn moved(&mut self) {
        (self.start, self.end) = (0, self.len());
    }

    /// Makes room so that `needed` octets can be unread at a time, which must fit the buffer, and prepares to read
    /// about so many of them.
    ///
    /// If a lot is needed, not much more is read: what follows would only have to be moved to the front later.
    pub(super) fn prepare(&mut self, input: &mut [u8], needed: usize) {
        let fits = |start: usize| start.saturating_add(needed) <= input.len();
        if self.start > 0 && !fits(self.start) && self.start <= self.end && self.end <= input.len() {
            input.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.len());
        }
        // A little more: with it comes the next length and header.
        let little = needed.saturating_add(64);
        self.limit =
            if needed > input.len() >> 1 { self.start.saturating_add(little).min(input.len()) } else { input.len() };
    }

    /// Where the next octets go.
    pub(super) fn room<'i>(&self, input: &'i mut [u8]) -> &'i mut [u8] {
        input.get_mut(self.end..self.limit).unwrap_or_default()
    }

    /// `count` octets were read there.
    pub(super) fn filled(&mut self, count: usize) {
        self.end = self.end.saturating_add(count).min(self.limit);
    }

    /// Hashes the blocks at the front of the unread octets, of `block` octets each and `len` in all, which must be
    /// there. `body` tells about the messages that follow.
    pub(super) fn hash(
        &mut self,
        input: &[u8],
        len: usize,
        block: usize,
        digests: &mut [Digest; MOST_BLOCKS],
        hasher: &mut impl Hasher,
        body: impl FnMut(&[u8]) -> Body,
    ) {
        let unread = self.unread(input);
        if len > block {
            let mut blocks: Vec<&[u8], MOST_BLOCKS> = Vec::new();
            for block in unread.get(..len).unwrap_or_default().chunks(block.max(1)) {
                // A run has no more.
                let _ = blocks.push(block);
            }
            return hasher.md5(&blocks, digests);
        }
        while let Some(&(at, digest)) = self.ahead.front() {
            if at > self.taken {
                break;
            }
            self.ahead.pop_front();
            if at == self.taken {
                if let Some(first) = digests.first_mut() {
                    *first = digest;
                }
                return;
            }
        }
        self.ahead.clear();
        let (blocks, places) = together(unread, len, body);
        hasher.md5(&blocks, digests);
        for (digest, place) in digests.iter().zip(&places).skip(1) {
            let at = self.taken.saturating_add(u64::try_from(*place).unwrap_or(u64::MAX));
            // As many as there are digests: it fits.
            let _ = self.ahead.push_back((at, *digest));
        }
    }
}

/// The block of `len` octets at the front, and those of the messages that follow as far as they are complete; and where
/// each begins.
fn together(
    unread: &[u8],
    len: usize,
    mut body: impl FnMut(&[u8]) -> Body,
) -> (Vec<&[u8], TOGETHER>, Vec<usize, TOGETHER>) {
    let (mut blocks, mut places) = (Vec::new(), Vec::new());
    let (mut place, mut len) = (0_usize, len);
    while let Some(block) = unread.get(place..place.saturating_add(len)) {
        if blocks.push(block).is_err() || places.push(place).is_err() {
            break;
        }
        let mut next = place.saturating_add(len);
        let found = loop {
            let rest = unread.get(next..).unwrap_or_default();
            let Ok(Prefix::Header(header)) = prefix(rest, rest.len()) else { break None };
            let Some(octets) = rest.get(LENGTH..LENGTH.saturating_add(header)) else { break None };
            next = next.saturating_add(LENGTH).saturating_add(header);
            match body(octets) {
                Body::Empty => {}
                Body::Block(len) => break Some(len),
                Body::Other => break None,
            }
        };
        let Some(found) = found else { break };
        (place, len) = (next.saturating_add(Digest::LEN), found);
    }
    (blocks, places)
}
