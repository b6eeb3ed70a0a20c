//! The machines against transcripts, and against each other.

mod client;
mod round_trip;
mod server;

use std::vec;
use std::vec::Vec;

use super::testing::{Ended, Ending, Ram, Script, Step, file, folder, run};
use super::*;
use crate::time::Instant;
use crate::wire::ipmsg::{
    FEIQ_PREAMBLE, FileRequest, Header, Options, PacketNo, PacketToken, RequestKind, RequestedId,
};

const FILE_REQUEST: &[u8] = b"1:9:u:h:96:6553f150:1:0:\0";
const FOLDER_REQUEST: &[u8] = b"1:9:u:h:98:6553f150:1:0:\0";

/// Serves `steps` to what `script` says.
fn serve(steps: &[Step], script: Script, room: usize) -> (Ended, Script, Ram) {
    serve_from(Ram::serving(steps), script, room)
}

fn serve_from(mut ram: Ram, mut script: Script, room: usize) -> (Ended, Script, Ram) {
    let mut buffer = vec![0xa5; room];
    let ended = run(Server::new(Instant::START, &mut buffer), &mut script, &mut ram);
    (ended, script, ram)
}

fn request(kind: RequestKind) -> FileRequest<'static> {
    FileRequest {
        header: Header {
            version: "1".into(),
            packet_no: PacketToken("9".into()),
            user: "u".into(),
            host: "h".into(),
            command: kind.command(),
            options: Options::default(),
        },
        kind,
        packet_no: PacketNo(0x6553_f150),
        id: RequestedId::of(1),
        offset: 0,
    }
}

/// Fetches a folder from what `script` says.
fn fetch_folder(mut ram: Ram, mut script: Script, room: usize, limits: Limits) -> (Ended, Script, Ram) {
    let mut buffer = vec![0xa5; room];
    let client = FolderClient::new(Instant::START, &mut buffer, &request(RequestKind::Folder), limits).unwrap();
    let ended = run(client, &mut script, &mut ram);
    (ended, script, ram)
}

/// Fetches a file from what `script` says.
fn fetch_file(mut script: Script, announced: Announced, offset: u64) -> (Ended, Script, Ram) {
    let (mut ram, mut buffer) = (Ram::default(), [0xa5; 64]);
    let request = FileRequest { offset, ..request(RequestKind::File) };
    let client = FileClient::new(Instant::START, &mut buffer, &request, announced, Metadata::default()).unwrap();
    let ended = run(client, &mut script, &mut ram);
    (ended, script, ram)
}

fn complete(files: u32, folders: u32, octets: u64) -> Ended {
    Ok(Outcome::Complete(Totals { files, folders, octets, ..Totals::default() }))
}

fn broken(error: ProtocolError) -> Ended {
    Err(crate::drive::DriveError::Protocol(error))
}

/// The machines are small: the buffer is what costs.
#[test]
fn sizes() {
    assert!(size_of::<Server<'_>>() <= 144, "{}", size_of::<Server<'_>>());
    assert!(size_of::<FileClient<'_>>() <= 144, "{}", size_of::<FileClient<'_>>());
    assert!(size_of::<FolderClient<'_>>() <= 160, "{}", size_of::<FolderClient<'_>>());
}
