//! Who this device is: a page of flash that is written once, in the factory.
//!
//! | octets | |
//! |---|---|
//! | 0-3 | `FGE1` |
//! | 4-9 | Ethernet address |
//! | 10-13 | IPv4 address |
//! | 14 | bits of it that name the network |
//! | 15 | length of the name |
//! | 16-47 | name |
//! | 48-51 | number of the first packet, little-endian |
//! | 52-59 | a random number, little-endian |
//!
//! This chip has no clock that goes on without power and no source of random numbers, so the last two have to come from
//! outside; a board that has them would use them, or would store the number in its own flash before it is used up.

use core::hint::black_box;

unsafe extern "C" {
    /// Where the page begins; the linker knows.
    static _settings: [u8; SIZE];
}

const SIZE: usize = 60;

const MARK: &[u8] = b"FGE1";

/// What stands in the page, or what a device is that has none.
pub struct Settings {
    pub mac: [u8; 6],
    pub address: [u8; 4],
    pub prefix: u8,
    name: [u8; 32],
    length: usize,
    pub first: u32,
    pub seed: u64,
}

impl Settings {
    const DEFAULT: Self = Self {
        mac: [2, 0, 10, 77, 0, 2],
        address: [10, 77, 0, 2],
        prefix: 24,
        name: *b"device\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
        length: 6,
        first: 1,
        seed: 0x2425,
    };

    pub fn read() -> Self {
        // SAFETY: flash that is there on this board, outside of the image; read only. The compiler is not to know what
        // stands there.
        let page = black_box(unsafe { &*(&raw const _settings) });
        Self::parse(page).unwrap_or(Self::DEFAULT)
    }

    fn parse(page: &[u8]) -> Option<Self> {
        let rest = page.strip_prefix(MARK)?;
        let (mac, rest) = rest.split_first_chunk()?;
        let (address, rest) = rest.split_first_chunk()?;
        let (&[prefix, length], rest) = rest.split_first_chunk()?;
        let (name, rest) = rest.split_first_chunk()?;
        let (first, rest) = rest.split_first_chunk()?;
        let (seed, _) = rest.split_first_chunk()?;
        let (first, seed) = (u32::from_le_bytes(*first), u64::from_le_bytes(*seed));
        Some(Self { mac: *mac, address: *address, prefix, name: *name, length: length.into(), first, seed })
    }

    pub fn name(&self) -> &[u8] {
        self.name.get(..self.length).unwrap_or(&self.name)
    }
}
