//! The workers, and how they work at lines.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use feige_core::drive::DriveError;
use feige_core::drive::blocking::{Scratch, step};
use feige_core::stream::{Machine, Outcome, ProtocolError, Want};

use super::event::Event;
use super::line::{Direction, Line};
use super::run::Service;
use super::sort::{Sorted, sort};
use crate::digest::Lanes;
use crate::store::StoreError;
use crate::transfer::SocketError;

/// Workers at a time: disks and hashes keep some of them busy, peers none.
const WORKERS: usize = 16;

/// Octets after which a line makes room for another that waits.
const TURN: usize = 256 << 10;

/// The more of them wait, the shorter is a turn, so that those who begin together end together; but not shorter than
/// this, which is what the smallest buffers hold.
const LEAST_TURN: usize = 32 << 10;

/// A turn that moves nothing, because a file is hashed or a folder gone through, ends after this time.
const SLICE: Duration = Duration::from_millis(20);

/// How long a worker stays with a line whose peer is about to go on.
const LINGER: Duration = Duration::from_millis(3);

/// A worker without work leaves after this time.
const BORED: Duration = Duration::from_secs(10);

/// A worker moves octets and calls nothing deep.
const STACK: usize = 512 << 10;

/// Lines that somebody should work at, and who works.
#[derive(Default)]
pub(super) struct Crew {
    queue: Mutex<Queue>,
    called: Condvar,
    /// Lines in the queue, to be looked at in passing.
    queued: AtomicUsize,
}

#[derive(Default)]
struct Queue {
    lines: VecDeque<Box<Line>>,
    workers: usize,
    idle: usize,
    over: bool,
}

/// Why a worker leaves a line.
enum Left {
    /// The peer is slow.
    Waiting(Direction),
    /// Others wait, or the server ends.
    Turn,
    /// Somebody else works for it: there is nothing to do for a while.
    Later,
    /// It is over.
    Over(Result<Outcome, DriveError<SocketError, StoreError>>),
}

impl Crew {
    fn queue(&self) -> std::sync::MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets somebody work at each of these lines. They get in line together: the last of a thousand who asked at the same
    /// moment must not find the first ones served.
    pub(super) fn call(&self, service: &Arc<Service>, lines: impl IntoIterator<Item = Box<Line>>) {
        let mut queue = self.queue();
        let before = queue.lines.len();
        queue.lines.extend(lines);
        if queue.over {
            return;
        }
        self.queued.store(queue.lines.len(), Ordering::Relaxed);
        for place in before..queue.lines.len() {
            // One that was called is idle until it wakes up, and then has the line that it was called for.
            if place < queue.idle {
                self.called.notify_one();
            } else if queue.workers >= WORKERS || !self.hire(service, &mut queue) {
                break;
            }
        }
    }

    /// Starts one more worker; `false` if that cannot be done.
    fn hire(&self, service: &Arc<Service>, queue: &mut Queue) -> bool {
        let service_ = Arc::clone(service);
        let thread = thread::Builder::new().name("worker".into()).stack_size(STACK);
        match thread.spawn(move || service_.crew.work(&service_)) {
            Ok(_) => {
                queue.workers += 1;
                true
            }
            // Those that there are do it, one after the other; if there are none, nobody does.
            Err(error) => {
                if queue.workers == 0 {
                    service.report.tell(&[Event::Trouble { error: format!("cannot start a worker: {error}") }]);
                    queue.lines.clear();
                }
                false
            }
        }
    }

    /// Ends all work, and gives back the lines that waited for it.
    pub(super) fn end(&self) -> VecDeque<Box<Line>> {
        let mut queue = self.queue();
        queue.over = true;
        self.called.notify_all();
        // What is being synced is synced to its end.
        let limit = Duration::from_secs(5);
        let waited = self.called.wait_timeout_while(queue, limit, |queue| queue.workers > 0);
        std::mem::take(&mut waited.unwrap_or_else(PoisonError::into_inner).0.lines)
    }

