//! A set of links.

/// Up to [`Mask::MOST`] links, one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Mask(u32);

impl Mask {
    /// The most links that there can be.
    pub(super) const MOST: usize = 32;

    pub(super) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(super) fn insert(&mut self, link: u8) {
        self.0 |= bit(link);
    }

    pub(super) fn remove(&mut self, link: u8) {
        self.0 &= !bit(link);
    }

    /// Takes the link with the lowest number.
    pub(super) fn take_first(&mut self) -> Option<u8> {
        let first = u8::try_from(self.0.trailing_zeros()).ok().filter(|_| self.0 != 0)?;
        self.remove(first);
        Some(first)
    }
}

fn bit(link: u8) -> u32 {
    1_u32.checked_shl(link.into()).unwrap_or(0)
}
