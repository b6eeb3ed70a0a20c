//! Operation sequences against a machine: a driver that does what is wanted most of the time, and the rest of
//! the time answers what nobody asked, claims any count, or lets time pass.

use arbitrary::{Result, Unstructured};
use feige_core::digest::Digest;
use feige_core::stream::transfer::{Answer, Ask, Verifier};
use feige_core::stream::{Entry, Machine, Metadata, Opened, Target, Want};
use feige_core::time::Instant;
use feige_core::wire::transfer::{self, ErrorCode, File, Get, Put, Reply, Request};

/// Runs `machine` until `input` is used up, and checks what every machine promises. Half of what the peer says is one of
/// `phrases`, so that more than refusals are tried.
pub fn exercise(machine: &mut impl Machine, phrases: &[impl AsRef<[u8]>], input: &mut Unstructured<'_>) -> Result<()> {
    let mut now = Instant::START;
    // Where the next octet of the open object belongs, and how many may follow, where that is known.
    let (mut saved, mut promised) = (0_u64, None);
    // Which octets of its file a session of the verified transfer may save.
    let mut range = None;
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
                let answer = if input.arbitrary()? { session_answer(input)? } else { answer(input, &name)? };
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
            3 => machine.broken(now),
            _ => step(machine, now, phrases, input, &mut saved, &mut promised, &mut range)?,
        }
        assert!(!over || matches!(machine.want(), Want::Done(_)), "over is over");
    }
    Ok(())
}

/// Does what is wanted, and checks that it makes sense.
fn step(
    machine: &mut impl Machine,
    now: Instant,
    phrases: &[impl AsRef<[u8]>],
    input: &mut Unstructured<'_>,
    saved: &mut u64,
    promised: &mut Option<u64>,
    range: &mut Option<(u64, u64)>,
) -> Result<()> {
    let done = match machine.want() {
        Want::Read(room) | Want::Drain(room) => {
            assert!(!room.is_empty());
            if input.arbitrary()? {
                let phrase = input.choose(phrases)?.as_ref();
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
            let within = |(from, to): (u64, u64)| from <= at && at.saturating_add(count) <= to;
            assert!(range.is_none_or(within), "{count} at {at} of {range:?}");
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
            if let Target::Ask(ask) = target {
                match ask {
                    Ask::Request(Request::Put(put)) => *range = Some((0, put.size)),
                    Ask::Reply(Reply::File(file)) => *range = Some((file.offset, file.offset + file.length)),
                    _ => {}
                }
                let answer = session_answer(input)?;
                machine.opened(now, answer);
                return Ok(());
            }
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

/// What a store may answer to a session of the verified transfer: something that fits more often than not.
fn session_answer(input: &mut Unstructured<'_>) -> Result<Opened<'static>> {
    let small = |input: &mut Unstructured<'_>| -> Result<u64> {
        Ok(if input.arbitrary()? { u64::from(input.arbitrary::<u16>()? >> 2) } else { input.arbitrary()? })
    };
    let block = if input.arbitrary()? { 12 } else { input.arbitrary()? };
    let reply = |reply| Answer::Reply(reply);
    let put =
        |size, inline| Put { path: "f", size, mtime: None, mode: None, stamp: 1, block: 12, replace: true, inline };
    Ok(Opened::Answer(match input.int_in_range(0..=23)? {
        0..=6 => reply(Reply::Done),
        7 => {
            let (size, offset) = (small(input)?, 0);
            reply(Reply::File(File { size, mtime: None, mode: None, stamp: 1, block, offset, length: small(input)? }))
        }
        8 => reply(Reply::Ready { offset: small(input)? & !4095, block }),
        9 => {
            let kind = transfer::EntryKind::File;
            reply(Reply::Entry(transfer::Entry { name: "name", kind, size: small(input)?, mtime: None, mode: None }))
        }
        10 => reply(Reply::End { cursor: 0 }),
        11 => reply(Reply::Working),
        12 => reply(Reply::Error { code: ErrorCode::Busy, text: "no" }),
        13 => reply(Reply::Stored { digest: Digest(input.arbitrary()?) }),
        14 => reply(Reply::Sum { md5: Digest::default(), size: 0 }),
        15 => reply(Reply::Repair { at: small(input)?, len: input.arbitrary()? }),
        16 => Answer::Account(Verifier {
            salt: b"0123456789",
            iterations: 4096,
            stored_key: [1; 32],
            server_key: [2; 32],
        }),
        17 => Answer::Later,
        18 => Answer::Over,
        19 => {
            let (offset, length) = (small(input)? & !4095, small(input)?);
            Answer::Job(Request::Get(Get { path: "f", offset, length, block, stamp: 1 }))
        }
        20 => Answer::Job(Request::Put(put(small(input)?, true))),
        21 => Answer::Job(Request::Put(put(small(input)?, false))),
        22 => Answer::Job(Request::List { path: "", cursor: 0 }),
        _ => Answer::Job(*input.choose(&[Request::Time, Request::Space, Request::Sum { path: "f" }, Request::Bye])?),
    }))
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