    /// What a worker does.
    fn work(&self, service: &Arc<Service>) {
        let mut lanes = Lanes::new();
        let mut queue = self.queue();
        loop {
            if queue.over {
                break;
            }
            if let Some(line) = queue.lines.pop_front() {
                self.queued.store(queue.lines.len(), Ordering::Relaxed);
                drop(queue);
                self.attend(service, line, &mut lanes);
                queue = self.queue();
                continue;
            }
            queue.idle += 1;
            let (woken, wait) = self.called.wait_timeout(queue, BORED).unwrap_or_else(PoisonError::into_inner);
            queue = woken;
            queue.idle -= 1;
            if wait.timed_out() && queue.lines.is_empty() {
                break;
            }
        }
        queue.workers -= 1;
        drop(queue);
        self.called.notify_all();
    }

    /// Works at a line as long as that makes sense.
    fn attend(&self, service: &Arc<Service>, mut line: Box<Line>, lanes: &mut Lanes) {
        if !line.is_native {
            match sort(service, line) {
                Sorted::Native(native) => line = native,
                Sorted::Unknown(line) => return keep(service, line, Direction::In),
                Sorted::Gone => return,
            }
        }
        let mut room = line.room.take().unwrap_or_else(|| service.rooms.lend(service.connections()));
        line.desk.block = room.block();
        let left = self.drive(service, &mut line, &mut room, lanes);
        line.desk.tell_sent();
        if matches!(left, Left::Over(_)) || line.session.is_idle() {
            service.rooms.back(room);
            if !line.session.is_receiving() {
                line.desk.put_down();
            }
        } else {
            line.room = Some(room);
        }
        match left {
            Left::Over(result) => farewell(service, &line, result),
            _ if service.cancel.is_cancelled() => line.salvage(service.clock, lanes),
            Left::Turn => self.call(service, [line]),
            Left::Later => service.watch.park(line),
            Left::Waiting(direction) => keep(service, line, direction),
        }
    }

    fn drive(&self, service: &Service, line: &mut Line, room: &mut super::rooms::Room, lanes: &mut Lanes) -> Left {
        let Line { socket, session, desk, .. } = line;
        let mut clock = || service.clock.now();
        let began = clock();
        socket.moved = 0;
        let mut machine = session.with(room.buffers(), lanes);
        machine.expire(clock());
        loop {
            socket.blocked = None;
            match step(&mut machine, socket, desk, &mut Scratch(&mut []), &mut clock) {
                Ok(None) => {}
                Ok(Some(outcome)) => return Left::Over(Ok(outcome)),
                Err(error) => return Left::Over(Err(error)),
            }
            if desk.is_waiting() && matches!(machine.want(), Want::Open(_)) {
                return Left::Later;
            }
            let others = self.queued.load(Ordering::Relaxed);
            match socket.blocked {
                Some(direction) if others > 0 || !socket.linger(direction, LINGER) => return Left::Waiting(direction),
                None if others > 0 && (socket.moved >= turn(others) || clock().since(began) >= SLICE) => {
                    return Left::Turn;
                }
                _ => {}
            }
            if service.cancel.is_cancelled() {
                return Left::Turn;
            }
        }
    }
}

/// How many octets a line may move while so many others wait.
const fn turn(others: usize) -> usize {
    let share = TURN / others;
    if share > LEAST_TURN { share } else { LEAST_TURN }
}

/// A line waits for its peer.
fn keep(service: &Service, line: Box<Line>, direction: Direction) {
    if let Err(error) = service.watch.keep(line, direction) {
        service.report.tell(&[Event::Trouble { error: format!("cannot watch a connection: {error}") }]);
    }
}

/// A line is over.
fn farewell(service: &Service, line: &Line, result: Result<Outcome, DriveError<SocketError, StoreError>>) {
    let error = match result {
        Ok(Outcome::Complete(_) | Outcome::Refused) => None,
        Ok(Outcome::Aborted(_) | Outcome::Short { .. }) => Some("a file changed while it was sent".to_owned()),
        // Somebody looked whether anybody is here, or has had enough.
        Err(DriveError::Protocol(ProtocolError::Truncated { .. })) if !line.session.is_known() => None,
        Err(error) => Some(error.to_string()),
    };
    if let Some(error) = error {
        service.report.tell(&[Event::Failed { from: line.peer, error }]);
        // The peer must not take what it got for the whole.
        let _ = socket2::SockRef::from(&line.socket.stream).set_linger(Some(Duration::ZERO));
    }
}
