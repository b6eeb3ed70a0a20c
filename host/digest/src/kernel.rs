//! The compression function of MD5 in the lanes of wide registers, in safe Rust over `fearless_simd`.
//!
//! One step of MD5 waits for the one before it, so a single message leaves a processor idle most of the time. Here the
//! 32-bit lanes of a register belong to different messages: eight to a *group*, and up to [`MOST`] groups are advanced
//! in turns, because one group alone still waits for itself. Written for vectors of eight words, and of sixteen, which are
//! two groups; a processor with registers of four takes two for each.
//!
//! **Guarantees**: computes what RFC 1321 says for every lane, whatever instructions were chosen.
//! **Memory**: the stack, 512 octets of words for each group. **Time**: that of the longest chain, 64 steps a block.

use fearless_simd::{Level, Simd, SimdBase, dispatch, u32x8, u32x16};

use crate::words::{Words, excess};

/// What MD5 compresses at once: 64 octets.
pub(crate) type Block = [u8; 64];

/// Messages of one group.
pub(crate) const GROUP: usize = 8;

/// Groups that are worth advancing in turns: more would wait for registers. Where a register holds half a group, one
/// group is two chains already, and more of them are slower.
pub(crate) const MOST: usize = 4;

/// The four words of the state of each message of a group, word by word.
pub(crate) type States = [[u32; GROUP]; 4];

/// What is left of the blocks of each message of a group.
pub(crate) type Blocks<'i> = [&'i [Block]; GROUP];

/// The state before the first block (RFC 1321, 3.3).
pub(crate) const START: [u32; 4] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];

/// The table T (RFC 1321, 3.4): the first 32 bits behind the point of |sin(1)|, |sin(2)|, …, |sin(64)|.
const SINES: [u32; 64] = [
    0xd76a_a478,
    0xe8c7_b756,
    0x2420_70db,
    0xc1bd_ceee,
    0xf57c_0faf,
    0x4787_c62a,
    0xa830_4613,
    0xfd46_9501,
    0x6980_98d8,
    0x8b44_f7af,
    0xffff_5bb1,
    0x895c_d7be,
    0x6b90_1122,
    0xfd98_7193,
    0xa679_438e,
    0x49b4_0821,
    0xf61e_2562,
    0xc040_b340,
    0x265e_5a51,
    0xe9b6_c7aa,
    0xd62f_105d,
    0x0244_1453,
    0xd8a1_e681,
    0xe7d3_fbc8,
    0x21e1_cde6,
    0xc337_07d6,
    0xf4d5_0d87,
    0x455a_14ed,
    0xa9e3_e905,
    0xfcef_a3f8,
    0x676f_02d9,
    0x8d2a_4c8a,
    0xfffa_3942,
    0x8771_f681,
    0x6d9d_6122,
    0xfde5_380c,
    0xa4be_ea44,
    0x4bde_cfa9,
    0xf6bb_4b60,
    0xbebf_bc70,
    0x289b_7ec6,
    0xeaa1_27fa,
    0xd4ef_3085,
    0x0488_1d05,
    0xd9d4_d039,
    0xe6db_99e5,
    0x1fa2_7cf8,
    0xc4ac_5665,
    0xf429_2244,
    0x432a_ff97,
    0xab94_23a7,
    0xfc93_a039,
    0x655b_59c3,
    0x8f0c_cc92,
    0xffef_f47d,
    0x8584_5dd1,
    0x6fa8_7e4f,
    0xfe2c_e6e0,
    0xa301_4314,
    0x4e08_11a1,
    0xf753_7e82,
    0xbd3a_f235,
    0x2ad7_d2bb,
    0xeb86_d391,
];

/// By how many bits the steps of each round rotate.
const TURNS: [[u32; 4]; 4] = [[7, 12, 17, 22], [5, 9, 14, 20], [4, 11, 16, 23], [6, 10, 15, 21]];

/// Whether this processor has wide registers; without them [`compress`] works, but slowly.
pub(crate) fn is_wide(level: Level) -> bool {
    !level.is_fallback()
}

