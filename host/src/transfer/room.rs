//! The two buffers of a session of the verified transfer.
//!
//! They come from the system and not from the allocator: zeroed memory of the allocator is written to as soon as it was
//! somebody's before, each thread has some of its own, and little of it ever goes back. Of memory that comes from the
//! system, only what is used costs anything, and it goes back at once.
//!
//! **Memory**: pages as they are used, and two pages more. **Time**: see [`MARGIN`].

use feige_core::stream::transfer::Buffers;
use memmap2::MmapMut;

/// How far behind the border of a page a buffer begins.
///
/// What is read from a file is copied page by page, and some processors (AMD, Zen 3, seen with `rep movsb`) take four
/// times as long for it if the target lies 1 to 31 octets behind the border of a page: just where the octets of a run
/// came to lie, behind its header at the front of the buffer. 0.87 s for a GiB became 0.23 s, more than a quarter of
/// all that sender and receiver do.
const MARGIN: usize = 64;

/// What memory of the system begins on a border of.
const PAGE: usize = 4096;

/// Buffers for input and output, equally long.
#[derive(Debug)]
pub struct Room {
    memory: Memory,
    len: usize,
}

#[derive(Debug)]
enum Memory {
    System(MmapMut),
    /// The system has none of that kind left: it counts pieces.
    Allocator(Vec<u8>),
}

impl Room {
    /// Two buffers of `len` octets.
    #[must_use]
    pub fn new(len: usize) -> Self {
        let octets = 2 * Self::stride(len);
        let memory =
            MmapMut::map_anon(octets).map_or_else(|_| Memory::Allocator(vec![0; octets + PAGE]), Memory::System);
        // Page by page, not 2 MiB at a time: of two buffers, mostly one is written to.
        #[cfg(target_os = "linux")]
        if let Memory::System(map) = &memory {
            // A system without large pages does not know what that is about.
            let _ = map.advise(memmap2::Advice::NoHugePage);
        }
        Self { memory, len }
    }

    /// From the begin of one buffer to that of the other.
    const fn stride(len: usize) -> usize {
        (MARGIN + len).next_multiple_of(PAGE)
    }

    /// Both buffers.
    pub fn buffers(&mut self) -> Buffers<'_> {
        let octets: &mut [u8] = match &mut self.memory {
            Memory::System(map) => map,
            Memory::Allocator(octets) => octets,
        };
        let first = octets.as_ptr().align_offset(PAGE);
        let (input, output) = octets[first..].split_at_mut(Self::stride(self.len));
        Buffers { input: &mut input[MARGIN..][..self.len], output: &mut output[MARGIN..][..self.len] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_begin_behind_the_border_of_a_page_wherever_they_come_from() {
        for len in [600, 4096 - MARGIN, 4096, 300_000] {
            let octets = 2 * Room::stride(len) + PAGE;
            for mut room in [Room::new(len), Room { memory: Memory::Allocator(vec![0; octets]), len }] {
                let Buffers { input, output } = room.buffers();
                assert_eq!((input.len(), output.len()), (len, len));
                for buffer in [input, output] {
                    assert_eq!(buffer.as_ptr().addr() % PAGE, MARGIN);
                    buffer.fill(1);
                }
            }
        }
    }
}
