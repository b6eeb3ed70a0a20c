//! The MD5 of a whole file.

use std::fs::File;
use std::io;

use feige_core::digest::Digest;

use super::Stream;
use super::cache::{self, DigestCache};
use crate::store::read_at;

/// Octets that are read at once: they are still in the cache of the processor when they are hashed.
const PIECE: usize = 256 * 1024;

/// A file of less octets is hashed as fast as it is looked up, and would drive a large one out of the cache.
const WORTH_KEEPING: u64 = 16 * 1024;

/// MD5 of everything in `file`, from the `cache` if it has it. `step` is told the number of octets after each piece; what
/// the cache knew is one piece. The position of `file` does not matter, and on Unix does not change.
///
/// # Errors
/// What the system says about reading the file.
pub fn file_md5(file: &File, cache: Option<&DigestCache>, mut step: impl FnMut(u64)) -> io::Result<Digest> {
    let before = file.metadata()?;
    let cache = cache.filter(|_| before.is_file() && before.len() >= WORTH_KEEPING);
    if let Some(digest) = cache.and_then(|cache| cache.lookup(&before)) {
        step(before.len());
        return Ok(digest);
    }
    // Asked before the first octet is read: a change that the times do not show may come from then on.
    let keeper = cache.filter(|cache| cache.is_settled(&before));
    let mut stream = Stream::new();
    // Small files are many. What has no length, such as a device, may have octets all the same.
    let mut piece = vec![0; usize::try_from(before.len()).map_or(PIECE, |len| len.clamp(4096, PIECE))];
    let mut at = 0;
    loop {
        let count = read_at(file, &mut piece, at)?;
        if count == 0 {
            break;
        }
        stream.update(&piece[..count]);
        at += count as u64;
        step(count as u64);
    }
    let digest = stream.finish();
    if let Some(keeper) = keeper
        && at == before.len()
        && file.metadata().is_ok_and(|after| cache::is_same(&before, &after))
    {
        keeper.remember(&before, digest);
    }
    Ok(digest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::io::Write;
    use std::time::Duration;

    /// The clock of the file system goes in steps of some milliseconds.
    const TICK: Duration = Duration::from_millis(50);

    #[test]
    fn the_digest_of_the_whole_file_and_every_octet_of_progress() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        for length in [0, 1, 4095, 4096, 4097, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE + 7] {
            let octets: Vec<u8> = (0..length).map(|at| ((at * at) >> 7) as u8).collect();
            fs::write(&path, &octets).unwrap();
            let mut steps = 0;
            let digest = file_md5(&fs::File::open(&path).unwrap(), None, |count| steps += count).unwrap();
            assert_eq!(digest, Digest::of(&octets), "{length}");
            assert_eq!(steps, length as u64);
        }
    }

    #[test]
    fn an_unchanged_file_is_not_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let [one, other] = [1, 2].map(|octet| vec![octet; 20_000]);
        fs::write(&path, &one).unwrap();
        let file = fs::File::open(&path).unwrap();
        let cache = DigestCache::trusting(&folder.path().join("digests"), 64);
        assert_eq!(file_md5(&file, Some(&cache), |_| {}).unwrap(), Digest::of(&one));
        assert_eq!(cache.lookup(&file.metadata().unwrap()), Some(Digest::of(&one)), "remembered");
        // A digest that reading cannot give.
        cache.remember(&file.metadata().unwrap(), Digest([1; 16]));
        let mut steps = Vec::new();
        assert_eq!(file_md5(&file, Some(&cache), |count| steps.push(count)).unwrap(), Digest([1; 16]));
        assert_eq!(steps, [20_000]);
        std::thread::sleep(TICK);
        fs::write(&path, &other).unwrap();
        assert_eq!(file_md5(&file, Some(&cache), |_| {}).unwrap(), Digest::of(&other));
        fs::write(&path, "small").unwrap();
        assert_eq!(file_md5(&file, Some(&cache), |_| {}).unwrap(), Digest::of(b"small"));
        assert_eq!(cache.lookup(&file.metadata().unwrap()), None, "not worth it");
    }

    #[test]
    fn a_file_that_changes_while_it_is_read_is_not_remembered() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, vec![7; 2 * PIECE]).unwrap();
        let file = fs::File::open(&path).unwrap();
        let cache = DigestCache::trusting(&folder.path().join("digests"), 64);
        let before = file.metadata().unwrap();
        let mut writer = Some(fs::OpenOptions::new().write(true).open(&path).unwrap());
        let change = |_| {
            if let Some(mut writer) = writer.take() {
                std::thread::sleep(TICK);
                writer.write_all(b"changed").unwrap();
            }
        };
        file_md5(&file, Some(&cache), change).unwrap();
        assert_eq!(cache.lookup(&before), None);
        assert_eq!(cache.lookup(&file.metadata().unwrap()), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn what_has_no_length_is_read_too() {
        let digest = file_md5(&fs::File::open("/proc/version").unwrap(), None, |_| {}).unwrap();
        assert_eq!(digest, Digest::of(&fs::read("/proc/version").unwrap()));
    }

    #[test]
    fn what_cannot_be_read_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let file = fs::File::create(folder.path().join("file")).unwrap();
        let error = file_md5(&file, None, |_| {}).unwrap_err();
        assert_ne!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
