//! What a client does by itself, until somebody else is needed.

use core::mem;

use super::{Client, ClientSession, Credentials, Incoming, Jobless, LARGEST, Outgoing, Stage};
use crate::digest::Hasher;
use crate::stream::transfer::intake::Body;
use crate::stream::transfer::link::Out;
use crate::stream::transfer::{FEATURES, Input, Settings, scram, segment, sending};
use crate::stream::{Abort, Outcome, ProtocolError};
use crate::wire::transfer::{ErrorCode, Hello, LENGTH, Reply, Request, VERSION, block_len, decode};
use crate::wire::{Field, ParseError};

impl<H: Hasher, I: Input + ?Sized> Client<'_, '_, '_, H, I> {
    /// Does everything that needs nobody else.
    pub(super) fn advance(&mut self) {
        while self.session.link.out == Out::Filling && self.step() {}
    }

    /// One step of it; `false` if somebody else is needed.
    pub(super) fn step(&mut self) -> bool {
        if !self.session.asides.is_empty()
            && let Some(more) = self.judge_asides()
        {
            return more;
        }
        let ClientSession { link, stage, incoming, asides, outgoing, .. } = &mut *self.session;
        match stage {
            Stage::Greeting => self.greet(),
            Stage::Hello | Stage::Challenge | Stage::Signature | Stage::Admission | Stage::Leaving => {
                self.await_reply()
            }
            Stage::Work => self.work(),
            Stage::Sending { sending, inline } => match sending.advance(&mut link.outlet, self.buffers.output) {
                sending::Need::Flush => self.flush(),
                sending::Need::Load { .. } => false,
                // The octets of a file that travels with its announcement are the last, too.
                sending::Need::Ask if sending.is_last() => false,
                sending::Need::Ask => {
                    let file = outgoing.as_mut().and_then(Outgoing::counted);
                    sending.seal(&mut link.outlet, self.buffers.output, file);
                    true
                }
                sending::Need::Nothing => {
                    let inline = *inline;
                    *stage = Stage::Work;
                    if !inline {
                        self.finish();
                    }
                    true
                }
            },
            Stage::Receiving(segment) => {
                let Some(Incoming { file, .. }) = incoming else {
                    self.abort();
                    return true;
                };
                let mut block = file.block();
                let ahead = |header: &[u8]| ahead(header, &mut block);
                segment.advance(&mut link.intake, self.buffers.input, &mut self.hasher, file, ahead, asides);
                match segment.need(&link.intake, self.buffers.input.octets()) {
                    segment::Need::Octets(needed) => self.write_or_read(needed),
                    segment::Need::Judgement => true,
                    segment::Need::Save { .. } | segment::Need::Report => false,
                    segment::Need::Aside => {
                        if let Stage::Receiving(segment) = mem::replace(stage, Stage::Work) {
                            asides.push(segment, link.now());
                        }
                        true
                    }
                    segment::Need::Nothing => {
                        *stage = Stage::Work;
                        self.run_over();
                        true
                    }
                }
            }
            Stage::Skipping(left) => {
                let taken = link.intake.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                link.intake.take(taken);
                *left = left.saturating_sub(u64::try_from(taken).unwrap_or(u64::MAX));
                if *left > 0 {
                    return self.write_or_read(1);
                }
                *stage = Stage::Work;
                self.run_over();
                true
            }
            Stage::Finishing(digest) => {
                if !link.outlet.has_reply_room(self.buffers.output) {
                    return self.flush();
                }
                let digest = *digest;
                self.session.stage = Stage::Work;
                self.say(&Request::Finish { digest });
                true
            }
            Stage::Closing(_) => !link.outlet.is_empty() && self.flush(),
            Stage::Asking
            | Stage::Telling { .. }
            | Stage::Failing(..)
            | Stage::Unsent(..)
            | Stage::Damaged { .. }
            | Stage::Completing
            | Stage::Draining { .. }
            | Stage::Over(_) => false,
        }
    }

    /// Judges what was put aside, as far as it can or must be: before anything else is. `None` if it leaves the rest to
    /// others; else as for [`Self::step`].
    fn judge_asides(&mut self) -> Option<bool> {
        let ClientSession { link, stage, incoming, asides, settings, .. } = &mut *self.session;
        let input = &mut *self.buffers.input;
        let Some(Incoming { file, .. }) = incoming else {
            asides.clear(input);
            return None;
        };
        let due = match stage {
            Stage::Receiving(segment) => segment.was_held(),
            Stage::Work => {
                let due = |header: &[u8]| matches!(decode(header), Ok(Reply::Data(data)) if file.is_due(data));
                file.all_came() || link.intake.surprises(input.octets(), settings.max_header, due)
            }
            _ => true,
        };
        asides.advance(input, file, due);
        if asides.reports() {
            return Some(false);
        }
        if asides.is_empty() && matches!(stage, Stage::Work) {
            self.run_over();
            return Some(true);
        }
        None
    }

    /// The first words: what we speak, and who we are.
    pub(super) fn greet(&mut self) -> bool {
        let Settings { max_header, window, max_block, software } = self.session.settings;
        self.say(&Request::Hello(Hello {
            version: VERSION,
            features: FEATURES,
            max_header,
            window,
            max_block,
            software,
        }));
        match self.session.credentials {
            Credentials::Guest => self.say(&Request::Guest),
            Credentials::Account { .. } => {
                let mut room = [0; scram::MESSAGE_MAX];
                let exchange = self.session.exchange.as_ref();
                match exchange.and_then(|exchange| exchange.first(&mut room).ok()) {
                    Some(message) => self.say(&Request::SignIn { message }),
                    None => {
                        self.session.stage =
                            Stage::Failing(ErrorCode::SignInFailed, "there cannot be such a user name");
                        return true;
                    }
                }
            }
        }
        self.session.stage = Stage::Hello;
        self.flush()
    }

    /// Reads the next header, and acts on it.
    pub(super) fn await_reply(&mut self) -> bool {
        let most = usize::from(self.session.settings.max_header);
        match self.session.link.intake.head(self.buffers.input.octets(), most) {
            Ok(Some(_)) => {
                self.replied();
                true
            }
            Ok(None) => self.write_or_read(most.saturating_add(LENGTH)),
            Err(error) => {
                self.session.stage = Stage::Over(Err(error));
                true
            }
        }
    }

    /// Between two messages: first what has come, then what may go.
    pub(super) fn work(&mut self) -> bool {
        let most = usize::from(self.session.settings.max_header);
        match self.session.link.intake.head(self.buffers.input.octets(), most) {
            Ok(None) if self.session.incoming.is_none() && self.may_ask() => {
                // Room for the largest job, as far as the buffer goes: the job cannot be put back.
                let outlet = &self.session.link.outlet;
                let roomy = outlet.room(self.buffers.output) >= LARGEST && outlet.has_block_room(1);
                if !roomy && !outlet.is_empty() {
                    return self.flush();
                }
                self.session.stage = Stage::Asking;
                false
            }
            Ok(None) if self.session.jobs.is_empty() && self.session.link.outlet.is_empty() => {
                if self.session.jobless == Jobless::ForEver {
                    self.say(&Request::Bye);
                    self.session.stage = Stage::Leaving;
                } else {
                    // The store waits for an answer to nothing.
                    self.abort();
                }
                true
            }
            _ => self.await_reply(),
        }
    }

    /// Whether another job may be begun.
    pub(super) fn may_ask(&self) -> bool {
        let ClientSession { jobs, under_way, jobless, limits, outgoing, .. } = &*self.session;
        // What does not fit the buffer is no job.
        let largest = u32::try_from(LARGEST.min(self.buffers.output.len())).unwrap_or(u32::MAX);
        let fits = jobs.is_empty() || under_way.saturating_add(largest) <= limits.window;
        *jobless == Jobless::No && outgoing.is_none() && !jobs.is_full() && fits
    }

    /// Nothing can be done without more octets: first everything is said that there is to say.
    pub(super) fn write_or_read(&mut self, needed: usize) -> bool {
        if !self.session.link.outlet.is_empty() {
            return self.flush();
        }
        self.session.link.intake.prepare(self.buffers.input.octets_mut(), needed);
        false
    }

    /// Turns to writing the output.
    pub(super) fn flush(&mut self) -> bool {
        let ClientSession { link, outgoing, .. } = &mut *self.session;
        let file = outgoing.as_mut().filter(|file| file.ready).and_then(Outgoing::counted);
        link.write(self.buffers.output, &mut self.hasher, file);
        true
    }

    /// Appends a header that fits.
    pub(super) fn say(&mut self, request: &Request<'_>) {
        if self.session.link.outlet.header(self.buffers.output, request).is_err() {
            self.abort();
        }
    }

    pub(super) fn abort(&mut self) {
        self.session.stage = Stage::Over(Ok(Outcome::Aborted(Abort::Answer)));
    }

    pub(super) fn violation(&mut self) {
        let error = ParseError::malformed(Field::Header);
        self.session.stage = Stage::Over(Err(ProtocolError::Malformed(error)));
    }

    pub(super) fn reply(&self) -> Result<Reply<'_>, ParseError> {
        let ClientSession { link, settings, .. } = &*self.session;
        match link.intake.head(self.buffers.input.octets(), usize::from(settings.max_header)) {
            Ok(Some(head)) => decode(link.intake.header(self.buffers.input.octets(), head)),
            _ => Err(ParseError::missing(Field::Header)),
        }
    }

    pub(super) fn take_header(&mut self) {
        let ClientSession { link, settings, .. } = &mut *self.session;
        if let Ok(Some(head)) = link.intake.head(self.buffers.input.octets(), usize::from(settings.max_header)) {
            link.intake.take(head.total());
        }
    }
}

/// What messages have for a body, for those who look ahead. `block` is that of the file that comes.
pub(super) fn ahead(header: &[u8], block: &mut u32) -> Body {
    match decode(header) {
        Ok(Reply::File(file)) => match block_len(file.block) {
            Some(len) => {
                *block = len;
                Body::Empty
            }
            None => Body::Other,
        },
        Ok(Reply::Data(data)) if data.len > 0 && data.len <= *block => {
            usize::try_from(data.len).map_or(Body::Other, Body::Block)
        }
        _ => Body::Other,
    }
}
