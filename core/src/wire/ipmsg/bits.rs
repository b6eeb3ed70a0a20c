//! Sets of bits with names: the options of a command word, the methods of encryption.

/// Gives the bits of a tuple struct around a `u32` their names, and what one does with sets.
macro_rules! bit_set {
    ($set:ident { $($(#[$doc:meta])+ $name:ident = $bits:literal;)+ }) => {
        impl $set {
            $($(#[$doc])+ pub const $name: Self = Self($bits);)+

            /// The bits, in their place on the wire.
            #[must_use]
            pub const fn bits(self) -> u32 {
                self.0
            }

            /// Whether all bits of `other` are set.
            #[must_use]
            pub const fn contains(self, other: Self) -> bool {
                self.0 & other.0 == other.0
            }

            /// Whether any bit of `other` is set.
            #[must_use]
            pub const fn intersects(self, other: Self) -> bool {
                self.0 & other.0 != 0
            }

            /// These and those of `other`.
            #[must_use]
            pub const fn with(self, other: Self) -> Self {
                Self(self.0 | other.0)
            }

            /// These without those of `other`.
            #[must_use]
            pub const fn without(self, other: Self) -> Self {
                Self(self.0 & !other.0)
            }
        }
    };
}

pub(super) use bit_set;
