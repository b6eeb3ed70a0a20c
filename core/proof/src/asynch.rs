//! Every machine through the asynchronous driver.

use core::future::Future;
use core::hint::black_box;
use core::pin::pin;
use core::task::{Context, Poll, Waker};

use feige_core::drive::asynch;
use feige_core::stream::Machine;
use feige_core::time::Instant;

use crate::stream::{Failed, Line, now, shelf};
use crate::{keep, shown};

impl embedded_io_async::Read for Line {
    async fn read(&mut self, room: &mut [u8]) -> Result<usize, Failed> {
        embedded_io::Read::read(self, room)
    }
}

impl embedded_io_async::Write for Line {
    async fn write(&mut self, octets: &[u8]) -> Result<usize, Failed> {
        embedded_io::Write::write(self, octets)
    }

    async fn flush(&mut self) -> Result<(), Failed> {
        embedded_io::Write::flush(self)
    }
}

impl asynch::Transport for Line {
    async fn shutdown(&mut self) -> Result<(), Failed> {
        black_box(Ok(()))
    }
}

struct Clock;

impl asynch::Timer for Clock {
    fn now(&mut self) -> Instant {
        now()
    }

    fn until(&mut self, deadline: Instant) -> impl Future<Output = ()> {
        keep(deadline);
        core::future::pending()
    }
}

/// The asynchronous driver, polled as an executor does: until it is done and not again.
#[inline(never)]
pub fn run(machine: impl Machine, octets: &'static [u8]) {
    let (mut scratch, mut shelf, mut line, mut clock) = ([0; 64], shelf(octets), Line, Clock);
    let mut task = pin!(asynch::run(machine, &mut line, &mut shelf, &mut scratch, &mut clock));
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(result) = task.as_mut().poll(&mut context) {
            shown(result);
            return;
        }
    }
}
