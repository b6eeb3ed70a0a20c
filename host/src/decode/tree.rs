//! What a datagram says, as a tree that can be printed for people and for programs.

use std::fmt::{self, Display};

use feige_core::text::Printable;
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};

/// A value that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Tree {
    /// A text, as it was decoded.
    Text(String),
    /// A number.
    Number(u64),
    /// Several of a kind.
    List(Vec<Tree>),
    /// Named values, in the order in which they stand in the datagram.
    Fields(Vec<(&'static str, Tree)>),
}

impl Tree {
    /// A text.
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, indent: usize) -> fmt::Result {
        match self {
            Self::Text(text) if text.contains('\n') => {
                for line in text.lines() {
                    write!(f, "\n{:indent$}| {}", "", Printable::line(line))?;
                }
                writeln!(f)
            }
            Self::Text(text) => writeln!(f, "{}", Printable::line(text)),
            Self::Number(number) => writeln!(f, "{number}"),
            Self::List(trees) if trees.iter().all(|tree| matches!(tree, Self::Text(_))) => {
                let mut texts = trees.iter().filter_map(|tree| match tree {
                    Self::Text(text) => Some(Printable::line(text)),
                    _ => None,
                });
                if let Some(first) = texts.next() {
                    write!(f, "{first}")?;
                }
                for text in texts {
                    write!(f, ", {text}")?;
                }
                writeln!(f)
            }
            Self::List(trees) => {
                for (i, tree) in trees.iter().enumerate() {
                    write!(f, "\n{:indent$}[{}]", "", i + 1)?;
                    tree.write(f, indent)?;
                }
                Ok(())
            }
            Self::Fields(fields) => {
                let width = fields.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
                writeln!(f)?;
                for (name, tree) in fields {
                    write!(f, "{:indent$}{name:width$}  ", "")?;
                    tree.write(f, indent + 2)?;
                }
                Ok(())
            }
        }
    }
}

impl Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, 0)
    }
}

impl Serialize for Tree {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => serializer.serialize_str(text),
            Self::Number(number) => serializer.serialize_u64(*number),
            Self::List(trees) => {
                let mut list = serializer.serialize_seq(Some(trees.len()))?;
                for tree in trees {
                    list.serialize_element(tree)?;
                }
                list.end()
            }
            Self::Fields(fields) => {
                let mut map = serializer.serialize_map(Some(fields.len()))?;
                for (name, tree) in fields {
                    map.serialize_entry(name, tree)?;
                }
                map.end()
            }
        }
    }
}
