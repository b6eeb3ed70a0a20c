//! A server as its driver sees it.

use super::{DRAIN_MOST, Server, ServerSession, Stage, Upload};
use crate::digest::{Digest, Hasher};
use crate::stream::transfer::link::Out;
use crate::stream::transfer::scram::ServerExchange;
use crate::stream::transfer::segment::Progress;
use crate::stream::transfer::{Answer, Ask, Input, WORKING, WORKING_TIME, sending};
use crate::stream::{Machine, Opened, Outcome, ProtocolError, Target, Want};
use crate::time::Instant;
use crate::wire::transfer::{ErrorCode, Reply, Request, decode};

impl<H: Hasher, I: Input + ?Sized> Machine for Server<'_, '_, H, I> {
    fn want(&mut self) -> Want<'_> {
        let ServerSession { link, stage, upload, asides, exchange, settings, .. } = &mut *self.session;
        let buffers = &mut self.buffers;
        match (&*stage, link.out) {
            (Stage::Over(result), _) => return Want::Done(*result),
            (_, Out::Settling) => return Want::Open(Target::Ask(Ask::Settle)),
            (_, Out::Telling(told)) => return Want::Write(WORKING.get(told..).unwrap_or_default()),
            (_, Out::Writing) => return Want::Write(link.outlet.unwritten(buffers.output)),
            (_, Out::Filling) => {}
        }
        if let Some(ask) = asides.ask() {
            return Want::Open(Target::Ask(ask));
        }
        let ask = match stage {
            Stage::Asking | Stage::Postponed(_) => {
                let head = link.intake.head(buffers.input.octets(), usize::from(settings.max_header)).ok().flatten();
                let header = head.map(|head| link.intake.header(buffers.input.octets(), head)).unwrap_or_default();
                match decode(header) {
                    Ok(Request::Guest) => Ask::Guest,
                    Ok(request) => Ask::Request(request),
                    Err(error) => return Want::Done(Err(ProtocolError::Malformed(error))),
                }
            }
            Stage::Account => Ask::Account { user: exchange.as_ref().map_or("", ServerExchange::user) },
            Stage::SignedIn { proven, .. } => {
                Ask::SignedIn { user: exchange.as_ref().map_or("", ServerExchange::user), proven: *proven }
            }
            Stage::Listing | Stage::Working(_) => Ask::Next,
            Stage::Sending(sending) => return sending.want(&link.outlet, buffers.output),
            Stage::Receiving(segment) => return segment.want(&link.intake, buffers.input.octets_mut()),
            Stage::Completing => {
                let digest = match upload {
                    Some(Upload::Open { file, .. }) => file.digest(),
                    _ => Digest::default(),
                };
                Ask::Complete { digest }
            }
            Stage::Head | Stage::Skipping(_) => return Want::Read(link.intake.room(buffers.input.octets_mut())),
            Stage::Closing => return Want::Shutdown,
            Stage::Draining(_) => return Want::Drain(buffers.input.octets_mut()),
            Stage::Over(result) => return Want::Done(*result),
        };
        Want::Open(Target::Ask(ask))
    }

    fn done(&mut self, now: Instant, n: u64) {
        let ServerSession { link, stage, upload, asides, totals, .. } = &mut *self.session;
        match (link.out, &mut *stage) {
            (_, Stage::Over(_)) | (Out::Settling, _) => return,
            (Out::Writing, _) => link.wrote(now, n),
            (Out::Telling(told), _) => {
                let told = told.saturating_add(usize::try_from(n).unwrap_or(usize::MAX));
                link.at(now);
                link.out = if told < WORKING.len() { Out::Telling(told) } else { Out::Settling };
                return;
            }
            (_, _) if asides.reports() => return,
            (_, Stage::Head | Stage::Skipping(_)) if n == 0 => self.end_of_stream(now),
            (_, Stage::Head | Stage::Skipping(_)) => link.read(now, n),
            (_, Stage::Sending(sending)) => {
                if !matches!(sending.need(), sending::Need::Load { .. }) {
                    return;
                }
                link.store_took_until(now);
                match sending.loaded(&mut link.outlet, self.buffers.output, n) {
                    None => self.shrunk(ErrorCode::DigestMismatch, "the file became shorter while it was sent"),
                    Some(count) => totals.add_octets(count),
                }
            }
            (_, Stage::Receiving(segment)) => {
                let file = match upload {
                    Some(Upload::Open { file, .. }) => Some(file),
                    _ => None,
                };
                match segment.done(link, self.buffers.input.octets(), file, totals, now, n) {
                    Progress::Made => {}
                    Progress::Ended => self.end_of_stream(now),
                    Progress::None => return,
                }
            }
            (_, Stage::Closing) => {
                link.at(now);
                link.progress();
                *stage = Stage::Draining(DRAIN_MOST);
            }
            (_, Stage::Draining(left)) => {
                *left = left.saturating_sub(n);
                if n == 0 || *left == 0 {
                    *stage = Stage::Over(Ok(Outcome::Complete(*totals)));
                }
            }
            _ => return,
        }
        self.advance();
    }

    fn opened(&mut self, now: Instant, answer: Opened<'_>) {
        if !self.session.asks() {
            return;
        }
        self.session.link.store_took_until(now);
        let Opened::Answer(answer) = answer else {
            self.session.stage = Stage::Over(Ok(Outcome::Refused));
            return;
        };
        let reply = match answer {
            Answer::Reply(reply) => reply,
            Answer::Account(_) if matches!(self.session.stage, Stage::Account) => Reply::Done,
            _ => return self.abort(),
        };
        let in_a_file = self.session.upload.is_some();
        match (self.session.link.out, &mut self.session.stage) {
            (Out::Settling, _) if matches!(reply, Reply::Working) => return self.working(now),
            (Out::Settling, _) => {
                self.session.unsettled = false;
                match reply {
                    // Some of what was to be said is not true: it must not leave.
                    Reply::Error { .. } => self.session.stage = Stage::Over(Ok(Outcome::Refused)),
                    _ => self.write(),
                }
            }
            _ if self.session.asides.reports() => match reply {
                Reply::Error { code, text } => self.refuse_rest(code, text),
                _ => self.session.asides.reported(),
            },
            (_, Stage::Postponed(told)) if matches!(reply, Reply::Working) => {
                if now < *told + WORKING_TIME {
                    return;
                }
                *told = now;
                self.say(&reply);
                self.flush();
            }
            (_, Stage::Asking | Stage::Postponed(_)) => self.answered(now, &reply),
            (_, Stage::Account) => self.account(answer),
            (_, &mut Stage::SignedIn { proven, head }) => self.signed_in(proven, head, &reply),
            (_, Stage::Listing) => {
                if !matches!(reply, Reply::Entry(_)) {
                    self.session.stage = Stage::Head;
                }
                self.say(&reply);
            }
            (_, Stage::Working(told)) => match reply {
                Reply::Working if now < *told + WORKING_TIME => return,
                Reply::Working => {
                    *told = now;
                    self.say(&reply);
                    self.flush();
                }
                _ => {
                    self.session.stage = Stage::Head;
                    self.say(&reply);
                }
            },
            (_, Stage::Sending(_)) => self.checked(&reply),
            (_, Stage::Receiving(segment)) => match reply {
                Reply::Error { code, text } => self.refuse_rest(code, text),
                _ => segment.reported(),
            },
            (_, Stage::Completing) => {
                let stored = match self.session.upload.take() {
                    Some(Upload::Open { file, .. }) => Reply::Stored { digest: file.digest() },
                    _ => return self.abort(),
                };
                self.session.stage = Stage::Head;
                if matches!(reply, Reply::Error { .. }) {
                    self.say(&reply);
                } else {
                    self.session.totals.add_file();
                    self.session.unsettled = true;
                    self.say(&stored);
                }
            }
            _ => return,
        }
        // Within a file only its octets are progress.
        if !in_a_file {
            self.session.link.progress();
        }
        self.advance();
    }

    fn deadline(&self) -> Option<Instant> {
        self.session.deadline()
    }

    fn broken(&mut self, now: Instant) {
        self.salvage(now);
    }

    fn expire(&mut self, now: Instant) {
        let is_early = |machine: &Self| machine.deadline().is_none_or(|deadline| now < deadline);
        // Blocks that have waited for others for long enough are all that may be due.
        if is_early(self) || self.salvage(now) || is_early(self) {
            return;
        }
        let ServerSession { link, stage, totals, .. } = &mut *self.session;
        match (link.out, &*stage) {
            // The octets are out; only the peer's farewell is missing.
            (Out::Filling, Stage::Draining(_)) => *stage = Stage::Over(Ok(Outcome::Complete(*totals))),
            (Out::Filling, Stage::Head | Stage::Skipping(_) | Stage::Receiving(_)) if link.outlet.is_empty() => {
                link.at(now);
                self.close_with(ErrorCode::Timeout, "nothing came for too long");
                self.advance();
            }
            _ => *stage = Stage::Over(Err(ProtocolError::TimedOut)),
        }
    }
}

impl<H: Hasher, I: Input + ?Sized> Server<'_, '_, H, I> {
    /// Turns to the blocks that came whole although their run will not, if there are any (R-VT-35).
    fn salvage(&mut self, now: Instant) -> bool {
        let ServerSession { link, stage, asides, .. } = &mut *self.session;
        let mut hurried = link.out == Out::Filling && asides.hurry();
        if let Stage::Receiving(segment) = stage {
            hurried |= segment.hurry(now, link, self.buffers.input.octets());
        }
        if hurried {
            self.advance();
        }
        hurried
    }

    /// The peer will send nothing more.
    fn end_of_stream(&mut self, now: Instant) {
        if self.salvage(now) {
            return;
        }
        let ServerSession { link, stage, upload, totals, .. } = &mut *self.session;
        let between = matches!(stage, Stage::Head) && link.intake.len() == 0 && upload.is_none();
        *stage = Stage::Over(if between {
            Ok(Outcome::Complete(*totals))
        } else {
            Err(ProtocolError::Truncated { missing: 1 })
        });
    }
}
