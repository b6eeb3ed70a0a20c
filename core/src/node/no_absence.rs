//! In place of [`absence`](super::absence) in a device that is never away.
//!
//! An absence cannot exist, so the compiler leaves out whatever needs one.
//!
//! **Memory**, **time**: none.

use core::convert::Infallible;

/// Why we are away.
#[derive(Clone, Debug)]
pub(super) struct Absence(Infallible);

impl Absence {
    pub(super) const fn title(&self, _utf8: bool) -> &[u8] {
        match self.0 {}
    }

    pub(super) const fn text(&self, _utf8: bool) -> &[u8] {
        match self.0 {}
    }
}
