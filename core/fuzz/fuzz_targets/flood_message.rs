//! Messages of a link, and texts of the classic programs: what is read can be written and is read the same again.
#![no_main]

use feige_core::wire::flood::classic::{self, Text};
use feige_core::wire::flood::{self, MAX_MESSAGE, Message, NameFilter};
use feige_core::wire::transfer::LENGTH;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| {
    message(octets);
    text(octets);
});

fn message(octets: &[u8]) {
    let Ok(Some((message, used))) = flood::frame(octets) else { return };
    assert!((LENGTH + 2..=MAX_MESSAGE).contains(&used) && used <= octets.len());
    for cut in 0..used {
        assert_eq!(flood::frame(&octets[..cut]), Ok(None), "a message is whole or not");
    }
    let Some(message) = message else { return };
    let mut buffer = [0xa5; MAX_MESSAGE];
    let len = flood::encode(&message, &mut buffer).expect("a message that was read fits");
    assert!(len <= used, "numbers have no shorter form");
    assert_eq!(flood::frame(&buffer), Ok(Some((Some(message), len))));
    assert_eq!(flood::encode(&message, &mut buffer[..len - 1]).unwrap_err().needed, len);
    match message {
        Message::Query(query) if query.what.is_valid() => {
            assert!(len <= 256, "a query that may be asked is short");
            let _ = (query.what.matches("name", None), query.what.to_string());
        }
        Message::Hit(hit) if hit.is_valid() => {
            assert!(!hit.name().contains(['/', '\\', '\0']) && !matches!(hit.name(), "" | "." | ".."));
        }
        Message::Filter(filter) => assert!(filter != NameFilter::ALL || filter.may_have("name")),
        _ => {}
    }
}

fn text(octets: &[u8]) {
    let Ok(text) = Text::parse(octets) else { return };
    let mut buffer = [0; classic::MAX_MESSAGE];
    let (name, len) = match text {
        Text::Get(get) => (get.name, get.emit(&mut buffer)),
        Text::Found(found) => (found.name, found.emit(&mut buffer)),
        Text::Request(request) => (request.name, request.emit(&mut buffer)),
    };
    let len = len.expect("a text that was read fits");
    assert!(classic::can_be_asked_for(name));
    assert_eq!(Text::parse(&buffer[..len]), Ok(text));
}
