//! Vectors of the words of many messages: what depends on how wide they are.
//!
//! Each lane of a vector belongs to a message. [`u32x8`] has a group of messages, [`u32x16`] two. What the library has no
//! portable word for, and the compiler does not find in the general form, is an instruction of AVX2 or AVX-512 here.

use fearless_simd::{Simd, SimdBase, SimdCombine, SimdFrom, SimdInt, SimdSplit, u32x4, u32x8, u32x16};

use crate::kernel::{Block, Blocks, GROUP};

/// Words of the same place of the messages of `WIDE` groups.
pub(crate) trait Words<S: Simd, const WIDE: usize>: SimdInt<S, Element = u32> {
    /// One word of each message.
    fn of_groups(simd: S, words: [[u32; GROUP]; WIDE]) -> Self;

    /// The word of each message.
    fn into_groups(self) -> [[u32; GROUP]; WIDE];

    /// A quarter of the words of the block `at` of some messages: of one in each four lanes, and the first one is `row`.
    fn load(simd: S, blocks: &[Blocks<'_>; WIDE], at: usize, row: usize, quarter: usize) -> Self;

    /// The words of both in turns, but in each four lanes by itself: those of the first two places, and those of the others.
    fn shuffle(self, other: Self) -> (Self, Self);

    /// `self` and the function of the round (RFC 1321, 3.4) of these, added; and [`excess`] too much.
    fn plus_mixed(self, round: usize, b: Self, c: Self, d: Self) -> Self;

    /// The sixteen words of the block `at` of each message, word by word.
    ///
    /// Nothing leaves its four lanes, which takes an instruction of its own: four messages share them from the beginning.
    #[inline(always)]
    fn transpose(simd: S, blocks: &[Blocks<'_>; WIDE], at: usize) -> [Self; 16] {
        let mut words = [Self::splat(simd, 0); 16];
        for (quarter, words) in words.as_chunks_mut::<4>().0.iter_mut().enumerate() {
            for (row, words) in words.iter_mut().enumerate() {
                *words = Self::load(simd, blocks, at, row, quarter);
            }
            // Two perfect shuffles of four rows of four transpose them.
            for _ in 0..2 {
                let [a, b, c, d] = *words;
                let ((a, b), (c, d)) = (a.shuffle(c), b.shuffle(d));
                *words = [a, b, c, d];
            }
        }
        words
    }
}

impl<S: Simd> Words<S, 1> for u32x8<S> {
    #[inline(always)]
    fn of_groups(simd: S, [words]: [[u32; GROUP]; 1]) -> Self {
        Self::simd_from(simd, words)
    }

    #[inline(always)]
    fn into_groups(self) -> [[u32; GROUP]; 1] {
        [self.to_array()]
    }

    #[inline(always)]
    fn load(simd: S, [group]: &[Blocks<'_>; 1], at: usize, row: usize, quarter: usize) -> Self {
        load(simd, group, at, row, quarter)
    }

    #[inline(always)]
    fn shuffle(self, other: Self) -> (Self, Self) {
        #[cfg(target_arch = "x86_64")]
        if let Some(avx2) = self.simd.level().as_avx2() {
            let (first, last) = unpack(avx2, self.to_array(), other.to_array());
            return (Self::simd_from(self.simd, first), Self::simd_from(self.simd, last));
        }
        let ((a, b), (c, d)) = (self.split(), other.split());
        (a.zip_low(c).combine(b.zip_low(d)), a.zip_high(c).combine(b.zip_high(d)))
    }

    #[inline(always)]
    fn plus_mixed(self, round: usize, b: Self, c: Self, d: Self) -> Self {
        #[cfg(target_arch = "x86_64")]
        if let Some(avx512) = self.simd.level().as_avx512() {
            let mixed = mixed(avx512, round, b.to_array(), c.to_array(), d.to_array());
            return self + Self::simd_from(self.simd, mixed);
        }
        plus_mixed(self, round, b, c, d)
    }
}

impl<S: Simd> Words<S, 2> for u32x16<S> {
    #[inline(always)]
    fn of_groups(simd: S, [first, second]: [[u32; GROUP]; 2]) -> Self {
        u32x8::simd_from(simd, first).combine(u32x8::simd_from(simd, second))
    }

    #[inline(always)]
    fn into_groups(self) -> [[u32; GROUP]; 2] {
        let (first, second) = self.split();
        [first.to_array(), second.to_array()]
    }

    #[inline(always)]
    fn load(simd: S, [first, second]: &[Blocks<'_>; 2], at: usize, row: usize, quarter: usize) -> Self {
        load(simd, first, at, row, quarter).combine(load(simd, second, at, row, quarter))
    }

    #[inline(always)]
    fn shuffle(self, other: Self) -> (Self, Self) {
        #[cfg(target_arch = "x86_64")]
        if let Some(avx512) = self.simd.level().as_avx512() {
            let (first, last) = unpack_wide(avx512, self.to_array(), other.to_array());
            return (Self::simd_from(self.simd, first), Self::simd_from(self.simd, last));
        }
        let ((a, b), (c, d)) = (self.split(), other.split());
        let ((a, c), (b, d)) = (a.shuffle(c), b.shuffle(d));
        (a.combine(b), c.combine(d))
    }

    #[inline(always)]
    fn plus_mixed(self, round: usize, b: Self, c: Self, d: Self) -> Self {
        #[cfg(target_arch = "x86_64")]
        if let Some(avx512) = self.simd.level().as_avx512() {
            let mixed = mixed_wide(avx512, round, b.to_array(), c.to_array(), d.to_array());
            return self + Self::simd_from(self.simd, mixed);
        }
        plus_mixed(self, round, b, c, d)
    }
}

/// [`Words::load`] for one group.
#[inline(always)]
fn load<S: Simd>(simd: S, group: &Blocks<'_>, at: usize, row: usize, quarter: usize) -> u32x8<S> {
    quarter_of(simd, &group[row][at], quarter).combine(quarter_of(simd, &group[row + 4][at], quarter))
}

/// A quarter of the words of a block, as they lie there: the lowest octet first.
#[inline(always)]
fn quarter_of<S: Simd>(simd: S, block: &Block, quarter: usize) -> u32x4<S> {
    let mut words = [0; 4];
    for (word, octets) in words.iter_mut().zip(block.as_chunks::<16>().0[quarter].as_chunks::<4>().0) {
        *word = u32::from_le_bytes(*octets);
    }
    u32x4::simd_from(simd, words)
}

/// [`Words::plus_mixed`] of two operations at a time.
///
/// G and I are written so that less waits for `b`, which the step before has only just made: the two halves of G have no
/// bit in common, so that they may be added one after the other; and as NOT x is -1 - x, `c ^ (b | !d)` is
/// `-1 - (c ^ (d & !b))`, of which the -1 is left out.
#[inline(always)]
fn plus_mixed<S: Simd, V: SimdInt<S, Element = u32>>(sum: V, round: usize, b: V, c: V, d: V) -> V {
    match round {
        0 => sum + (d ^ (b & (c ^ d))),
        1 => (sum + (c & !d)) + (b & d),
        2 => sum + (b ^ (c ^ d)),
        _ => sum - (c ^ (d & !b)),
    }
}

/// What [`Words::plus_mixed`] adds too much: AVX-512 has an instruction for any operation of three, and leaves nothing out.
#[inline(always)]
pub(crate) fn excess<S: Simd>(simd: S, round: usize) -> u32 {
    #[cfg(target_arch = "x86_64")]
    if simd.level().as_avx512().is_some() {
        return 0;
    }
    u32::from(round == 3)
}

// One instruction for each result, which the compiler does not find in the general form: it takes the halves apart. The
// library has both, but only with exchanges of halves behind them, which cost a tenth of the speed and more.
#[cfg(target_arch = "x86_64")]
fearless_simd::kernel!(
    #[inline]
    fn unpack(avx2: Avx2, a: [u32; 8], b: [u32; 8]) -> ([u32; 8], [u32; 8]) {
        use std::arch::x86_64::{_mm256_unpackhi_epi32, _mm256_unpacklo_epi32};

        let (a, b) = (u32x8::simd_from(avx2, a).into(), u32x8::simd_from(avx2, b).into());
        let first = u32x8::simd_from(avx2, _mm256_unpacklo_epi32(a, b));
        let last = u32x8::simd_from(avx2, _mm256_unpackhi_epi32(a, b));
        (first.to_array(), last.to_array())
    }
);

#[cfg(target_arch = "x86_64")]
fearless_simd::kernel!(
    #[inline]
    fn unpack_wide(avx512: Avx512, a: [u32; 16], b: [u32; 16]) -> ([u32; 16], [u32; 16]) {
        use std::arch::x86_64::{_mm512_unpackhi_epi32, _mm512_unpacklo_epi32};

        let (a, b) = (u32x16::simd_from(avx512, a).into(), u32x16::simd_from(avx512, b).into());
        let first = u32x16::simd_from(avx512, _mm512_unpacklo_epi32(a, b));
        let last = u32x16::simd_from(avx512, _mm512_unpackhi_epi32(a, b));
        (first.to_array(), last.to_array())
    }
);

/// The functions F, G, H and I as tables, for operands in this order: the bit for the first operand has the value 4. G is F
/// with other operands.
#[cfg(target_arch = "x86_64")]
const TABLES: [i32; 4] = [0b1100_1010, 0b1100_1010, 0b1001_0110, 0b0011_1001];

#[cfg(target_arch = "x86_64")]
fearless_simd::kernel!(
    #[inline]
    fn mixed(avx512: Avx512, round: usize, b: [u32; 8], c: [u32; 8], d: [u32; 8]) -> [u32; 8] {
        use std::arch::x86_64::_mm256_ternarylogic_epi32 as ternary;

        let [b, c, d] = [b, c, d].map(|words| u32x8::simd_from(avx512, words).into());
        let mixed = match round {
            0 => ternary::<{ TABLES[0] }>(b, c, d),
            1 => ternary::<{ TABLES[1] }>(d, b, c),
            2 => ternary::<{ TABLES[2] }>(b, c, d),
            _ => ternary::<{ TABLES[3] }>(b, c, d),
        };
        u32x8::simd_from(avx512, mixed).to_array()
    }
);

#[cfg(target_arch = "x86_64")]
fearless_simd::kernel!(
    #[inline]
    fn mixed_wide(avx512: Avx512, round: usize, b: [u32; 16], c: [u32; 16], d: [u32; 16]) -> [u32; 16] {
        use std::arch::x86_64::_mm512_ternarylogic_epi32 as ternary;

        let [b, c, d] = [b, c, d].map(|words| u32x16::simd_from(avx512, words).into());
        let mixed = match round {
            0 => ternary::<{ TABLES[0] }>(b, c, d),
            1 => ternary::<{ TABLES[1] }>(d, b, c),
            2 => ternary::<{ TABLES[2] }>(b, c, d),
            _ => ternary::<{ TABLES[3] }>(b, c, d),
        };
        u32x16::simd_from(avx512, mixed).to_array()
    }
);
