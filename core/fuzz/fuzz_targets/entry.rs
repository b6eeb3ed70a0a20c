//! Everything that can be said of an entry, and that what we send of it is clean.
#![no_main]

use feige_core::wire::ipmsg::{Datagram, Entry, Place, sendable};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| {
    let Ok(datagram) = Datagram::parse(octets) else { return };
    let entry = Entry::of(&datagram);
    for label in [entry.user(), entry.host(), entry.nick(), entry.group()] {
        assert!(label.text.as_bytes().len() <= octets.len());
        assert!(!label.text.as_bytes().contains(&0));
        for place in [Place::Header, Place::Nick, Place::Group] {
            let sent: Vec<u8> = sendable(label.text.as_bytes(), place).collect();
            assert!(!sent.iter().any(u8::is_ascii_control));
            assert!(place != Place::Header || !sent.contains(&b':'));
            assert!(place == Place::Group || !sent.is_empty());
        }
    }
});
