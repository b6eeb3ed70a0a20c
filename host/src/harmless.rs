//! Text on its way to people.

use std::fmt::{self, Write as _};

use feige_core::text::Printable;

/// Shows something so that, whoever wrote what is in it, it neither commands a terminal nor leaves its line. What is
/// harmless already stays as it is.
///
/// For whatever writes lines: a part of a line that nobody made harmless does not get past it. Colours and line ends are to be
/// written around it.
pub(crate) struct Harmless<T>(pub(crate) T);

impl<T: fmt::Display> fmt::Display for Harmless<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        struct Filter<'f, 'b>(&'f mut fmt::Formatter<'b>);

        impl fmt::Write for Filter<'_, '_> {
            fn write_str(&mut self, text: &str) -> fmt::Result {
                fmt::Display::fmt(&Printable::line(text), self.0)
            }
        }

        write!(Filter(f), "{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_is_made_harmless_once() {
        let parts = format_args!("{}: {:>4}|{}", "\x1b[2J", 'x', "a\nb").to_string();
        let shown = Harmless(parts).to_string();
        assert_eq!(shown, "\\u{1b}[2J:    x|a\\u{a}b");
        assert_eq!(Harmless(shown.as_str()).to_string(), shown);
    }
}
