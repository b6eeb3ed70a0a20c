//! A run of blocks that comes: when it is hashed, saved and reported.

use core::time::Duration;

use super::aside::Asides;
use super::intake::{Body, Intake};
use super::link::{Link, Out};
use super::receiving::Receiving;
use super::{Ask, BLOCKS, Input, MOST_BLOCKS};
use crate::digest::{Digest, Hasher, Running};
use crate::stream::{Abort, Outcome, Target, Totals, Want};
use crate::time::Instant;
use crate::wire::transfer::{Data, body_len};

/// How long a whole block waits for others, to be hashed together with them. Where they take longer, each is verified by
/// itself: whatever waits in the buffer when its receiver is killed has to be sent again. On a link of 100 Mbit/s a run
/// of 1 MiB comes in this time.
pub(super) const PATIENCE: Duration = Duration::from_millis(100);

/// A run of blocks that is being received: their digests first, then, as many at a time as the buffer holds, the blocks.
///
/// Nothing waits for the rest of a run for longer than [`PATIENCE`], and nothing is given up because the rest of it does
/// not come: whatever is a whole block is verified and reported (R-VT-35).
#[derive(Debug)]
pub(super) struct Segment {
    at: u64,
    len: u32,
    block: u32,
    /// Where in the buffer the octets begin, if they are saved before they are hashed.
    place: usize,
    /// Octets saved, and taken from the intake.
    saved: u32,
    /// Octets verified, or found to be damaged.
    judged: u32,
    /// Octets of the blocks that the store has heard of, or will never hear of.
    told: u32,
    /// What the blocks should be.
    claimed: [Digest; MOST_BLOCKS],
    /// What they are.
    sound: [bool; MOST_BLOCKS],
    /// The block that is hashed piece by piece, if it does not fit the buffer.
    running: Option<Running>,
    step: Step,
    /// Since when there may be a whole block that waits for others.
    since: Option<Instant>,
    /// Whole blocks are not to wait for the others.
    hurried: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// The digests are to come.
    Claim,
    /// Blocks are to come.
    Gather,
    /// What was put aside is to be judged before them.
    Held,
    /// All of them are to be saved before they are hashed.
    SaveAll,
    /// Somebody else hashes them.
    Aside,
    /// They are to be saved.
    Save,
    /// The store is to be told of them.
    Report,
}

/// What a segment needs to go on.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Need<'a> {
    /// So many unread octets.
    Octets(usize),
    /// That these are saved.
    Save { at: u64, octets: &'a [u8] },
    /// That the store hears of blocks that are sound.
    Report,
    /// That what was put aside is judged.
    Judgement,
    /// That it is kept until somebody else has hashed its blocks.
    Aside,
    /// Nothing: it is complete.
    Nothing,
}

/// What came of something that was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// It went on.
    Made,
    /// The peer says nothing more.
    Ended,
    /// None: that was not what was wanted.
    None,
}

impl Segment {
    pub(super) fn new(data: Data, block: u32) -> Self {
        Self {
            at: data.at,
            len: data.len,
            block,
            place: 0,
            saved: 0,
            judged: 0,
            told: 0,
            claimed: [Digest::default(); MOST_BLOCKS],
            sound: [false; MOST_BLOCKS],
            running: None,
            step: Step::Claim,
            since: None,
            hurried: false,
        }
    }

    /// Octets that have not been taken from the intake yet.
    pub(super) fn left(&self) -> u64 {
        match self.step {
            Step::Claim => body_len(self.len, self.block),
            _ => self.len.saturating_sub(self.saved).into(),
        }
    }

    /// Where in the file it ends.
    pub(super) fn end(&self) -> u64 {
        self.at.saturating_add(self.len.into())
    }

    fn digests_len(&self) -> usize {
        self.count(self.len).saturating_mul(Digest::LEN)
    }

    /// The number of the block that an octet of the run belongs to.
    fn index(&self, octet: u32) -> usize {
        octet.checked_div(self.block).and_then(|index| usize::try_from(index).ok()).unwrap_or(MOST_BLOCKS)
    }

    /// How many blocks the first `octets` octets are, if they end with one.
    fn count(&self, octets: u32) -> usize {
        usize::try_from(octets.div_ceil(self.block.max(1))).unwrap_or(MOST_BLOCKS).min(MOST_BLOCKS)
    }

