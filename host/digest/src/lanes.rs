//! Many messages at once: who sits in which lane.
//!
//! **Guarantees**: every digest is MD5 of its input, for any number of inputs of any lengths. A lane whose message ends
//! takes the next one at once; the longest go first, so that few lanes are empty at the end. A message that is alone, or
//! is left alone, goes on in the fastest code for one.
//! **Memory**: some 5 KiB on the heap while it works, and eight octets an input that are kept for the next time.
//! **Time**: see `docs/measurements.md`.

use fearless_simd::Level;
use feige_core::digest::{Digest, Hasher};

use crate::kernel::{self, Block, GROUP, START};

/// Octets that are so many apart compete for the same places of the first cache: a page, on most processors.
const CACHE_WAY: usize = 4096;

/// Lanes that may compete for the same places of the first cache. There are eight places or more, but the processor
/// reads ahead into them, too: where sixteen lanes competed, a tenth of the time went into reading again.
const ABREAST: usize = 4;

/// Octets of an input from which it is worth a few steps of all lanes to compete with fewer.
const LONG: usize = 16 << 10;

/// Hashes side by side in the lanes of the widest registers that this processor has: AVX-512, AVX2, SSE or NEON.
#[derive(Clone, Debug)]
pub struct Lanes {
    level: Level,
    /// Places of the inputs, the longest last; kept for its memory.
    queue: Vec<usize>,
}

impl Lanes {
    /// How many inputs at once keep every lane busy; more are welcome, fewer are slower (8, 16 and 24 fill their lanes, too).
    ///
    /// Inputs that begin a multiple of 4 KiB apart compete for the same few places of the processor's caches. Lanes begin a
    /// few steps later for that, but 192 octets between the inputs are better still: with 24 of 64 KiB by a tenth.
    pub const WIDTH: usize = kernel::MOST * GROUP;

    /// Asks the processor what it can.
    #[must_use]
    pub fn new() -> Self {
        Self::with(Level::new())
    }

    fn with(level: Level) -> Self {
        Self { level, queue: Vec::new() }
    }

    /// How many of `count` inputs to hash at a time: none of the turns that this takes is to be left with a few.
    fn abreast(count: usize) -> usize {
        count.div_ceil(count.div_ceil(Self::WIDTH).max(1)).next_multiple_of(GROUP)
    }

    fn side_by_side(&mut self, inputs: &[&[u8]], digests: &mut [Digest]) {
        self.queue.clear();
        self.queue.extend(0..inputs.len().min(digests.len()));
        self.queue.sort_unstable_by_key(|&place| inputs[place].len());
        let abreast = Self::abreast(self.queue.len());
        let mut live = Vec::with_capacity(abreast);
        loop {
            while live.len() < abreast
                && let Some(place) = self.queue.pop_if(|place| !is_crowded(&live, inputs[*place]))
            {
                live.push(Lane::new(place, inputs[place]));
            }
            let waits = live.len() < abreast && !self.queue.is_empty();
            match live.as_mut_slice() {
                [] => return,
                [alone] => alone.finish(),
                several => advance(self.level, several, if waits { 1 } else { usize::MAX }),
            }
            live.retain(|lane| {
                let finished = lane.blocks().is_empty();
                if finished {
                    digests[lane.place] = lane.digest();
                }
                !finished
            });
        }
    }
}

impl Default for Lanes {
    fn default() -> Self {
        Self::new()
    }
}

impl Hasher for Lanes {
    fn md5(&mut self, inputs: &[&[u8]], digests: &mut [Digest]) {
        // Vectors are types of the library, and cost a call for every operation where nothing is optimised.
        let worthwhile = kernel::is_wide(self.level) && !cfg!(debug_assertions);
        if worthwhile && inputs.len() > 1 {
            self.side_by_side(inputs, digests);
        } else {
            one_by_one(inputs, digests);
        }
    }
}

fn one_by_one(inputs: &[&[u8]], digests: &mut [Digest]) {
    for (input, digest) in inputs.iter().zip(digests) {
        *digest = Digest(fast_md5::digest(input));
    }
}

/// A message on its way.
struct Lane<'a> {
    /// Where its digest goes.
    place: usize,
    state: [u32; 4],
    /// What is left of the whole blocks of the input.
    body: &'a [Block],
    /// The octets behind them, the padding and the length, in the last blocks of the array.
    tail: [Block; 2],
    /// How many blocks of `tail` are left.
    tail_left: usize,
}

