//! Why we are away, in both character sets.
//!
//! **Memory**: 330 octets. **Time**: linear in the texts. **Protocol**: R-IP-35 to 37.

use heapless::Vec;

use super::identity::{ABSENCE_MAX, BothSets, CollectCut as _, TITLE_MAX, cut};

/// Why we are away.
#[derive(Clone, Debug)]
pub(super) struct Absence {
    utf8: (Vec<u8, TITLE_MAX, u8>, Vec<u8, ABSENCE_MAX, u8>),
    legacy: (Vec<u8, TITLE_MAX, u8>, Vec<u8, ABSENCE_MAX, u8>),
}

impl Absence {
    pub(super) fn new(title: BothSets<'_>, text: BothSets<'_>) -> Self {
        let title_of = |octets| cut(octets, TITLE_MAX).iter().map(|&o| if o < 0x20 { b' ' } else { o }).collect_cut();
        let text_of = |octets| cut(octets, ABSENCE_MAX).iter().map(|&o| if o == 0 { b' ' } else { o }).collect_cut();
        Self {
            utf8: (title_of(title.utf8), text_of(text.utf8)),
            legacy: (title_of(title.legacy), text_of(text.legacy)),
        }
    }

    pub(super) fn title(&self, utf8: bool) -> &[u8] {
        if utf8 { self.utf8.0.as_slice() } else { self.legacy.0.as_slice() }
    }

    pub(super) fn text(&self, utf8: bool) -> &[u8] {
        if utf8 { self.utf8.1.as_slice() } else { self.legacy.1.as_slice() }
    }
}
