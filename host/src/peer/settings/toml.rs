//! Settings in TOML.

use std::path::PathBuf;

use toml_edit::{Array, DocumentMut, Item, TableLike, Value, value};

use super::{KEYS, MOST_HOPS, Settings, Wrong, items};
use crate::config;

/// The table that the keys may stand in.
const TABLE: &str = "peer";

pub(super) fn settings(text: &str) -> Result<Settings, Wrong> {
    let document = parse(text)?;
    check_keys(&document)?;
    let table = table_of(&document);
    let mut settings = Settings::default();
    // At the top, a table is that of a command.
    let get = |key: &str| table.get(key).filter(|item| !item.is_table());
    if let Some(item) = get("listen") {
        settings.listen = one(item, "listen", "\"ADDR:PORT\"")?;
    }
    if let Some(item) = get("share") {
        let share = item.as_str().filter(|share| !share.is_empty());
        settings.share = PathBuf::from(share.ok_or_else(|| wrong("share", item, "the path of a folder, in quotes"))?);
    }
    if let Some(item) = get("ttl") {
        let ttl = item.as_integer().and_then(|ttl| u8::try_from(ttl).ok()).filter(|ttl| (1..=MOST_HOPS).contains(ttl));
        settings.ttl = ttl.ok_or_else(|| wrong("ttl", item, &format!("a number of hops from 1 to {MOST_HOPS}")))?;
    }
    if let Some(item) = get("neighbour") {
        settings.neighbours = list(item, "neighbour", "[\"ADDR:PORT\", \"ADDR:PORT/j\"]")?;
    }
    if let Some(item) = get("network") {
        settings.networks = list(item, "network", "[\"192.168.0.0/24\"]")?;
    }
    if let Some(item) = get("id") {
        let id = item.as_integer().and_then(|id| u32::try_from(id).ok());
        settings.id = Some(id.ok_or_else(|| wrong("id", item, "a number"))?);
    }
    if let Some(item) = get("max-connections") {
        let most = item.as_integer().and_then(|most| u16::try_from(most).ok()).filter(|most| *most > 0);
        settings.max_connections = most.ok_or_else(|| wrong("max-connections", item, "a number from 1 to 65535"))?;
    }
    if let Some(item) = get("max-size") {
        settings.max_size = one(item, "max-size", "a size in quotes, as \"2GiB\"")?;
    }
    Ok(settings)
}

/// The text with another value of `key`; the comments of the line stay.
pub(super) fn modified(text: &str, key: &str, new: &str) -> Result<String, Wrong> {
    if !KEYS.contains(&key) {
        return Err(Wrong::new(format!("{key} cannot be changed; use one of {}", KEYS.join(", "))));
    }
    let mut item = match key {
        "neighbour" | "network" => value(items(new).collect::<Array>()),
        "ttl" | "max-connections" => {
            let number: i64 =
                new.parse().map_err(|_| Wrong::new(format!("{key} cannot be {new:?}; write a number")))?;
            value(number)
        }
        _ => value(new),
    };
    let mut document = parse(text)?;
    let at_top = document.get(TABLE).is_none() && KEYS.iter().any(|key| document.get(key).is_some_and(Item::is_value));
    let table = if at_top { Some(document.as_table_mut() as &mut dyn TableLike) } else { own_table(&mut document) };
    let table = table.ok_or_else(|| Wrong::new(format!("{TABLE} is no table; write [{TABLE}]")))?;
    if let Some(old) = table.get(key).and_then(Item::as_value)
        && let Some(new) = item.as_value_mut()
    {
        *new.decor_mut() = old.decor().clone();
    }
    match table.get_mut(key) {
        Some(old) => *old = item,
        None => {
            table.insert(key, item);
        }
    }
    let changed = document.to_string();
    // The library writes every end of a line as one octet.
    Ok(if text.contains("\r\n") && !changed.contains("\r\n") { changed.replace('\n', "\r\n") } else { changed })
}

fn parse(text: &str) -> Result<DocumentMut, Wrong> {
    text.parse().map_err(|error: toml_edit::TomlError| {
        let at = error.span().map(|span| span.start).and_then(|at| text.get(..at));
        let line = at.map(|before| before.matches('\n').count() + 1);
        Wrong { line, what: format!("is neither TOML nor a classic INI file: {}", error.message().replace('\n', ", ")) }
    })
}

/// A key that nobody knows is misspelt: a peer without neighbours would not be noticed.
fn check_keys(document: &DocumentMut) -> Result<(), Wrong> {
    let is_one = |key: &str| key == "id" || KEYS.contains(&key);
    let unknown = match document.get(TABLE).and_then(Item::as_table_like) {
        Some(table) => table.iter().find(|(key, _)| !is_one(key)),
        // At the top, there may be options of all commands, too.
        None => document.iter().find(|(key, item)| !item.is_table() && !is_one(key) && !config::is_option(key)),
    };
    match unknown {
        Some((key, _)) => Err(Wrong::new(format!("{key} is not known; keys are id, {}", KEYS.join(", ")))),
        None => Ok(()),
    }
}

fn table_of(document: &DocumentMut) -> &dyn TableLike {
    match document.get(TABLE).and_then(Item::as_table_like) {
        Some(table) => table,
        None => document.as_table(),
    }
}

/// The table of the peer, which is made if it is missing.
fn own_table(document: &mut DocumentMut) -> Option<&mut dyn TableLike> {
    document.entry(TABLE).or_insert_with(toml_edit::table).as_table_like_mut()
}

fn one<T: std::str::FromStr>(item: &Item, key: &str, wanted: &str) -> Result<T, Wrong> {
    item.as_str().and_then(|text| text.parse().ok()).ok_or_else(|| wrong(key, item, wanted))
}

fn list<T: std::str::FromStr>(item: &Item, key: &str, wanted: &str) -> Result<Vec<T>, Wrong> {
    let array = item.as_array().ok_or_else(|| wrong(key, item, wanted))?;
    let items = array.iter().map(|one| one.as_str().and_then(|text| text.parse().ok()).ok_or(one));
    items.collect::<Result<_, &Value>>().map_err(|bad| said(key, &bad.to_string(), wanted))
}

fn wrong(key: &str, item: &Item, wanted: &str) -> Wrong {
    said(key, &item.to_string(), wanted)
}

fn said(key: &str, what: &str, wanted: &str) -> Wrong {
    Wrong::new(format!("{key} cannot be {}; write {wanted}", what.trim()))
}
