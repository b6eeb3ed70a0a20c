//! What happens, printed: a line for each event, as text or as JSON.

use std::io::Write as _;
use std::string::String;

use feige_core::text::Printable;
use feige_sim::agent::Event;
use serde_json::{Value, json};

/// Prints an event. A reader that has gone away does not matter.
pub(crate) fn event(event: &Event<'_>, json: bool) {
    let line = if json { value(event).to_string() } else { text(event) };
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

fn value(event: &Event<'_>) -> Value {
    let words = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    match *event {
        Event::Online { at, nick } => json!({"event": "online", "addr": at.to_string(), "nick": words(nick)}),
        Event::Offline { at } => json!({"event": "offline", "addr": at.to_string()}),
        Event::Message { from, text, .. } => {
            json!({"event": "message", "from": from.to_string(), "text": words(text)})
        }
        Event::Delivered { to, packet_no } => {
            json!({"event": "delivered", "to": to.to_string(), "packet": packet_no.0})
        }
        Event::GaveUp { to, packet_no } => json!({"event": "gave_up", "to": to.to_string(), "packet": packet_no.0}),
        Event::Stored { from, name, size, digest } => json!({"event": "stored", "from": from.to_string(),
            "name": words(name), "size": size, "md5": digest.to_string()}),
        Event::NotStored { from, name, why } => {
            json!({"event": "not_stored", "from": from.to_string(), "name": words(name), "why": why})
        }
        Event::Served { to, size } => json!({"event": "served", "to": to.to_string(), "size": size}),
        Event::NotServed { to } => json!({"event": "not_served", "to": to.to_string()}),
        _ => json!({"event": "other"}),
    }
}

fn text(event: &Event<'_>) -> String {
    let words = |octets: &[u8]| Printable::line(&String::from_utf8_lossy(octets)).to_string();
    match *event {
        Event::Online { at, nick } => format!("{} ({at}) is online", words(nick)),
        Event::Offline { at } => format!("{at} is offline"),
        Event::Message { from, text, .. } => format!("{from}: {}", words(text)),
        Event::Delivered { to, .. } => format!("delivered to {to}"),
        Event::GaveUp { to, .. } => format!("{to} does not answer"),
        Event::Stored { from, name, size, digest } => {
            format!("stored {} from {from}: {size} octets, MD5 {digest}", words(name))
        }
        Event::NotStored { from, name, why } => format!("did not store {} from {from}: {why}", words(name)),
        Event::Served { to, size } => format!("served {size} octets to {to}"),
        Event::NotServed { to } => format!("did not serve a request of {to}"),
        _ => String::from("something else happened"),
    }
}