impl<'a> Lane<'a> {
    fn new(place: usize, input: &'a [u8]) -> Self {
        let (body, rest) = input.as_chunks::<64>();
        // RFC 1321, 3.1 and 3.2: one bit, zeros, and the number of bits in the last eight octets.
        let tail_left = if rest.len() < 56 { 1 } else { 2 };
        let mut tail = [[0; 64]; 2];
        let octets = &mut tail.as_flattened_mut()[(2 - tail_left) * 64..];
        octets[..rest.len()].copy_from_slice(rest);
        octets[rest.len()] = 0x80;
        tail[1][56..].copy_from_slice(&(input.len() as u64).wrapping_mul(8).to_le_bytes());
        Self { place, state: START, body, tail, tail_left }
    }

    /// The next blocks that lie one behind the other; none when nothing is left.
    fn blocks(&self) -> &[Block] {
        if self.body.is_empty() { &self.tail[2 - self.tail_left..] } else { self.body }
    }

    /// Goes behind the first `count` of [`Self::blocks`].
    fn skip(&mut self, count: usize) {
        if self.body.is_empty() {
            self.tail_left -= count;
        } else {
            self.body = &self.body[count..];
        }
    }

    /// Goes to the end in the fastest code for one message.
    fn finish(&mut self) {
        let mut state = self.state;
        while !self.blocks().is_empty() {
            let blocks = self.blocks();
            blocks.iter().for_each(|block| fast_md5::transform(&mut state, block));
            self.skip(blocks.len());
        }
        self.state = state;
    }

    fn digest(&self) -> Digest {
        let mut digest = Digest::default();
        for (octets, word) in digest.0.as_chunks_mut::<4>().0.iter_mut().zip(self.state) {
            *octets = word.to_le_bytes();
        }
        digest
    }
}

