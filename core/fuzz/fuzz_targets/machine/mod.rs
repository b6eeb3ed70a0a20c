//! Operation sequences against a machine: a driver that does what is wanted most of the time, and the rest of
//! the time answers what nobody asked, claims any count, or lets time pass.

use arbitrary::{Result, Unstructured};
use feige_core::stream::{Entry, Machine, Metadata, Opened, Target, Want};
use feige_core::time::Instant;

/// Runs `machine` until `input` is used up, and checks what every machine promises. Half of what the peer says is one of
/// `phrases`, so that more than refusals are tried.
pub fn exercise(machine: &mut impl Machine, phrases: &[&[u8]], input: &mut Unstructured<'_>) -> Result<()> {
    let mut now = Instant::START;
    // Where the next octet of the open object belongs, and how many may follow, where that is known.
    let (mut saved, mut promised) = (0_u64, None);
    while !input.is_empty() {
        assert_eq!(summary(&machine.want()), summary(&machine.want()), "asking changes nothing");
        let over = matches!(machine.want(), Want::Done(_));
        match input.int_in_range(0..=15)? {
            0 => {
                // What a broken driver may say.
                machine.done(now, input.arbitrary()?);
                (saved, promised) = (u64::MAX, None);
            }
            1 => {
                let name: [u8; 8] = input.arbitrary()?;
                let answer = answer(input, &name)?;
                machine.opened(now, answer);
                (saved, promised) = (u64::MAX, None);
            }
            2 => {
                now = Instant::from_millis(now.as_millis() + u64::from(input.arbitrary::<u32>()? >> 12));
                let due = machine.deadline().is_some_and(|deadline| deadline <= now);
                let before = summary(&machine.want());
                machine.expire(now);
                assert!(due || before == summary(&machine.want()), "nothing happens before the deadline");
            }
            _ => step(machine, now, phrases, input, &mut saved, &mut promised)?,
        }
        assert!(!over || matches!(machine.want(), Want::Done(_)), "over is over");
    }
    Ok(())
}

/// Does what is wanted, and checks that it makes sense.
fn step(
    machine: &mut impl Machine,
    now: Instant,
    phrases: &[&[u8]],
    input: &mut Unstructured<'_>,
    saved: &mut u64,
    promised: &mut Option<u64>,
) -> Result<()> {
    let done = match machine.want() {
        Want::Read(room) | Want::Drain(room) => {
            assert!(!room.is_empty());
            if input.arbitrary()? {
                let phrase = input.choose(phrases)?;
                let count = phrase.len().min(room.len());
                room[..count].copy_from_slice(&phrase[..count]);
                count as u64
            } else {
                let count = usize::from(input.arbitrary::<u8>()?).min(room.len()).min(input.len());
                input.fill_buffer(&mut room[..count])?;
                count as u64
            }
        }
        Want::Load { into, .. } => {
            assert!(!into.is_empty());
            input.int_in_range(0..=into.len() as u64)?
        }
        Want::Write(octets) => {
            assert!(!octets.is_empty());
            input.int_in_range(1..=octets.len() as u64)?
        }
        Want::Save { at, octets } => {
            assert!(!octets.is_empty());
            let count = octets.len() as u64;
            received(at, count, saved, *promised);
            count
        }
        Want::Send { len, .. } => {
            assert!(len > 0);
            input.int_in_range(0..=len)?
        }
        Want::Receive { at, len } => {
            assert!(len > 0);
            let count = input.int_in_range(0..=len)?;
            received(at, count, saved, *promised);
            count
        }
        Want::Open(target) => {
            (*saved, *promised) = match target {
                Target::File(arrival) => (arrival.offset, arrival.size),
                _ => (u64::MAX, None),
            };
            let name: [u8; 8] = input.arbitrary()?;
            let answer = answer(input, &name)?;
            machine.opened(now, answer);
            return Ok(());
        }
        Want::Close | Want::Shutdown => 0,
        Want::Done(_) => return Ok(()),
    };
    machine.done(now, done);
    Ok(())
}

/// Octets arrive in order, and no more of them than were promised. A driver that lied (`saved` is the maximum) has
/// lost its right to complain.
fn received(at: u64, count: u64, saved: &mut u64, promised: Option<u64>) {
    if *saved == u64::MAX {
        return;
    }
    assert_eq!(at, *saved);
    *saved += count;
    assert!(promised.is_none_or(|promised| *saved <= promised));
}

fn answer<'n>(input: &mut Unstructured<'_>, name: &'n [u8]) -> Result<Opened<'n>> {
    let metadata = Metadata {
        modified: input.arbitrary()?,
        created: input.arbitrary()?,
        permissions: input.arbitrary()?,
        read_only: input.arbitrary()?,
        hidden: input.arbitrary()?,
    };
    let size = if input.arbitrary()? { u64::from(input.arbitrary::<u8>()?) } else { input.arbitrary()? };
    let entry = Entry { name: name.into(), size, metadata };
    Ok(match input.int_in_range(0..=9)? {
        0 | 1 => Opened::File(entry),
        2 | 3 => Opened::Folder(entry),
        4 => Opened::Unreadable(entry),
        5 => Opened::Leave,
        6 => Opened::Skip,
        7 => Opened::Refused,
        _ => Opened::Ready,
    })
}

/// What a want amounts to, without borrowing from the machine.
fn summary(want: &Want<'_>) -> (u8, u64, u64) {
    match want {
        Want::Read(room) => (0, 0, room.len() as u64),
        Want::Write(octets) => (1, 0, octets.len() as u64),
        Want::Open(target) => (2, u64::from(matches!(target, Target::Next)), 0),
        Want::Load { at, into } => (3, *at, into.len() as u64),
        Want::Save { at, octets } => (4, *at, octets.len() as u64),
        Want::Send { at, len } => (5, *at, *len),
        Want::Receive { at, len } => (6, *at, *len),
        Want::Close => (7, 0, 0),
        Want::Shutdown => (8, 0, 0),
        Want::Drain(room) => (9, 0, room.len() as u64),
        Want::Done(result) => (10, u64::from(result.is_ok()), 0),
    }
}
