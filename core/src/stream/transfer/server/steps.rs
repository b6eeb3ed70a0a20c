//! What a server does by itself, until somebody else is needed.

use core::mem;

use super::requests::inline_body;
use super::{Server, ServerSession, Stage, Upload, Who};
use crate::digest::Hasher;
use crate::stream::transfer::intake::Body;
use crate::stream::transfer::link::Out;
use crate::stream::transfer::{ERROR_FRAME, Input, TEXT_MOST, WORKING_TIME, clipped, segment, sending};
use crate::stream::{Abort, Outcome};
use crate::time::Instant;
use crate::wire::ParseError;
use crate::wire::transfer::{ErrorCode, LENGTH, Reply, Request, decode};

impl<H: Hasher, I: Input + ?Sized> Server<'_, '_, H, I> {
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
        let ServerSession { link, stage, upload, asides, totals, .. } = &mut *self.session;
        match stage {
            Stage::Head => self.head(),
            Stage::Skipping(left) => {
                let taken = link.intake.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                link.intake.take(taken);
                *left = left.saturating_sub(u64::try_from(taken).unwrap_or(u64::MAX));
                if *left > 0 {
                    return self.write_or_read(1);
                }
                *stage = Stage::Head;
                true
            }
            Stage::Asking
            | Stage::Postponed(_)
            | Stage::Account
            | Stage::SignedIn { .. }
            | Stage::Listing
            | Stage::Completing => !link.outlet.has_reply_room(self.buffers.output) && self.flush(),
            Stage::Sending(sending) => match sending.advance(&mut link.outlet, self.buffers.output) {
                sending::Need::Flush => self.flush(),
                sending::Need::Load { .. } => false,
                sending::Need::Ask if sending.is_last() => false,
                sending::Need::Ask => {
                    sending.seal(&mut link.outlet, self.buffers.output, None);
                    true
                }
                sending::Need::Nothing => {
                    totals.add_file();
                    *stage = Stage::Head;
                    true
                }
            },
            Stage::Receiving(segment) => {
                let Some(Upload::Open { file, inline }) = upload else {
                    *stage = Stage::Over(Ok(Outcome::Aborted(Abort::Answer)));
                    return true;
                };
                let (block, inline) = (file.block(), *inline);
                let ahead = |header: &[u8]| ahead(header, block);
                segment.advance(&mut link.intake, self.buffers.input, &mut self.hasher, file, ahead, asides);
                match segment.need(&link.intake, self.buffers.input.octets()) {
                    segment::Need::Octets(needed) => self.write_or_read(needed),
                    segment::Need::Judgement => true,
                    segment::Need::Save { .. } => false,
                    segment::Need::Report => !link.outlet.has_reply_room(self.buffers.output) && self.flush(),
                    segment::Need::Aside => {
                        if let Stage::Receiving(segment) = mem::replace(stage, Stage::Head) {
                            asides.push(segment, link.now());
                        }
                        true
                    }
                    segment::Need::Nothing => {
                        *stage = Stage::Head;
                        if inline {
                            self.finish(None);
                        }
                        true
                    }
                }
            }
            Stage::Closing => !link.outlet.is_empty() && self.flush(),
            Stage::Working(_) | Stage::Draining(_) | Stage::Over(_) => false,
        }
    }

    /// Judges what was put aside, as far as it can or must be: before anything else is. `None` if it leaves the rest to
    /// others; else as for [`Self::step`].
    fn judge_asides(&mut self) -> Option<bool> {
        let ServerSession { link, stage, upload, asides, settings, .. } = &mut *self.session;
        let input = &mut *self.buffers.input;
        let Some(Upload::Open { file, .. }) = upload else {
            asides.clear(input);
            return None;
        };
        let due = match stage {
            Stage::Receiving(segment) => segment.was_held(),
            Stage::Head => {
                let due = |header: &[u8]| matches!(decode(header), Ok(Request::Data(data)) if file.is_due(data));
                file.all_came() || link.intake.surprises(input.octets(), settings.max_header, due)
            }
            _ => true,
        };
        asides.advance(input, file, due);
        if !asides.reports() {
            return None;
        }
        Some(!link.outlet.has_reply_room(self.buffers.output) && self.flush())
    }

    /// Looks for the next header.
    pub(super) fn head(&mut self) -> bool {
        let most = usize::from(self.session.settings.max_header);
        match self.session.link.intake.head(self.buffers.input.octets(), most) {
            Ok(Some(_)) if !self.session.link.outlet.has_reply_room(self.buffers.output) => self.flush(),
            Ok(Some(_)) => {
                self.dispatch();
                true
            }
            Ok(None) => self.write_or_read(most.saturating_add(LENGTH)),
            Err(_) => {
                self.close_with(ErrorCode::TooLarge, "a header is empty or too long");
                true
            }
        }
    }

    /// Nothing can be done without more octets: first everything is said that there is to say.
    pub(super) fn write_or_read(&mut self, needed: usize) -> bool {
        if !self.session.link.outlet.is_empty() {
            return self.flush();
        }
        self.session.link.intake.prepare(self.buffers.input.octets_mut(), needed);
        false
    }

    /// Turns to writing the output, but first to keeping what it says.
    pub(super) fn flush(&mut self) -> bool {
        if self.session.unsettled {
            self.session.link.out = Out::Settling;
        } else {
            self.write();
        }
        true
    }

    /// Turns to writing the output: what it says is true.
    pub(super) fn write(&mut self) {
        let ServerSession { link, stage, who, begins_within, told, .. } = &mut *self.session;
        link.write(self.buffers.output, &mut self.hasher, None);
        let within_a_run = matches!(stage, Stage::Sending(sending) if sending.is_within_a_run());
        *begins_within = within_a_run || *who != Who::Known;
        *told = None;
    }

    /// To settle takes time. The peer is told so if that is due, and if it can be told there.
    pub(super) fn working(&mut self, now: Instant) {
        let told = self.session.told.get_or_insert(now);
        if now >= *told + WORKING_TIME && !self.session.begins_within {
            *told = now;
            self.session.link.out = Out::Telling(0);
            self.session.link.progress();
        }
    }

    /// Appends an answer. There is room.
    pub(super) fn say(&mut self, reply: &Reply<'_>) {
        let written = match *reply {
            Reply::Error { code, text } => {
                // There is room for any answer, or for a short one in the place of a run that was taken back.
                let room = self.session.link.outlet.room(self.buffers.output);
                let text = clipped(text, TEXT_MOST.min(room.saturating_sub(ERROR_FRAME)));
                let reply = Reply::Error { code, text };
                self.session.link.outlet.header(self.buffers.output, &reply)
            }
            _ => self.session.link.outlet.header(self.buffers.output, reply),
        };
        if written.is_err() {
            self.session.stage = Stage::Over(Ok(Outcome::Aborted(Abort::Answer)));
        }
    }

    /// Says why it cannot go on, and ends the connection.
    pub(super) fn close_with(&mut self, code: ErrorCode, text: &str) {
        self.session.stage = Stage::Closing;
        self.say(&Reply::Error { code, text });
    }

    /// The octets of the header at the front of the input, with and without its length.
    pub(super) fn header(&self) -> (usize, &[u8]) {
        let ServerSession { link, settings, .. } = &*self.session;
        match link.intake.head(self.buffers.input.octets(), usize::from(settings.max_header)) {
            Ok(Some(head)) => (head.total(), link.intake.header(self.buffers.input.octets(), head)),
            _ => (0, &[]),
        }
    }

    pub(super) fn request(&self) -> Result<Request<'_>, ParseError> {
        decode(self.header().1)
    }

    /// The header at the front is understood.
    pub(super) fn take_header(&mut self) {
        let (len, _) = self.header();
        self.session.link.intake.take(len);
    }
}

/// What messages have for a body, for those who look ahead.
pub(super) fn ahead(header: &[u8], block: u32) -> Body {
    let data = match decode(header) {
        Ok(Request::Put(put)) if put.inline => inline_body(&put).map(|(len, _)| len),
        Ok(Request::Data(data)) => Some(data.len).filter(|&len| len <= block),
        _ => None,
    };
    match data.and_then(|len| usize::try_from(len).ok()) {
        Some(len) if len > 0 => Body::Block(len),
        _ => Body::Other,
    }
}
