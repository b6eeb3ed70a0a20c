//! What happened last, in a ring of octets that can be fetched like a file.

use feige_core::time::Instant;
use feige_core::wire::Writer;

/// The longest line; what is longer is left out.
const LINE_MAX: usize = 160;

/// The last lines, as many as a lent buffer holds.
#[derive(Debug)]
pub(super) struct Log<'a> {
    ring: &'a mut [u8],
    /// How many octets were ever written.
    end: u64,
}

impl<'a> Log<'a> {
    pub(super) const fn new(ring: &'a mut [u8]) -> Self {
        Self { ring, end: 0 }
    }

    /// Appends a line: the milliseconds since the start, and what `say` writes.
    // One copy of it for all lines.
    pub(super) fn line(&mut self, now: Instant, say: &dyn Fn(&mut Writer<'_>)) {
        let mut line = [0; LINE_MAX];
        let mut writer = Writer::new(&mut line);
        writer.decimal(now.as_millis()).octet(b' ');
        say(&mut writer);
        writer.octet(b'\n');
        let Ok(len) = writer.finish() else { return };
        for &octet in line.get(..len).unwrap_or_default() {
            let place = self.place(self.end);
            if let Some(room) = self.ring.get_mut(place) {
                *room = octet;
            }
            self.end = self.end.saturating_add(1);
        }
    }

    /// Where the oldest octet stands that is still there; positions count from the first line of all.
    pub(super) fn oldest(&self) -> u64 {
        self.end.saturating_sub(u64::try_from(self.ring.len()).unwrap_or(u64::MAX))
    }

    /// How many octets there are.
    pub(super) fn len(&self) -> u64 {
        self.end.saturating_sub(self.oldest())
    }

    /// Copies octets from position `at` on; 0 if they have been overwritten, or were not written yet.
    pub(super) fn read(&self, at: u64, into: &mut [u8]) -> usize {
        if at < self.oldest() {
            return 0;
        }
        let octets = (at..self.end).map_while(|at| self.ring.get(self.place(at)));
        into.iter_mut().zip(octets).map(|(to, from)| *to = *from).count()
    }

    fn place(&self, at: u64) -> usize {
        let len = u64::try_from(self.ring.len()).unwrap_or(u64::MAX);
        at.checked_rem(len).and_then(|place| usize::try_from(place).ok()).unwrap_or(usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_last_lines() {
        let mut ring = [0; 40];
        let mut log = Log::new(&mut ring);
        assert_eq!((log.len(), log.read(0, &mut [0; 9])), (0, 0));
        for number in 0..9 {
            log.line(Instant::from_millis(1000 + number), &|line| _ = line.octets(b"n").decimal(number));
        }
        let mut octets = [0; 64];
        let count = log.read(log.oldest(), &mut octets);
        assert_eq!(&octets[..count], b"1004 n4\n1005 n5\n1006 n6\n1007 n7\n1008 n8\n");
        assert_eq!(log.read(log.oldest() - 1, &mut octets), 0, "overwritten");
        assert_eq!(log.read(log.oldest() + 38, &mut octets), 2);
    }

    #[test]
    fn a_line_that_is_too_long_is_left_out() {
        let mut ring = [0; 400];
        let mut log = Log::new(&mut ring);
        log.line(Instant::START, &|line| _ = line.octets(&[b'x'; LINE_MAX]));
        assert_eq!(log.len(), 0);
        Log::new(&mut []).line(Instant::START, &|line| _ = line.octet(b'x'));
    }
}
