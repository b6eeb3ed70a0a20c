//! A client as its driver sees it.

use super::{Client, ClientSession, DAMAGED, DRAIN_MOST, Jobless, Kind, Outgoing, Stage};
use crate::digest::Hasher;
use crate::stream::transfer::link::Out;
use crate::stream::transfer::segment::Progress;
use crate::stream::transfer::{Answer, Ask, Input, sending};
use crate::stream::{Machine, Opened, Outcome, ProtocolError, Target, Want};
use crate::time::Instant;
use crate::wire::transfer::{ErrorCode, Reply, Request, decode};

impl<H: Hasher, I: Input + ?Sized> Machine for Client<'_, '_, '_, H, I> {
    fn want(&mut self) -> Want<'_> {
        let ClientSession { link, stage, incoming, asides, settings, .. } = &mut *self.session;
        let buffers = &mut self.buffers;
        match (&*stage, link.out) {
            (Stage::Over(result), _) => return Want::Done(*result),
            (_, Out::Writing) => return Want::Write(link.outlet.unwritten(buffers.output)),
            (_, Out::Filling | Out::Settling | Out::Telling(_)) => {}
        }
        if let Some(ask) = asides.ask() {
            return Want::Open(Target::Ask(ask));
        }
        let ask = match stage {
            Stage::Asking => Ask::Job,
            Stage::Telling { .. } => {
                let head = link.intake.head(buffers.input.octets(), usize::from(settings.max_header)).ok().flatten();
                let header = head.map(|head| link.intake.header(buffers.input.octets(), head)).unwrap_or_default();
                match decode(header) {
                    Ok(reply) => Ask::Reply(reply),
                    Err(error) => return Want::Done(Err(ProtocolError::Malformed(error))),
                }
            }
            Stage::Failing(code, text) => Ask::Reply(Reply::Error { code: *code, text }),
            Stage::Unsent(code, text) => Ask::Unsent { code: *code, text },
            Stage::Sending { sending, .. } => return sending.want(&link.outlet, buffers.output),
            Stage::Receiving(segment) => return segment.want(&link.intake, buffers.input.octets_mut()),
            Stage::Damaged { at, len } => Ask::Damaged { at: *at, len: *len },
            Stage::Completing => {
                let digest = incoming.as_ref().map(|incoming| incoming.file.digest());
                Ask::Complete { digest: digest.unwrap_or_default() }
            }
            Stage::Closing(_) => return Want::Shutdown,
            Stage::Draining { .. } => return Want::Drain(buffers.input.octets_mut()),
            Stage::Over(result) => return Want::Done(*result),
            _ => return Want::Read(link.intake.room(buffers.input.octets_mut())),
        };
        Want::Open(Target::Ask(ask))
    }

    fn done(&mut self, now: Instant, n: u64) {
        let ClientSession { link, stage, incoming, asides, totals, .. } = &mut *self.session;
        match (link.out, &mut *stage) {
            (_, Stage::Over(_)) | (Out::Settling | Out::Telling(_), _) => return,
            (Out::Writing, _) => link.wrote(now, n),
            (Out::Filling, _) if asides.reports() => return,
            (_, Stage::Sending { sending, .. }) => {
                if !matches!(sending.need(), sending::Need::Load { .. }) {
                    return;
                }
                link.store_took_until(now);
                match sending.loaded(&mut link.outlet, self.buffers.output, n) {
                    None => self.shrunk(),
                    Some(count) => totals.add_octets(count),
                }
            }
            (_, Stage::Receiving(segment)) => {
                let file = incoming.as_mut().map(|incoming| &mut incoming.file);
                match segment.done(link, self.buffers.input.octets(), file, totals, now, n) {
                    Progress::Made => {}
                    Progress::Ended => self.end_of_stream(now),
                    Progress::None => return,
                }
            }
            (_, Stage::Closing(outcome)) => {
                link.at(now);
                link.progress();
                *stage = Stage::Draining { outcome: *outcome, left: DRAIN_MOST };
            }
            (_, Stage::Draining { outcome, left }) => {
                *left = left.saturating_sub(n);
                if n == 0 || *left == 0 {
                    *stage = Stage::Over(Ok(*outcome));
                }
            }
            (
                _,
                Stage::Hello
                | Stage::Challenge
                | Stage::Signature
                | Stage::Admission
                | Stage::Work
                | Stage::Skipping(_)
                | Stage::Leaving,
            ) => {
                if n == 0 {
                    self.end_of_stream(now);
                } else {
                    link.read(now, n);
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
        let refused = matches!(answer, Answer::Reply(Reply::Error { .. }));
        if self.session.asides.reports() {
            match answer {
                Answer::Reply(_) if refused => self.refuse_rest(),
                Answer::Reply(_) => {
                    self.session.asides.reported();
                    if matches!(self.session.stage, Stage::Work) {
                        self.run_over();
                    }
                }
                _ => self.abort(),
            }
            return self.advance();
        }
        match (&mut self.session.stage, answer) {
            (Stage::Asking, Answer::Job(request)) => self.begin(&request),
            (Stage::Asking, Answer::Later) => {
                (self.session.jobless, self.session.stage) = (Jobless::Now, Stage::Work);
            }
            (Stage::Asking, Answer::Over) => {
                (self.session.jobless, self.session.stage) = (Jobless::ForEver, Stage::Work);
            }
            (&mut Stage::Telling { last }, Answer::Reply(reply)) => {
                self.session.link.progress();
                self.told(&reply, last);
            }
            (Stage::Failing(..), Answer::Reply(_)) => {
                // Before signing in, nothing can follow.
                if self.session.jobs.is_empty() {
                    self.session.stage = Stage::Closing(Outcome::Refused);
                } else {
                    self.session.stage = Stage::Work;
                    let draining = self.session.incoming.as_ref().and_then(|incoming| incoming.unwanted);
                    if draining.is_none_or(|left| left == 0) {
                        self.job_over();
                    }
                }
            }
            (Stage::Unsent(..), Answer::Reply(_)) => self.session.stage = Stage::Work,
            (Stage::Sending { .. }, Answer::Reply(_)) if refused => self.shrunk(),
            (Stage::Sending { sending, inline }, Answer::Reply(_)) => {
                let inline = *inline;
                let file = self.session.outgoing.as_mut().and_then(Outgoing::counted);
                let head = sending.head();
                sending.seal(&mut self.session.link.outlet, self.buffers.output, file);
                if inline {
                    self.job_begun(Kind::SmallPut, self.session.link.outlet.end().saturating_sub(head));
                }
            }
            (Stage::Receiving(segment), Answer::Reply(_)) => {
                if refused {
                    self.refuse_rest();
                } else {
                    segment.reported();
                }
            }
            (Stage::Damaged { .. }, Answer::Job(request @ Request::Get(_))) => {
                self.session.stage = Stage::Work;
                if let Some(incoming) = &mut self.session.incoming {
                    incoming.repairing = true;
                }
                self.say(&request);
            }
            (Stage::Damaged { .. }, Answer::Over) => {
                self.session.incoming = None;
                self.session.stage = Stage::Failing(ErrorCode::DigestMismatch, DAMAGED);
            }
            (Stage::Completing, Answer::Reply(_)) => {
                if !refused {
                    self.session.totals.add_file();
                }
                self.session.stage = Stage::Work;
                self.job_over();
            }
            _ => return self.abort(),
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
        self.session.stage = Stage::Over(match self.session.stage {
            // All is said; only the peer's farewell is missing.
            Stage::Draining { outcome, .. } => Ok(outcome),
            _ => Err(ProtocolError::TimedOut),
        });
    }
}

impl<H: Hasher, I: Input + ?Sized> Client<'_, '_, '_, H, I> {
    /// Turns to the blocks that came whole although their run will not, if there are any (R-VT-35).
    fn salvage(&mut self, now: Instant) -> bool {
        let ClientSession { link, stage, asides, .. } = &mut *self.session;
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
        let over = match self.session.stage {
            Stage::Leaving => Ok(Outcome::Complete(self.session.totals)),
            _ => Err(ProtocolError::Truncated { missing: 1 }),
        };
        self.session.stage = Stage::Over(over);
    }
}
