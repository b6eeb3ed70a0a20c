//! The machines against transcripts, and against each other.

use std::vec;
use std::vec::Vec;

use super::testing::{Ended, Ending, Ram, Script, Step, file, folder, run};
use super::*;
use crate::time::Instant;
use crate::wire::ipmsg::{
    FEIQ_PREAMBLE, FileRequest, Header, Options, PacketNo, PacketToken, RequestKind, RequestedId,
};

/// Serves `steps` to what `script` says.
fn serve(steps: &[Step], mut script: Script, room: usize) -> (Ended, Script, Ram) {
    let mut ram = Ram::serving(steps);
    let mut buffer = vec![0xa5; room];
    let ended = run(Server::new(Instant::START, &mut buffer), &mut script, &mut ram);
    (ended, script, ram)
}

const FILE_REQUEST: &[u8] = b"1:9:u:h:96:6553f150:1:0:\0";
const FOLDER_REQUEST: &[u8] = b"1:9:u:h:98:6553f150:1:0:\0";

#[test]
fn a_file_is_its_octets_and_nothing_else() {
    let (ended, script, ram) = serve(&[file("a", b"hello world")], Script::new(FILE_REQUEST, Ending::Eof), 512);
    assert_eq!(ended, Ok(Outcome::Complete(Totals { files: 1, octets: 11, ..Totals::default() })));
    assert_eq!(script.written, b"hello world");
    assert!(script.shut);
    assert_eq!(ram.asked, ["File 6553f150 1 0"]);
}

#[test]
fn a_folder_is_headers_and_contents() {
    let steps = [folder("docs"), file("a.txt", b"abc"), Step::Leave];
    let (ended, script, _) = serve(&steps, Script::new(FOLDER_REQUEST, Ending::Eof), 4096);
    assert_eq!(ended, Ok(Outcome::Complete(Totals { files: 1, folders: 1, octets: 3, ..Totals::default() })));
    assert_eq!(script.written, b"0016:docs:000000000:2:0017:a.txt:000000003:1:abc0013:.:000000000:3:");
    assert_eq!(script.writes, 1, "all in one piece");
}
