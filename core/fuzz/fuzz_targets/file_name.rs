//! Names for a store: always one harmless component, and harmless names stay as they are.
#![no_main]

use feige_core::text::{FileName, Printable};
use feige_core::wire::ipmsg::EscapedName;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| {
    let unescaped: Vec<u8> = EscapedName::received(octets).octets().collect();
    for name in [FileName::from_octets(octets), FileName::from_octets(&unescaped)] {
        let name = name.as_str();
        assert!(FileName::is_safe(name));
        assert!(!name.is_empty() && name.len() <= FileName::MAX);
        assert!(!name.contains(['/', '\\', ':', '\0', '\u{202e}']));
        assert!(!name.chars().any(char::is_control));
        assert!(name != "." && name != ".." && !name.ends_with(['.', ' ']));
        assert_eq!(FileName::from_untrusted(name).as_str(), name);
        let short = FileName::within(name, 64);
        assert!(FileName::is_safe(short.as_str()) && short.as_str().len() <= 64);
    }
    if let Ok(text) = std::str::from_utf8(octets) {
        assert!(!Printable::line(text).to_string().chars().any(char::is_control));
        let lines = Printable::lines(text).to_string();
        assert!(!lines.chars().any(|character| character.is_control() && !"\n\t".contains(character)));
    }
});
