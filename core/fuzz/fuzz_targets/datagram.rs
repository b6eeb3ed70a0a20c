//! parse -> emit -> parse: the second reading says what the first said, and the third octets are the second.
#![no_main]

use feige_core::wire::ipmsg::Datagram;
use feige_core::wire::ipmsg::feiq::{ImageFragment, without_font_octets};
use feige_core::wire::ipmsg::key::{EncryptedBody, PublicKey};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| {
    let Ok(datagram) = Datagram::parse(octets) else { return };
    let mut buffer = vec![0xa5; octets.len() + 64];
    let len = datagram.emit(&mut buffer).unwrap();
    let again = Datagram::parse(&buffer[..len]).unwrap();
    assert_eq!(again, datagram);
    assert_eq!(datagram.emit(&mut []).unwrap_err().needed, len);
    assert!(datagram.extensions().count() <= octets.len());
    let _ = (datagram.acknowledged(), datagram.header.client(), datagram.header.packet_no.low32());

    assert!(without_font_octets(datagram.body).as_bytes().len() <= datagram.body.len());
    let _ = (PublicKey::parse(datagram.body), EncryptedBody::parse(datagram.body));
    if let Ok(fragment) = ImageFragment::parse(&datagram) {
        assert!(fragment.offset as usize + fragment.data.len() <= fragment.total as usize);
    }
});
