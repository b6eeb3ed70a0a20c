//! Sleeps on all lines that wait for their peers, and keeps those that wait for somebody else.

use std::collections::HashMap;
use std::io;
use std::sync::{Mutex, PoisonError};

use feige_core::time::Instant;
use mio::{Interest, Registry, Token};

use super::line::{Direction, Line};

/// Lines that wait, by the number under which the system tells about them.
pub(super) struct Watch {
    registry: Registry,
    waiting: Mutex<Waiting>,
}

struct Waiting {
    lines: HashMap<usize, Box<Line>>,
    next: usize,
    /// Lines whose peers are not waited for.
    parked: Vec<Box<Line>>,
}

impl Watch {
    /// Watches by way of `registry`, with numbers from `first` on.
    pub(super) fn new(registry: Registry, first: usize) -> Self {
        Self { registry, waiting: Mutex::new(Waiting { lines: HashMap::new(), next: first, parked: Vec::new() }) }
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a line until its peer does something.
    ///
    /// # Errors
    /// What the system says if it cannot watch one more.
    pub(super) fn keep(&self, mut line: Box<Line>, direction: Direction) -> io::Result<()> {
        let interest = match direction {
            Direction::In => Interest::READABLE,
            Direction::Out => Interest::WRITABLE,
        };
        // Held until the line is in its place: the system may tell about it at once.
        let mut waiting = self.waiting();
        let token = waiting.next;
        waiting.next = token.wrapping_add(1).max(1 << 8);
        self.registry.register(&mut line.socket.stream, Token(token), interest)?;
        waiting.lines.insert(token, line);
        Ok(())
    }

    /// Keeps a line for a while, whatever its peer does: it is [`overdue`](Self::overdue) the next time.
    pub(super) fn park(&self, line: Box<Line>) {
        self.waiting().parked.push(line);
    }

    /// The system tells about this number. `None` if the line is not here any more.
    pub(super) fn take(&self, token: Token) -> Option<Box<Line>> {
        let line = self.waiting().lines.remove(&token.0);
        self.released(line)
    }

    fn released(&self, line: Option<Box<Line>>) -> Option<Box<Line>> {
        let mut line = line?;
        // It is dropped if the system forgot it already.
        let _ = self.registry.deregister(&mut line.socket.stream);
        Some(line)
    }

    /// Gives all lines back: nobody waits for their peers any more.
    pub(super) fn end(&self) -> impl Iterator<Item = Box<Line>> {
        let mut waiting = self.waiting();
        let parked = std::mem::take(&mut waiting.parked);
        std::mem::take(&mut waiting.lines).into_values().chain(parked)
    }

    /// Lines whose peers have kept them waiting for too long, and those that were parked.
    pub(super) fn overdue(&self, now: Instant) -> Vec<Box<Line>> {
        let mut waiting = self.waiting();
        let late = |line: &Line| line.session.deadline().is_some_and(|deadline| deadline <= now);
        let late: Vec<usize> = waiting.lines.iter().filter(|(_, line)| late(line)).map(|(&token, _)| token).collect();
        let lines: Vec<_> = late.iter().filter_map(|token| waiting.lines.remove(token)).collect();
        let parked = std::mem::take(&mut waiting.parked);
        drop(waiting);
        parked.into_iter().chain(lines.into_iter().filter_map(|line| self.released(Some(line)))).collect()
    }
}
