//! A fast hash with a seed, for tables that strangers fill.
//!
//! Not cryptographic: who knows the seed can make two keys meet, and then one of two datagrams of unauthenticated
//! strangers is taken for the other. The seed keeps that from being prepared.

/// 2^64 divided by the golden ratio: odd, and its bits are spread well.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Hash(u64);

impl Hash {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed ^ SPREAD)
    }

    // Three multiplications where there is none of 64 bits.
    #[cfg_attr(target_os = "none", inline(never))]
    pub(crate) const fn number(self, number: u64) -> Self {
        let product = (self.0 ^ number).wrapping_mul(0xd6e8_feb8_6659_fd93);
        // The low bits of a product know nothing of the high bits of its factors.
        Self((product ^ (product >> 32)).wrapping_add(SPREAD))
    }

    pub(crate) fn octets(self, octets: &[u8]) -> Self {
        self.mixed(octets, false)
    }

    /// As if all ASCII letters were small.
    pub(crate) fn folded(self, octets: &[u8]) -> Self {
        self.mixed(octets, true)
    }

    fn mixed(self, octets: &[u8], fold: bool) -> Self {
        let map = |octet: u8| if fold { octet.to_ascii_lowercase() } else { octet };
        let (eights, rest) = octets.as_chunks::<8>();
        let mut hash = self;
        for eight in eights {
            hash = hash.number(u64::from_le_bytes(eight.map(map)));
        }
        let mut last = [0_u8; 8];
        for (to, &from) in last.iter_mut().zip(rest) {
            *to = map(from);
        }
        // The length, so that trailing zeros and neighbouring fields count.
        hash.number(u64::from_le_bytes(last)).number(u64::try_from(octets.len()).unwrap_or(u64::MAX))
    }

    pub(crate) const fn finish(self) -> u64 {
        self.number(SPREAD).number(SPREAD).0
    }
}

/// Numbers that look random (xorshift64*), for jitter only.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) const fn new(seed: u64) -> Self {
        // Zero would stay zero.
        Self(if seed == 0 { SPREAD } else { seed })
    }

    pub(crate) const fn next(&mut self) -> u64 {
        let mut x = self.0;
        x ^= x >> 12;
        x ^= x << 25;
        x ^= x >> 27;
        self.0 = x;
        x.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_do_not_run_together() {
        let of = |a: &[u8], b: &[u8]| Hash::new(1).octets(a).octets(b).finish();
        assert_ne!(of(b"ab", b"c"), of(b"a", b"bc"));
        assert_ne!(of(b"a\0", b""), of(b"a", b"\0"));
        assert_ne!(Hash::new(1).octets(b"x").finish(), Hash::new(2).octets(b"x").finish());
        assert_eq!(Hash::new(1).folded(b"ALICE-PC.lan").finish(), Hash::new(1).folded(b"alice-pc.LAN").finish());
    }

    #[test]
    fn random_never_sticks() {
        let mut random = Random::new(0);
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..1000 {
            assert!(seen.insert(random.next()));
        }
    }
}
