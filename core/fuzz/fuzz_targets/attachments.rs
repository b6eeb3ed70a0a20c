//! Lists of files: whatever is read can be written and is read the same again.
#![no_main]

use feige_core::wire::ipmsg::{Attachments, EscapedName};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| {
    let mut entries = 0;
    for attachment in Attachments::new(octets) {
        entries += 1;
        let Ok(attachment) = attachment else { continue };
        let mut buffer = vec![0xa5; 4 * octets.len() + 128];
        let len = attachment.emit(&mut buffer).unwrap();
        let mut again = Attachments::new(&buffer[..len]);
        let read = again.next().unwrap().unwrap();
        assert!(again.next().is_none());
        let clean = |name: EscapedName<'_>| -> Vec<u8> {
            name.octets().map(|octet| if octet.is_ascii_control() { b'_' } else { octet }).collect()
        };
        assert_eq!(clean(read.name), clean(attachment.name));
        assert_eq!((read.id, read.size, read.modified), (attachment.id, attachment.size, attachment.modified));
        assert_eq!(read.attribute, attachment.attribute);
        assert_eq!(read.extended.permissions(), attachment.extended.permissions());
    }
    assert!(entries <= octets.len());
});
