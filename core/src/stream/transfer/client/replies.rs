//! What the answers of a server mean to a client.

use super::{
    CHANGED, Client, ClientSession, Credentials, DAMAGED, Incoming, Jobless, Kind, Limits, Outgoing, Stage,
    UNWANTED_MOST,
};
use crate::digest::Hasher;
use crate::stream::transfer::receiving::REPAIRS;
use crate::stream::transfer::scram;
use crate::stream::transfer::sending::{Direction, Sending};
use crate::stream::transfer::{Input, most_blocks};
use crate::stream::{Outcome, ProtocolError};
use crate::wire::transfer::{Data, ErrorCode, File, Reply, Request, VERSION, block_len, body_len};

impl<H: Hasher, I: Input + ?Sized> Client<'_, '_, '_, H, I> {
    /// A header is at the front of the input.
    pub(super) fn replied(&mut self) {
        // Taken out, so that it can be lent together with the input; needed once more only at the signature.
        let exchange = match self.session.stage {
            Stage::Signature => self.session.exchange.take(),
            _ => None,
        };
        let Ok(reply) = self.reply() else { return self.violation() };
        if matches!(self.session.stage, Stage::Work) {
            let oldest = self.session.jobs.front();
            if !oldest.is_some_and(|job| job.kind.is_answered_by(&reply)) {
                return self.violation();
            }
        }
        if let Reply::Error { .. } = reply {
            let unwanted = self.session.incoming.as_ref().is_some_and(|incoming| incoming.unwanted.is_some());
            if unwanted {
                // The store has given the file up before the server did.
                self.take_header();
                return self.job_over();
            }
            self.session.stage = Stage::Telling { last: !matches!(self.session.stage, Stage::Work) };
            return;
        }
        match (&self.session.stage, reply) {
            (Stage::Hello, Reply::Hello(hello)) if (1..=VERSION).contains(&hello.version) => {
                self.session.stage = Stage::Telling { last: false }
            }
            (Stage::Admission, Reply::Done) => {
                self.take_header();
                self.session.stage = Stage::Work;
            }
            (Stage::Challenge, Reply::SignIn { .. }) => self.prove(),
            (Stage::Signature, Reply::SignIn { message }) => {
                let proven = exchange.is_some_and(|mut exchange| exchange.confirm(message).is_ok());
                self.take_header();
                self.session.stage = if proven { Stage::Work } else { Stage::Over(Err(ProtocolError::Unproven)) };
            }
            (Stage::Leaving, Reply::Done) => {
                self.take_header();
                self.session.stage = Stage::Closing(Outcome::Complete(self.session.totals));
            }
            (Stage::Work, Reply::Working) => {
                self.take_header();
                self.session.link.progress();
            }
            (Stage::Work, Reply::Data(data)) => self.data(data),
            (Stage::Work, Reply::File(file)) => match &mut self.session.incoming {
                _ if block_len(file.block).is_none() || !is_within(file) => self.violation(),
                None => self.session.stage = Stage::Telling { last: false },
                Some(incoming) if incoming.repairing => {
                    incoming.repairing = false;
                    let head = incoming.head;
                    // Somebody wrote to the file: what is here and what comes do not belong together (R-VT-53).
                    let changed = (file.stamp, file.size, file.block) != (head.stamp, head.size, head.block);
                    if changed {
                        // What is passed over is in the blocks of the new one.
                        *incoming = Incoming::new(file);
                    }
                    self.take_header();
                    if changed {
                        self.session.stage = Stage::Failing(ErrorCode::DigestMismatch, CHANGED);
                        self.unwanted(file.length);
                    }
                }
                _ => self.violation(),
            },
            (Stage::Work, Reply::Repair { at, len }) => match &mut self.session.outgoing {
                Some(outgoing) if outgoing.may_repair(at, len) => {
                    outgoing.repairs = outgoing.repairs.saturating_add(1);
                    let most = self.session.limits.blocks;
                    let sending = Sending::new(Direction::Up, at, u64::from(len), outgoing.block, most);
                    self.take_header();
                    self.session.stage = Stage::Sending { sending, inline: false };
                }
                _ => self.violation(),
            },
            (Stage::Work, Reply::Ready { block, offset }) => match &mut self.session.outgoing {
                Some(outgoing) if !outgoing.ready && offset <= outgoing.size && block_len(block).is_some() => {
                    outgoing.ready = true;
                    outgoing.block = block_len(block).unwrap_or(outgoing.block);
                    self.session.stage = Stage::Telling { last: false };
                }
                _ => self.violation(),
            },
            (Stage::Work, Reply::Stored { digest }) => {
                let large = self.session.jobs.front().is_some_and(|job| job.kind == Kind::LargePut);
                let outgoing = self.session.outgoing.as_ref().filter(|_| large);
                if outgoing.is_some_and(|outgoing| !outgoing.ready) {
                    self.violation();
                } else if outgoing.is_some_and(|outgoing| outgoing.told != digest) {
                    self.take_header();
                    self.session.stage = Stage::Failing(ErrorCode::DigestMismatch, "the server stored something else");
                } else {
                    self.session.totals.add_file();
                    self.session.stage = Stage::Telling { last: false };
                }
            }
            (Stage::Work, _) => self.session.stage = Stage::Telling { last: false },
            _ => self.violation(),
        }
    }

    /// Answers the server's challenge.
    pub(super) fn prove(&mut self) {
        let Credentials::Account { password, .. } = self.session.credentials else { return self.violation() };
        let Some(mut exchange) = self.session.exchange.take() else { return self.abort() };
        let mut room = [0; scram::MESSAGE_MAX];
        let message = match self.reply() {
            Ok(Reply::SignIn { message }) => exchange.challenge(message, password, &mut room).ok(),
            _ => None,
        };
        self.take_header();
        self.session.exchange = Some(exchange);
        match message {
            Some(message) => {
                self.session.stage = Stage::Signature;
                self.say(&Request::Proof { message });
            }
            None => self.session.stage = Stage::Over(Err(ProtocolError::Unproven)),
        }
    }

    /// A run of blocks is at the front of the input.
    pub(super) fn data(&mut self, data: Data) {
        let Some(incoming) = &mut self.session.incoming else { return self.violation() };
        let body = body_len(data.len, incoming.file.block());
        if let Some(left) = &mut incoming.unwanted {
            *left = left.saturating_sub(u64::from(data.len));
            self.take_header();
            self.session.stage = Stage::Skipping(body);
        } else if let Some(segment) = incoming.file.run(data).filter(|_| !incoming.repairing) {
            self.take_header();
            self.session.stage = Stage::Receiving(segment);
        } else {
            self.violation();
        }
    }

    /// The store does not want the rest of the file that is received, nor what is put aside of it.
    pub(super) fn refuse_rest(&mut self) {
        let ClientSession { stage, incoming, asides, .. } = &mut *self.session;
        let (run, left) = match &*stage {
            Stage::Receiving(segment) => (Some(segment), segment.left()),
            _ => (None, 0),
        };
        let behind = incoming.as_ref().map_or(0, |incoming| incoming.file.left(run));
        *stage = Stage::Skipping(left);
        asides.clear(self.buffers.input);
        self.unwanted(behind);
    }

    /// `left` octets of the file that is received are not wanted.
    pub(super) fn unwanted(&mut self, left: u64) {
        if let Some(incoming) = &mut self.session.incoming {
            incoming.unwanted = Some(left);
        }
        // Who throws a lot away had better hang up.
        if left > UNWANTED_MOST {
            self.session.stage = Stage::Over(Ok(Outcome::Refused));
        }
    }

    /// A run has come to its end: perhaps the file has, too.
    pub(super) fn run_over(&mut self) {
        let alone = self.session.jobs.len() == 1;
        let Some(incoming) = &mut self.session.incoming else { return };
        match incoming.unwanted {
            _ if !self.session.asides.is_empty() => {}
            Some(0) => self.job_over(),
            Some(_) => {}
            None if !incoming.file.all_came() => {}
            None if incoming.file.is_sound() => self.session.stage = Stage::Completing,
            // A further request would be answered behind the others.
            None => match incoming.file.repair().filter(|_| alone) {
                Some((at, len)) => self.session.stage = Stage::Damaged { at, len },
                None => {
                    self.session.incoming = None;
                    self.session.stage = Stage::Failing(ErrorCode::DigestMismatch, DAMAGED);
                }
            },
        }
    }

    /// The oldest job has its answer, and with it the file that it was about.
    pub(super) fn job_over(&mut self) {
        self.session.incoming = None;
        if let Some(job) = self.session.jobs.pop_front() {
            self.session.under_way = self.session.under_way.saturating_sub(job.octets());
            if job.kind == Kind::LargePut {
                self.session.outgoing = None;
            }
        }
        if self.session.jobless == Jobless::Now {
            self.session.jobless = Jobless::No;
        }
    }

    /// The store has heard the answer at the front of the input.
    pub(super) fn told(&mut self, answer: &Reply<'_>, last: bool) {
        let Ok(reply) = self.reply() else { return self.violation() };
        let willing = !matches!(answer, Reply::Error { .. });
        let stage = match reply {
            _ if last => Stage::Closing(Outcome::Refused),
            Reply::Hello(hello) => {
                self.session.limits =
                    Limits { max_header: hello.max_header, window: hello.window, blocks: most_blocks(hello.features) };
                match self.session.credentials {
                    Credentials::Guest => Stage::Admission,
                    Credentials::Account { .. } => Stage::Challenge,
                }
            }
            Reply::File(head) => {
                self.session.incoming = Some(Incoming::new(head));
                self.take_header();
                self.session.stage = Stage::Work;
                if !willing {
                    self.unwanted(head.length);
                }
                return self.run_over();
            }
            Reply::Ready { offset, .. } => {
                let Some(outgoing) = &self.session.outgoing else { return self.abort() };
                let left = if willing { outgoing.size.saturating_sub(offset) } else { 0 };
                let most = self.session.limits.blocks;
                let sending = Sending::new(Direction::Up, offset, left, outgoing.block, most);
                Stage::Sending { sending, inline: false }
            }
            Reply::Entry(_) => Stage::Work,
            _ => {
                self.job_over();
                Stage::Work
            }
        };
        self.take_header();
        self.session.stage = stage;
    }
}

impl Outgoing {
    /// Whether a server may ask for this range again: a block of the file, and not too often (R-VT-64).
    fn may_repair(&self, at: u64, len: u32) -> bool {
        let len = u64::from(len);
        let block = u64::from(self.block);
        let is_block = len > 0 && len <= block && at.checked_rem(block) == Some(0);
        self.ready && self.repairs < REPAIRS && is_block && at.saturating_add(len) <= self.size
    }
}

/// Whether the range that is sent is one of the file.
fn is_within(file: File) -> bool {
    file.offset.checked_add(file.length).is_some_and(|end| end <= file.size)
}
