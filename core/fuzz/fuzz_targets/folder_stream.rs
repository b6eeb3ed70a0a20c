//! Folder streams: every step gets further or asks for more than there is, and a cut never changes what is said.
#![no_main]

use feige_core::wire::ipmsg::{FolderHeader, FolderScan, MAX_FOLDER_HEADER};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| {
    let (mut rest, mut at_start) = (octets, true);
    loop {
        match FolderHeader::scan(rest, at_start) {
            Err(_) => return,
            Ok(FolderScan::End { len }) => {
                assert!(len > 0 && len <= rest.len());
                return;
            }
            Ok(FolderScan::NeedMore { at_least }) => {
                assert!(at_least > rest.len() && at_least <= MAX_FOLDER_HEADER);
                return;
            }
            Ok(FolderScan::Preamble { skip }) => {
                assert!(at_start && skip > 0 && skip <= rest.len());
                rest = &rest[skip..];
            }
            Ok(FolderScan::Header { header, len }) => {
                for cut in 0..len.min(64) {
                    match FolderHeader::scan(&rest[..cut], at_start) {
                        Ok(FolderScan::NeedMore { at_least }) => assert!(at_least > cut && at_least <= len),
                        other => panic!("{cut}: {other:?}"),
                    }
                }
                let mut buffer = vec![0xa5; 4 * len + 128];
                let written = header.emit(&mut buffer).unwrap();
                if written <= MAX_FOLDER_HEADER {
                    let Ok(FolderScan::Header { header: again, len }) = FolderHeader::scan(&buffer[..written], false)
                    else {
                        panic!("{}", buffer[..written].escape_ascii());
                    };
                    assert_eq!((len, again.attribute), (written, header.attribute));
                    assert_eq!(again.content_len(), header.content_len());
                    assert_eq!(again.extended.modified(), header.extended.modified());
                }
                at_start = false;
                let contents = usize::try_from(header.content_len()).unwrap_or(usize::MAX);
                rest = rest[len..].get(contents..).unwrap_or_default();
            }
        }
    }
});
