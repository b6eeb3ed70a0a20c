//! The MD5 of a whole file, while it is moved.
//!
//! One stream of MD5 is slower than everything else that is done to a file, so it has a thread of its own, which reads
//! behind those who write, from memory that the system still has. A file that an earlier attempt began is read from
//! its start.

use std::fs::File;
use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use feige_core::digest::Digest;

use crate::digest::Stream;
use crate::store::read_at;

/// Octets that are read at a time: they stay in the cache until they are hashed.
const PIECE: usize = 256 << 10;

/// A file that is hashed.
#[derive(Debug)]
pub(super) struct Whole {
    front: Sender<u64>,
    thread: JoinHandle<io::Result<Digest>>,
}

impl Whole {
    /// Begins to hash a file, of which nothing may be read yet. It is read at positions.
    ///
    /// # Errors
    /// What the system says if it has no thread.
    pub(super) fn of(file: File) -> io::Result<Self> {
        let (front, fronts) = channel();
        let thread = std::thread::Builder::new().name("md5".into()).spawn(move || hash(&file, &fronts))?;
        Ok(Self { front, thread })
    }

    /// The octets before `end` are there to be read.
    pub(super) fn read_to(&self, end: u64) {
        // If the thread has ended, it has an error to tell in the end.
        let _ = self.front.send(end);
    }

    /// The digest of everything that might be read.
    ///
    /// # Errors
    /// What the system says of reading.
    pub(super) fn finish(self) -> io::Result<Digest> {
        drop(self.front);
        self.thread.join().unwrap_or_else(|_| Err(io::Error::other("the thread that hashes has failed")))
    }
}

fn hash(file: &File, fronts: &Receiver<u64>) -> io::Result<Digest> {
    let (mut stream, mut buffer, mut at) = (Stream::new(), vec![0; PIECE], 0_u64);
    while let Ok(front) = fronts.recv() {
        while at < front {
            let most = usize::try_from(front - at).map_or(PIECE, |left| left.min(PIECE));
            let read = read_at(file, &mut buffer[..most], at)?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            stream.update(&buffer[..read]);
            at += read as u64;
        }
    }
    Ok(stream.finish())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_file_is_hashed_as_it_grows() {
        let mut file = tempfile::tempfile().expect("a file");
        let octets: Vec<u8> = (0..700_001u32).map(|at| (at.wrapping_mul(0x9e37_79b1) >> 24) as u8).collect();
        let whole = Whole::of(file.try_clone().expect("a handle")).expect("a thread");
        for piece in octets.chunks(300_000) {
            file.write_all(piece).expect("written");
            whole.read_to(file.metadata().expect("there").len());
        }
        assert_eq!(whole.finish().expect("read"), Digest::of(&octets));
        let whole = Whole::of(file).expect("a thread");
        whole.read_to(700_002);
        assert!(whole.finish().is_err(), "shorter than it was said to be");
    }
}