/// Takes the first `count` of the blocks of each message into its state.
///
/// # Panics
/// If a message has less than `count` blocks.
pub(crate) fn compress(level: Level, states: &mut [States], blocks: &[Blocks<'_>], count: usize) {
    dispatch!(level, simd => compress_with(simd, states, blocks, count));
}

// Everything from here on, and all of `words`, has to become part of `compress`, the only function that may use the wide
// instructions: hence `inline(always)`, and loops instead of closures.

#[inline(always)]
fn compress_with<S: Simd>(simd: S, states: &mut [States], blocks: &[Blocks<'_>], count: usize) {
    let (states, blocks) = if const { S::u32s::LEN > GROUP } {
        // A pair of such chains is faster than four of eight words, but one alone is slower than two.
        take_in_turns::<2, 2, u32x16<S>, S>(simd, states, blocks, count)
    } else {
        (states, blocks)
    };
    let (states, blocks) = if const { S::u32s::LEN >= GROUP } {
        let (states, blocks) = take_in_turns::<4, 1, u32x8<S>, S>(simd, states, blocks, count);
        let (states, blocks) = take_in_turns::<3, 1, u32x8<S>, S>(simd, states, blocks, count);
        take_in_turns::<2, 1, u32x8<S>, S>(simd, states, blocks, count)
    } else {
        (states, blocks)
    };
    take_in_turns::<1, 1, u32x8<S>, S>(simd, states, blocks, count);
}

/// Advances as many times `CHAINS` chains, of `WIDE` groups each, as there are, and gives back the rest.
#[inline(always)]
fn take_in_turns<'s, 'b, 'i, const CHAINS: usize, const WIDE: usize, V: Words<S, WIDE>, S: Simd>(
    simd: S,
    states: &'s mut [States],
    blocks: &'b [Blocks<'i>],
    count: usize,
) -> (&'s mut [States], &'b [Blocks<'i>]) {
    let whole = states.len() - states.len() % (CHAINS * WIDE);
    let (states, later) = states.split_at_mut(whole);
    let (blocks, of_later) = blocks.split_at(whole);
    let states = states.as_chunks_mut::<WIDE>().0.as_chunks_mut::<CHAINS>().0;
    let blocks = blocks.as_chunks::<WIDE>().0.as_chunks::<CHAINS>().0;
    for (states, blocks) in states.iter_mut().zip(blocks) {
        compress_in_turns::<S, V, WIDE, CHAINS>(simd, states, blocks, count);
    }
    (later, of_later)
}

#[inline(always)]
fn compress_in_turns<S: Simd, V: Words<S, WIDE>, const WIDE: usize, const CHAINS: usize>(
    simd: S,
    states: &mut [[States; WIDE]; CHAINS],
    blocks: &[[Blocks<'_>; WIDE]; CHAINS],
    count: usize,
) {
    let zero = V::splat(simd, 0);
    let mut sums = [[zero; 4]; CHAINS];
    for (sums, states) in sums.iter_mut().zip(&*states) {
        for (word, sum) in sums.iter_mut().enumerate() {
            *sum = V::of_groups(simd, states.map(|state| state[word]));
        }
    }
    // Made once: to clear it for each block took a thirtieth of the time.
    let mut words = [[zero; 16]; CHAINS];
    for at in 0..count {
        const { assert!(CHAINS <= MOST, "each chain needs its line") };
        // Not a loop: the compiler would keep it as one, and look up each time where the words go.
        macro_rules! transpose {
            ($($chain:literal)*) => { $( if $chain < CHAINS {
                words[$chain] = V::transpose(simd, &blocks[$chain], at);
            } )* };
        }
        transpose!(0 1 2 3);
        let mut chains = sums;
        rounds(simd, &mut chains, &words);
        for (sums, chains) in sums.iter_mut().zip(chains) {
            for (sum, chain) in sums.iter_mut().zip(chains) {
                *sum += chain;
            }
        }
    }
    for (states, sums) in states.iter_mut().zip(sums) {
        for (word, sum) in sums.into_iter().enumerate() {
            for (state, words) in states.iter_mut().zip(sum.into_groups()) {
                state[word] = words;
            }
        }
    }
}

/// The four rounds of sixteen steps.
#[inline(always)]
fn rounds<S: Simd, V: Words<S, WIDE>, const WIDE: usize, const CHAINS: usize>(
    simd: S,
    chains: &mut [[V; 4]; CHAINS],
    words: &[[V; 16]; CHAINS],
) {
    macro_rules! steps {
        ($($step:literal)*) => { $( step::<$step, S, V, WIDE, CHAINS>(simd, chains, words); )* };
    }
    steps!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
    steps!(16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31);
    steps!(32 33 34 35 36 37 38 39 40 41 42 43 44 45 46 47);
    steps!(48 49 50 51 52 53 54 55 56 57 58 59 60 61 62 63);
}

/// One step for all chains. Its number is known when it is compiled, so that word, sine and rotation are too.
#[inline(always)]
fn step<const STEP: usize, S: Simd, V: Words<S, WIDE>, const WIDE: usize, const CHAINS: usize>(
    simd: S,
    chains: &mut [[V; 4]; CHAINS],
    words: &[[V; 16]; CHAINS],
) {
    let round = STEP / 16;
    let turn = TURNS[round][STEP % 4];
    let sine = V::splat(simd, SINES[STEP].wrapping_sub(excess(simd, round)));
    let word = match round {
        0 => STEP,
        1 => 5 * STEP + 1,
        2 => 3 * STEP + 5,
        _ => 7 * STEP,
    } % 16;
    for (chain, words) in chains.iter_mut().zip(words) {
        let [a, b, c, d] = *chain;
        let sum = (a + (words[word] + sine)).plus_mixed(round, b, c, d);
        *chain = [d, b + ((sum << turn) | (sum >> (32 - turn))), b, c];
    }
}