    /// Where in the run a block begins and ends.
    fn bounds(&self, index: usize) -> (u32, u32) {
        let from = u32::try_from(index).unwrap_or(u32::MAX).saturating_mul(self.block).min(self.len);
        (from, from.saturating_add(self.block).min(self.len))
    }

    /// Whether a block fits the input buffer: then it is not saved before it is verified.
    fn fits(&self, input: &[u8]) -> bool {
        usize::try_from(self.block.min(self.len)).is_ok_and(|block| block <= input.len())
    }

    /// How many octets of blocks are waited for, at most: as many as are missing, or as the buffer holds.
    fn awaited(&self, input: &[u8]) -> u32 {
        let missing = self.len.saturating_sub(self.saved);
        let room = u32::try_from(input.len()).unwrap_or(u32::MAX);
        if missing <= room { missing } else { self.whole(room) }
    }

    /// How many of `octets` at the front of what is missing are whole blocks.
    fn whole(&self, octets: u32) -> u32 {
        let missing = self.len.saturating_sub(self.saved);
        if octets >= missing {
            return missing;
        }
        octets.saturating_sub(octets.checked_rem(self.block).unwrap_or(octets))
    }

    /// Blocks from the octet `from` on that are sound, without a gap: the octets where they begin and end.
    fn sound_run(&self, from: u32) -> Option<(u32, u32)> {
        let judged = self.sound.get(..self.count(self.judged)).unwrap_or_default();
        let from = self.count(from);
        let first = from.saturating_add(judged.iter().skip(from).position(|&sound| sound)?);
        let len = judged.iter().skip(first).take_while(|&&sound| sound).count();
        let (_, end) = self.bounds(first.saturating_add(len).saturating_sub(1));
        Some((self.bounds(first).0, end))
    }

    /// How many octets of whole blocks are to be verified now.
    fn ripe(&self, intake: &Intake, input: &[u8]) -> u32 {
        let there = u32::try_from(intake.len()).unwrap_or(u32::MAX);
        if self.hurried || there >= self.awaited(input) { self.whole(there) } else { 0 }
    }

    /// Whether `ripe` octets are worth being hashed by somebody else: a whole run of many blocks.
    fn is_worth_it(&self, ripe: u32) -> bool {
        ripe == self.len && self.count(self.len) >= BLOCKS
    }

    /// Whether it was held up by what is put aside. From now on it is not.
    pub(super) fn was_held(&mut self) -> bool {
        let held = self.step == Step::Held;
        if held {
            self.step = Step::Gather;
        }
        held
    }

    /// Does what can be done with the octets that are there.
    pub(super) fn advance(
        &mut self,
        intake: &mut Intake,
        input: &mut (impl Input + ?Sized),
        hasher: &mut impl Hasher,
        file: &mut Receiving,
        body: impl FnMut(&[u8]) -> Body,
        asides: &Asides,
    ) {
        if self.step == Step::Claim && intake.len() >= self.digests_len() {
            let claimed = intake.unread(input.octets()).get(..self.digests_len()).unwrap_or_default();
            let (claimed, _) = claimed.as_chunks::<{ Digest::LEN }>();
            for (place, octets) in self.claimed.iter_mut().zip(claimed) {
                *place = Digest(*octets);
            }
            intake.take(self.digests_len());
            self.step = Step::Gather;
        }
        if self.step == Step::Gather {
            let fits = self.fits(input.octets());
            let ripe = if fits { self.ripe(intake, input.octets()) } else { 0 };
            if !asides.is_full() && self.is_worth_it(ripe) && input.has_spare() {
                (self.step, self.since, self.hurried) = (Step::SaveAll, None, false);
                self.place = intake.span().start;
            } else if !asides.is_empty() && (ripe > 0 || !fits) {
                self.step = Step::Held;
            } else if ripe > 0 {
                self.verify(ripe, intake, input.octets(), hasher, file, body);
                (self.step, self.since, self.hurried) = (Step::Save, None, false);
            }
        }
        if !asides.is_full() && self.step == Step::SaveAll && self.saved >= self.len {
            self.put_aside(intake, input, file);
        }
        if self.saved >= self.judged && self.told < self.judged {
            self.turn();
        }
    }

