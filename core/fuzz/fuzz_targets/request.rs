//! Requests: what is complete stays what it is, however it was cut, and is written in a form that reads the same.
#![no_main]

use feige_core::wire::ipmsg::{FileRequest, RequestScan};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| {
    for cut in 0..=octets.len().min(256) {
        let scan = FileRequest::scan(&octets[..cut]);
        if scan == RequestScan::EnoughIfSilent || matches!(scan, RequestScan::Complete { .. }) {
            assert!(cut > 0);
        }
    }
    match FileRequest::scan(octets) {
        RequestScan::Complete { len } => assert!(len > 0 && len <= octets.len()),
        RequestScan::EnoughIfSilent | RequestScan::NeedMore | RequestScan::TooLong => {}
    }
    let Ok(request) = FileRequest::parse(octets) else { return };
    let mut buffer = vec![0xa5; octets.len() + 128];
    let len = request.emit(&mut buffer).unwrap();
    assert_eq!(FileRequest::scan(&buffer[..len]), RequestScan::Complete { len });
    let again = FileRequest::parse(&buffer[..len]).unwrap();
    assert_eq!((again.kind, again.packet_no, again.offset), (request.kind, request.packet_no, request.offset));
    assert_eq!((again.id.hex, again.header.user), (request.id.hex, request.header.user));
});