/// Whether `input` had better begin one block later, as it would compete with [`ABREAST`] lanes for places of the cache
/// all the way.
fn is_crowded(live: &[Lane<'_>], input: &[u8]) -> bool {
    let line = |address: usize| address % CACHE_WAY / 64;
    let here = |lane: &&Lane<'_>| line(lane.body.as_ptr().addr()) == line(input.as_ptr().addr());
    input.len() >= LONG && live.iter().filter(here).count() >= ABREAST
}

/// Advances all of `live`, of which there is at least one and at most [`Lanes::WIDTH`], until the first comes to a border,
/// but by no more than `most` blocks.
fn advance(level: Level, live: &mut [Lane<'_>], most: usize) {
    let count = live.iter().map(|lane| lane.blocks().len()).min().unwrap_or(0).min(most);
    let mut states = [[[0; GROUP]; 4]; kernel::MOST];
    // What is computed in an empty lane is thrown away; it may read what another reads.
    let mut blocks = [[live[0].blocks(); GROUP]; kernel::MOST];
    for (at, lane) in live.iter().enumerate() {
        blocks[at / GROUP][at % GROUP] = lane.blocks();
        for (word, words) in lane.state.iter().zip(&mut states[at / GROUP]) {
            words[at % GROUP] = *word;
        }
    }
    let groups = live.len().div_ceil(GROUP);
    kernel::compress(level, &mut states[..groups], &blocks[..groups], count);
    for (at, lane) in live.iter_mut().enumerate() {
        lane.state = states[at / GROUP].map(|words| words[at % GROUP]);
        lane.skip(count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Octets that do not repeat, and differ for every length.
    fn octets(length: usize) -> Vec<u8> {
        let mut state = length as u32 | 1 << 31;
        let next = |_| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state.to_le_bytes()[3]
        };
        (0..length).map(next).collect()
    }

    /// What the processor of this test has.
    fn levels() -> Vec<Level> {
        let best = Level::new();
        #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
        let lesser =
            [best.as_sse2().map(Level::Sse2), best.as_sse4_2().map(Level::Sse4_2), best.as_avx2().map(Level::Avx2)];
        #[cfg(not(any(target_arch = "x86", target_arch = "x86_64")))]
        let lesser: [Option<Level>; 0] = [];
        [best].into_iter().chain(lesser.into_iter().flatten()).collect()
    }

    fn check(lengths: &[usize]) {
        let inputs: Vec<Vec<u8>> = lengths.iter().map(|&length| octets(length)).collect();
        check_inputs(&inputs.iter().map(Vec::as_slice).collect::<Vec<_>>());
    }

    /// Side by side at every level, one by one, and as the program does it: all as RustCrypto's `md-5` does it.
    fn check_inputs(inputs: &[&[u8]]) {
        let lengths: Vec<usize> = inputs.iter().map(|input| input.len()).collect();
        let expected: Vec<Digest> = inputs.iter().map(|input| Digest::of(input)).collect();
        let mut digests = vec![Digest::default(); inputs.len()];
        for level in levels() {
            digests.fill(Digest::default());
            Lanes::with(level).side_by_side(inputs, &mut digests);
            assert_eq!(digests, expected, "{level:?}: {lengths:?}");
        }
        digests.fill(Digest::default());
        one_by_one(inputs, &mut digests);
        assert_eq!(digests, expected, "one by one: {lengths:?}");
        digests.fill(Digest::default());
        Lanes::new().md5(inputs, &mut digests);
        assert_eq!(digests, expected, "{lengths:?}");
    }

    #[test]
    fn every_short_length() {
        check(&(0..=300).collect::<Vec<_>>());
    }

    /// All lanes come to the padding at once, and the padding of some lengths takes a block of its own.
    #[test]
    fn equal_lengths_around_the_borders_of_blocks() {
        for length in [0, 1, 55, 56, 57, 63, 64, 65, 119, 120, 127, 128, 129] {
            check(&[length; 9]);
        }
    }

    #[test]
    fn every_number_of_inputs() {
        for count in 0..=Lanes::WIDTH + 9 {
            check(&vec![200; count]);
            check(&(0..count).map(|at| at * 37 % 211).collect::<Vec<_>>());
        }
    }

    #[test]
    fn around_4_and_64_kib() {
        check(&[4_095, 4_096, 4_097, 65_535, 65_536, 65_537, 4_096, 4_096, 4_096]);
    }

    /// Blocks of a run lie one behind the other in a buffer, the last one shorter: all but the first lanes begin later.
    #[test]
    fn inputs_that_share_lines_of_the_cache() {
        let run = octets((Lanes::WIDTH + 2) * LONG);
        for count in [5, 8, 16, 24, 29, Lanes::WIDTH, Lanes::WIDTH + 1] {
            check_inputs(&run[..count * LONG - 1].chunks(LONG).collect::<Vec<_>>());
            check_inputs(&run[..count * LONG + 100].chunks(LONG).collect::<Vec<_>>());
        }
    }

    #[test]
    fn only_so_many_lanes_begin_in_one_line_of_the_cache() {
        let run = octets(ABREAST * CACHE_WAY + 2 * LONG);
        let (abreast, input) = run.split_at(ABREAST * CACHE_WAY);
        let mut live: Vec<Lane<'_>> = abreast.chunks(CACHE_WAY).map(|input| Lane::new(0, input)).collect();
        assert!(!is_crowded(&live[1..], input));
        assert!(is_crowded(&live, input));
        assert!(!is_crowded(&live, &input[64..]), "begins in the next line");
        assert!(!is_crowded(&live, &input[..LONG - 1]), "is short");
        live[0].skip(1);
        assert!(!is_crowded(&live, input), "one went on");
    }

    #[test]
    fn no_turn_is_left_with_a_few() {
        for (count, abreast) in [(0, 0), (1, 8), (8, 8), (9, 16), (24, 24), (32, 32), (33, 24), (64, 32), (65, 24)] {
            assert_eq!(Lanes::abreast(count), abreast, "{count}");
        }
    }

    #[test]
    fn one_long_among_many_short() {
        let mut lengths = [100; 40];
        lengths[17] = 20_000;
        lengths[18] = 0;
        check(&lengths);
    }

    #[test]
    fn slices_of_different_lengths() {
        let inputs: [&[u8]; 3] = [b"one", b"two", b"three"];
        for hash in [Lanes::side_by_side, Lanes::md5] {
            let mut lanes = Lanes::new();
            let mut digests = [Digest::default(); 5];
            hash(&mut lanes, &inputs, &mut digests);
            let expected =
                [Digest::of(b"one"), Digest::of(b"two"), Digest::of(b"three"), Digest::default(), Digest::default()];
            assert_eq!(digests, expected);
            let mut digests = [Digest::default(); 2];
            hash(&mut lanes, &inputs, &mut digests);
            assert_eq!(digests, expected[..2]);
            hash(&mut lanes, &inputs, &mut []);
            hash(&mut lanes, &[], &mut digests);
            assert_eq!(digests, expected[..2]);
        }
    }
}