    /// Has somebody else hash the blocks, which were saved.
    fn put_aside(&mut self, intake: &mut Intake, input: &mut (impl Input + ?Sized), file: &mut Receiving) {
        let size = |count: u32| usize::try_from(count).unwrap_or(usize::MAX);
        for index in 0..self.count(self.len) {
            let claimed = self.claimed.get(index).copied().unwrap_or_default();
            file.came(self.range(index), &claimed);
        }
        input.put_aside(self.place..self.place.saturating_add(size(self.len)), size(self.block), intake.span());
        intake.moved();
        self.step = Step::Aside;
    }

    /// These are the digests of all blocks, which were saved.
    pub(super) fn compare(&mut self, digests: &[Digest; MOST_BLOCKS], file: &mut Receiving) {
        for index in 0..self.count(self.len) {
            let sound = self.claimed.get(index) == digests.get(index);
            if let Some(place) = self.sound.get_mut(index) {
                *place = sound;
            }
            if !sound {
                file.damage(self.range(index));
            }
        }
        self.judged = self.len;
        self.turn();
    }

    /// Turns to telling the store what is judged, or to what comes next.
    fn turn(&mut self) {
        if self.sound_run(self.told).is_some() {
            self.step = Step::Report;
        } else {
            (self.step, self.told) = (Step::Gather, self.judged);
        }
    }

    /// Hashes the next `len` octets, which are whole blocks in the buffer, all at once.
    // In a frame of its own, which is not there while something is written.
    #[inline(never)]
    fn verify(
        &mut self,
        len: u32,
        intake: &mut Intake,
        input: &[u8],
        hasher: &mut impl Hasher,
        file: &mut Receiving,
        mut body: impl FnMut(&[u8]) -> Body,
    ) {
        let octets = |count: u32| usize::try_from(count).unwrap_or(usize::MAX);
        let mut digests = [Digest::default(); MOST_BLOCKS];
        let end = self.judged.saturating_add(len);
        // Within a run no message follows.
        let body = |header: &[u8]| if end < self.len { Body::Other } else { body(header) };
        intake.hash(input, octets(len), octets(self.block), &mut digests, hasher, body);
        for digest in &digests {
            if self.judged >= end {
                break;
            }
            self.judge(digest, file);
        }
    }

    /// The next block has this digest.
    fn judge(&mut self, computed: &Digest, file: &mut Receiving) {
        let index = self.index(self.judged);
        let block = self.range(index);
        let Some((claimed, sound)) = self.claimed.get(index).zip(self.sound.get_mut(index)) else { return };
        *sound = computed == claimed;
        file.came(block, claimed);
        if !*sound {
            file.damage(block);
        }
        (_, self.judged) = self.bounds(index);
    }

    /// Where in the file a block begins, and how many octets it has.
    fn range(&self, index: usize) -> (u64, u32) {
        let (from, to) = self.bounds(index);
        (self.at.saturating_add(u64::from(from)), to.saturating_sub(from))
    }

    /// What is needed next. To be asked after [`Self::advance`].
    pub(super) fn need<'a>(&'a self, intake: &Intake, input: &'a [u8]) -> Need<'a> {
        let at = self.at.saturating_add(u64::from(self.saved));
        let save = |to: u32| {
            let most = usize::try_from(to.saturating_sub(self.saved)).unwrap_or(usize::MAX);
            let unread = intake.unread(input);
            match unread.get(..most.min(unread.len())) {
                None | Some([]) => Need::Octets(1),
                Some(octets) => Need::Save { at, octets },
            }
        };
        match self.step {
            Step::Claim => Need::Octets(self.digests_len()),
            Step::Gather if self.saved >= self.len => Need::Nothing,
            Step::Gather if self.fits(input) => {
                Need::Octets(usize::try_from(self.awaited(input)).unwrap_or(usize::MAX))
            }
            // Piece by piece, to the end of the block.
            Step::Gather => save(self.bounds(self.index(self.saved)).1),
            Step::Held => Need::Judgement,
            Step::SaveAll => save(self.len),
            Step::Save => save(self.judged),
            Step::Aside => Need::Aside,
            Step::Report => Need::Report,
        }
    }

