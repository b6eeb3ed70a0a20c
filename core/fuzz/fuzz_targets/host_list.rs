//! Host lists: what is read can be written and is read the same again, but for control characters.
#![no_main]

use feige_core::wire::Writer;
use feige_core::wire::ipmsg::host_list::{HostList, requested_index};
use feige_core::wire::ipmsg::{Place, sendable};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| {
    let _ = requested_index(octets);
    let Ok(list) = HostList::parse(octets) else { return };
    let mut buffer = vec![0xa5; 4 * octets.len() + 64];
    let mut writer = Writer::new(&mut buffer);
    HostList::write_front(&mut writer, list.next, list.count);
    for host in list.hosts().flatten() {
        host.write(&mut writer);
    }
    let len = writer.finish().unwrap();
    let again = HostList::parse(&buffer[..len]).unwrap();
    assert_eq!((again.next, again.count), (list.next, list.count));
    let hosts = again.hosts().map(Result::unwrap);
    for (read, written) in hosts.zip(list.hosts().flatten()) {
        for (read, written) in [
            (read.user, written.user),
            (read.host, written.host),
            (read.nick, written.nick),
            (read.group, written.group),
        ] {
            assert!(read.as_bytes().iter().copied().eq(sendable(written.as_bytes(), Place::Group)));
        }
        assert_eq!((read.status, read.address.ip()), (written.status, written.address.ip()));
    }
});
