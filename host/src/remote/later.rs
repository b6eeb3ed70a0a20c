//! Events of files that came into a folder without a name, kept until it has one: who hears of a file may open it.
//!
//! **Memory**: one buffer. However many there are, they lie in a file without a name, on the disk that has room for what they
//! tell of. **Time**: what it takes to copy some 200 octets for each file once more.

use std::fs::File;
use std::io::{self, BufWriter, Read, Seek};
use std::path::Path;

/// Events as they will be told, one behind the other.
#[derive(Debug)]
pub(crate) struct Later {
    /// An error if not all of them could be kept.
    kept: io::Result<BufWriter<File>>,
}

impl Later {
    /// Nothing yet. It is kept on the disk of `folder`.
    ///
    /// # Errors
    /// What the system says if it makes no file there.
    pub(super) fn beside(folder: &Path) -> io::Result<Self> {
        Ok(Self { kept: Ok(BufWriter::new(tempfile::tempfile_in(folder)?)) })
    }

    /// Keeps what `write` writes.
    pub(super) fn keep(&mut self, write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) {
        if let Ok(out) = &mut self.kept
            && let Err(error) = write(out)
        {
            self.kept = Err(error);
        }
    }

    /// Hands over what was kept, piece by piece.
    ///
    /// # Errors
    /// What the system says of the disk. All that was handed over before is right.
    pub(super) fn tell(self, mut hear: impl FnMut(&[u8])) -> io::Result<()> {
        let mut file = self.kept?.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.rewind()?;
        let mut piece = vec![0; 32 << 10];
        loop {
            match file.read(&mut piece) {
                Ok(0) => return Ok(()),
                Ok(count) => hear(&piece[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn what_was_kept_is_told_in_order_and_nothing_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let mut later = Later::beside(folder.path()).unwrap();
        let lines: Vec<String> = (0..10_000).map(|number| format!("file {number}\n")).collect();
        for line in &lines {
            later.keep(|out| out.write_all(line.as_bytes()));
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nobody sees it");
        let mut told = Vec::new();
        later.tell(|piece| told.extend_from_slice(piece)).unwrap();
        assert_eq!(String::from_utf8(told).unwrap(), lines.concat());
    }

    #[test]
    fn a_disk_without_room_is_told_in_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let mut later = Later::beside(folder.path()).unwrap();
        later.keep(|_| Err(io::ErrorKind::StorageFull.into()));
        later.keep(|_| unreachable!("what has a gap is not told"));
        let error = later.tell(|_| unreachable!("nor is what was before it")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }
}