    /// What the store is to be told, if [it is](Self::reports).
    pub(super) fn verified(&self) -> Option<Ask<'_>> {
        if !self.reports() {
            return None;
        }
        let (from, to) = self.sound_run(self.told)?;
        Some(Ask::Verified {
            at: self.at.saturating_add(u64::from(from)),
            len: to.saturating_sub(from),
            digests: self.claimed.get(self.count(from)..self.count(to)).unwrap_or_default(),
        })
    }

    /// That in the words of a machine.
    pub(super) fn want<'b>(&'b self, intake: &Intake, input: &'b mut [u8]) -> Want<'b> {
        if let Some(ask) = self.verified() {
            return Want::Open(Target::Ask(ask));
        }
        if !matches!(self.need(intake, input), Need::Save { .. }) {
            return Want::Read(intake.room(input));
        }
        match self.need(intake, input) {
            Need::Save { at, octets } => Want::Save { at, octets },
            _ => Want::Done(Ok(Outcome::Aborted(Abort::Answer))),
        }
    }

    /// `n` octets of what was wanted were read or saved.
    pub(super) fn done(
        &mut self,
        link: &mut Link,
        input: &[u8],
        file: Option<&mut Receiving>,
        totals: &mut Totals,
        now: Instant,
        n: u64,
    ) -> Progress {
        match self.need(&link.intake, input) {
            Need::Save { .. } => {
                link.store_took_until(now);
                totals.add_octets(self.saved(&mut link.intake, input, file, n));
                Progress::Made
            }
            Need::Octets(_) if n == 0 => Progress::Ended,
            Need::Octets(_) => {
                link.read(now, n);
                self.came(now);
                Progress::Made
            }
            Need::Report | Need::Judgement | Need::Aside | Need::Nothing => Progress::None,
        }
    }

    /// Octets, `count` or as many as there were, were saved. Returns how many.
    fn saved(&mut self, intake: &mut Intake, input: &[u8], file: Option<&mut Receiving>, count: u64) -> u64 {
        let Need::Save { octets, .. } = self.need(intake, input) else { return 0 };
        let taken = usize::try_from(count).unwrap_or(usize::MAX).min(octets.len());
        if self.step == Step::Gather {
            let octets = intake.unread(input).get(..taken).unwrap_or_default();
            self.running.get_or_insert_default().update(octets);
        }
        intake.take(taken);
        self.saved = self.saved.saturating_add(u32::try_from(taken).unwrap_or(u32::MAX));
        if self.step == Step::Gather
            && self.saved >= self.bounds(self.index(self.judged)).1
            && let Some((running, file)) = self.running.take().zip(file)
        {
            self.judge(&running.finish(), file);
        }
        u64::try_from(taken).unwrap_or(u64::MAX)
    }

    /// Octets came: at `now`. Who waited for the rest of the run for too long waits no more.
    fn came(&mut self, now: Instant) {
        let since = *self.since.get_or_insert(now);
        self.hurried |= now >= since + PATIENCE;
    }

    /// Until when whole blocks may wait for others; `None` if none does.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.since.filter(|_| self.step == Step::Gather && !self.hurried).map(|since| since + PATIENCE)
    }

    /// Whole blocks wait no more for others. False if there are none, or if something is to be written first.
    pub(super) fn hurry(&mut self, now: Instant, link: &mut Link, input: &[u8]) -> bool {
        if link.out != Out::Filling {
            return false;
        }
        self.hurried = true;
        let there = u32::try_from(link.intake.len()).unwrap_or(u32::MAX);
        let some = self.step == Step::Gather && self.fits(input) && self.whole(there) > 0;
        if some {
            link.at(now);
        }
        some
    }

    /// Whether it is busy with what has come, and waits for nobody.
    pub(super) fn is_busy(&self) -> bool {
        matches!(self.step, Step::SaveAll | Step::Save | Step::Report)
    }

    /// Whether the store is told of blocks that are sound.
    pub(super) fn reports(&self) -> bool {
        self.step == Step::Report
    }

    /// The store has heard.
    pub(super) fn reported(&mut self) {
        if let Some((_, end)) = self.sound_run(self.told).filter(|_| self.reports()) {
            self.told = end;
            if self.sound_run(end).is_none() {
                (self.step, self.told) = (Step::Gather, self.judged);
            }
        }
    }
}
