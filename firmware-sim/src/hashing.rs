//! What computes MD5 for the simulated device.
//!
//! Blocks of the verified transfer are hashed side by side, in wide registers. The MD5 of a whole file, which the family's
//! files are reported with, has to be computed one octet after the other, and takes two thirds of the time that the
//! TCP/IP stack does: so a large one has a thread of its own, as a board would use a peripheral.
//!
//! **Memory**: for each file that is hashed aside, [`PIECES`] and two more of [`PIECE`] octets. **Time**: the device waits for what
//! is not hashed yet at the end of a file, and while all pieces are full.

use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use feige_core::digest::{Digest, Hasher};
use feige_digest::{Lanes, Stream};
use feige_sim::agent::Md5;

/// Octets that are handed over together.
const PIECE: usize = 64 << 10;

/// Pieces that may wait.
const PIECES: usize = 8;

/// How many octets are hashed here first: smaller files are not worth a thread.
const FRONT: usize = 1 << 20;

/// Hashes in wide registers and, where that does not help, in another thread.
#[derive(Debug, Default)]
pub(crate) struct Hashing(Lanes);

impl Hasher for Hashing {
    fn md5(&mut self, inputs: &[&[u8]], digests: &mut [Digest]) {
        self.0.md5(inputs, digests);
    }
}

/// A digest in the making.
#[derive(Debug)]
pub(crate) enum Running {
    /// Hashed here, and how many octets so far.
    Here(Stream, usize),
    Aside(Aside),
}

impl Default for Running {
    fn default() -> Self {
        Self::Here(Stream::new(), 0)
    }
}

impl Md5 for Hashing {
    type Running = Running;

    fn update(&mut self, running: &mut Running, octets: &[u8]) {
        match running {
            Running::Here(stream, len) => {
                stream.update(octets);
                *len = len.saturating_add(octets.len());
                if *len >= FRONT {
                    *running = Aside::begin(std::mem::take(stream));
                }
            }
            Running::Aside(aside) => aside.update(octets),
        }
    }

    fn finish(&mut self, running: Running) -> Digest {
        match running {
            Running::Here(stream, _) => stream.finish(),
            Running::Aside(aside) => aside.finish(),
        }
    }
}

/// What goes on in a thread. Dropped, it ends.
#[derive(Debug)]
pub(crate) struct Aside {
    pieces: SyncSender<Vec<u8>>,
    /// The piece that is not full yet.
    piece: Vec<u8>,
    thread: JoinHandle<Digest>,
}

impl Aside {
    fn begin(mut stream: Stream) -> Running {
        let (pieces, waiting) = sync_channel::<Vec<u8>>(PIECES);
        let thread = thread::spawn(move || {
            waiting.iter().for_each(|piece| stream.update(&piece));
            stream.finish()
        });
        Running::Aside(Self { pieces, piece: Vec::with_capacity(PIECE), thread })
    }

    fn update(&mut self, octets: &[u8]) {
        self.piece.extend_from_slice(octets);
        if self.piece.len() >= PIECE {
            self.hand_over();
        }
    }

    fn hand_over(&mut self) {
        let piece = std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE));
        // It takes pieces until this is dropped.
        let _ = self.pieces.send(piece);
    }

    fn finish(mut self) -> Digest {
        self.hand_over();
        drop(self.pieces);
        self.thread.join().expect("hashing does not panic")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aside_as_here() {
        let octets: Vec<u8> = (0..3_000_001_u32).map(|at| (at.wrapping_mul(0x9e37_79b1) >> 24) as u8).collect();
        let mut hashing = Hashing::default();
        for len in [0, 1, FRONT - 1, FRONT, FRONT + 1, FRONT + PIECE, octets.len()] {
            for step in [1_460, PIECE, octets.len()] {
                let mut running = Running::default();
                octets[..len].chunks(step).for_each(|piece| hashing.update(&mut running, piece));
                assert_eq!(hashing.finish(running), Digest::of(&octets[..len]), "{len} octets, {step} at a time");
            }
        }
        // Who gives a file up does not wait.
        let mut running = Running::default();
        hashing.update(&mut running, &octets);
        assert!(matches!(running, Running::Aside(_)));
    }
}
