//! The jobs of a client on their way out, and the files that go with them.

use super::{Client, ClientSession, Job, Kind, Outgoing, Stage};
use crate::digest::{Digest, Hasher};
use crate::stream::transfer::Input;
use crate::stream::transfer::sending::Sending;
use crate::stream::{Abort, Outcome};
use crate::wire::transfer::{ErrorCode, LENGTH, Request, block_len};

impl<H: Hasher, I: Input + ?Sized> Client<'_, '_, '_, H, I> {
    /// The store has a job.
    pub(super) fn begin(&mut self, request: &Request<'_>) {
        let head = self.session.link.outlet.end();
        if self.session.link.outlet.header(self.buffers.output, request).is_err() {
            self.session.stage = Stage::Unsent(ErrorCode::TooLarge, "the name is too long");
            return;
        }
        let len = self.session.link.outlet.end().saturating_sub(head);
        if len > usize::from(self.session.limits.max_header).saturating_add(LENGTH) {
            self.session.link.outlet.cut(head);
            self.session.stage = Stage::Unsent(ErrorCode::TooLarge, "the server takes no name as long as this");
            return;
        }
        self.session.stage = Stage::Work;
        let Some(kind) = Kind::of(request) else { return self.abort() };
        match *request {
            Request::Put(put) if put.inline => {
                let block = block_len(put.block).filter(|&block| put.size <= u64::from(block));
                let len = usize::try_from(put.size).unwrap_or(usize::MAX);
                let room = self.session.link.outlet.room(self.buffers.output);
                match block {
                    Some(block) if len.saturating_add(Digest::LEN) <= room => {
                        self.session.link.outlet.make_room(self.buffers.output, len, block);
                        let sending = Sending::inline(head, len, block);
                        self.session.stage = Stage::Sending { sending, inline: true };
                    }
                    _ => {
                        self.session.link.outlet.cut(head);
                        self.session.stage = Stage::Unsent(ErrorCode::TooLarge, "the file is too large to come along");
                    }
                }
            }
            Request::Put(put) => {
                self.session.outgoing = Some(Outgoing::new(put.size));
                self.job_begun(kind, len);
            }
            _ => self.job_begun(kind, len),
        }
    }

    /// A job of so many octets is in the output.
    pub(super) fn job_begun(&mut self, kind: Kind, len: usize) {
        let job = Job::new(kind, len);
        // Asked before: there is room.
        let _ = self.session.jobs.push_back(job);
        self.session.under_way = self.session.under_way.saturating_add(job.octets());
    }

    /// All octets of the large file were sent, or all that there are.
    pub(super) fn finish(&mut self) {
        let ClientSession { link, outgoing, .. } = &mut *self.session;
        let Some(outgoing) = outgoing else { return };
        link.outlet.seal(self.buffers.output, &mut self.hasher, outgoing.counted());
        if outgoing.repairs == 0 {
            outgoing.told = outgoing.digest.clone().finish();
        }
        let digest = outgoing.told;
        self.session.stage = Stage::Finishing(digest);
    }

    /// The file that is sent cannot be sent to its end.
    pub(super) fn shrunk(&mut self) {
        let Stage::Sending { sending, inline } = &mut self.session.stage else { return };
        let inline = *inline;
        if !sending.take_back(&mut self.session.link.outlet) {
            // Half of a block has left: nothing can be said any more.
            self.session.stage = Stage::Over(Ok(Outcome::Aborted(Abort::Shrunk { missing: 0 })));
        } else if inline {
            self.session.stage = Stage::Unsent(ErrorCode::Internal, "the file changed while it was sent");
        } else {
            // The server will say that it ended short.
            self.finish();
        }
    }
}
