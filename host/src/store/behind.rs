//! Has the disk begin with what has been written of a file while the rest still comes.
//!
//! A file gets its name only when it is on the disk. A system writes when half a minute has passed, or a tenth of the memory
//! waits for it: left to itself, most of a file would go to the disk behind its last octet, and whoever fetches it
//! would wait for the network first, and for the disk then.
//!
//! **Guarantees**: none. What has to be on the disk is synchronised by whoever needs it there, and told of errors there.
//! **Memory**: two numbers. **Time**: that of a system call for each [`STRIDE`]. It comes back before the octets are on the
//! disk, unless a disk that is slower than the network has as much to do already as the system lets wait.

use std::fs::File;
use std::ops::Range;

/// So many octets are worth a call.
const STRIDE: u64 = 8 << 20;

/// Octets that go to the disk together. What may be changed by the next write is left for the next call, as it would have
/// to wait for the disk.
const PAGE: u64 = 4096;

/// What has been written of one file since the disk began the last time.
#[derive(Debug, Default)]
pub(crate) struct Behind {
    waiting: Range<u64>,
}

impl Behind {
    /// Tells that these octets of `file` were written.
    pub(crate) fn wrote(&mut self, file: &File, octets: Range<u64>) {
        if let Some(range) = self.due(octets) {
            begin(file, range);
        }
    }

    /// What the disk may begin with, once it is enough.
    fn due(&mut self, octets: Range<u64>) -> Option<Range<u64>> {
        let Range { start, end } = self.waiting;
        self.waiting = if start == end { octets } else { start.min(octets.start)..end.max(octets.end) };
        let Range { start, end } = self.waiting;
        if end - start < STRIDE {
            return None;
        }
        let whole = end / PAGE * PAGE;
        self.waiting = whole..end;
        Some(start..whole)
    }
}

/// Has the system begin to write.
#[cfg(target_os = "linux")]
fn begin(file: &File, range: Range<u64>) {
    // That nobody needs them soon is not so; but Linux begins to write what it is told this of, and what is not on the disk
    // yet stays in memory (posix_fadvise(2)). Where it cannot, all is left to the synchronisation at the end.
    let length = std::num::NonZeroU64::new(range.end - range.start);
    let _ = rustix::fs::fadvise(file, range.start, length, rustix::fs::Advice::DontNeed);
}

#[cfg(not(target_os = "linux"))]
fn begin(_: &File, _: Range<u64>) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_disk_begins_with_whole_pages_once_there_are_enough() {
        let mut behind = Behind::default();
        assert_eq!(behind.due(100..STRIDE), None, "a little less than enough");
        assert_eq!(behind.due(STRIDE..STRIDE + 5_000), Some(100..STRIDE + 4_096));
        assert_eq!(behind.due(STRIDE + 5_000..2 * STRIDE), None);
        assert_eq!(behind.due(2 * STRIDE..2 * STRIDE + 4_096), Some(STRIDE + 4_096..2 * STRIDE + 4_096));
        assert_eq!(behind.due(0..1), None, "nothing is left of what was begun with");
    }

    #[test]
    fn blocks_that_come_again_are_begun_with_together() {
        let mut behind = Behind::default();
        assert_eq!(behind.due(STRIDE..STRIDE + 4_096), None);
        assert_eq!(behind.due(4_096..8_192), Some(4_096..STRIDE + 4_096));
    }

    #[test]
    fn what_the_disk_has_begun_with_is_still_there() {
        use std::io::{Read as _, Seek as _, Write as _};
        let mut file = tempfile::tempfile().unwrap();
        let octets: Vec<u8> = (0..2 * STRIDE + 3).map(|at| (at % 251) as u8).collect();
        let mut behind = Behind::default();
        for (at, run) in octets.chunks(1 << 20).enumerate() {
            file.write_all(run).unwrap();
            let at = (at as u64) << 20;
            behind.wrote(&file, at..at + run.len() as u64);
        }
        file.rewind().unwrap();
        let mut read = Vec::new();
        file.read_to_end(&mut read).unwrap();
        assert!(read == octets);
    }
}
