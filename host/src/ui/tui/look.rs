//! Colours, if they are wanted; what they say is also said in words.

use ratatui::style::{Color, Modifier, Style};

/// Whether there are colours.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    pub(super) colour: bool,
}

impl Look {
    /// Without colours.
    pub(super) const PLAIN: Self = Self { colour: false };

    fn with(self, colour: Color) -> Style {
        if self.colour { Style::new().fg(colour) } else { Style::new() }
    }

    pub(super) fn text(self) -> Style {
        Style::new()
    }

    /// Other people's names.
    pub(super) fn name(self) -> Style {
        self.with(Color::Cyan).add_modifier(Modifier::BOLD)
    }

    /// Our own.
    pub(super) fn me(self) -> Style {
        self.with(Color::Blue).add_modifier(Modifier::BOLD)
    }

    pub(super) fn good(self) -> Style {
        self.with(Color::Green)
    }

    pub(super) fn bad(self) -> Style {
        self.with(Color::Red)
    }

    /// What waits for the person.
    pub(super) fn warn(self) -> Style {
        self.with(Color::Yellow)
    }

    pub(super) fn dim(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    /// The chosen member, the chosen offer.
    pub(super) fn chosen(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    /// A part of the screen on which keys act, or not.
    pub(super) fn frame(self, focus: bool) -> Style {
        if focus { self.with(Color::Cyan).add_modifier(Modifier::BOLD) } else { self.dim() }
    }
}
