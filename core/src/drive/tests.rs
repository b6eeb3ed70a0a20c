//! Both drivers on the same transcripts, and what transports and stores do wrong.

use std::vec;
use std::vec::Vec;

use core::time::Duration;

use embedded_io::{ErrorKind, ErrorType, Read, Write};

use super::DriveError;
use super::blocking::{self, Scratch, Transport};
use crate::stream::testing::{Ended, Ending, Ram, Script, Step, file, folder};
use crate::stream::{Outcome, Server};
use crate::time::Instant;

const FOLDER_REQUEST: &[u8] = b"1:9:u:h:98:6553f150:1:0:\0";

fn steps() -> Vec<Step> {
    vec![folder("d"), file("a", b"hello"), file("large", &[b'x'; 500]), folder("e"), Step::Leave, Step::Leave]
}

/// A transport whose every call may go wrong in its own way.
struct Odd {
    script: Script,
    /// Calls that are interrupted before one succeeds.
    interruptions: usize,
    accepts_nothing: bool,
    flushed: usize,
}

impl Odd {
    fn new(script: Script) -> Self {
        Self { script, interruptions: 0, accepts_nothing: false, flushed: 0 }
    }

    fn interrupted(&mut self) -> Result<(), ErrorKind> {
        self.interruptions = (self.interruptions + 1) % 3;
        if self.interruptions == 0 { Ok(()) } else { Err(ErrorKind::Interrupted) }
    }
}

impl ErrorType for Odd {
    type Error = ErrorKind;
}

impl Read for Odd {
    fn read(&mut self, room: &mut [u8]) -> Result<usize, ErrorKind> {
        self.interrupted()?;
        assert_eq!(self.flushed, self.script.written.len(), "what is written leaves before the peer is waited for");
        self.script.read(room)
    }
}

impl Write for Odd {
    fn write(&mut self, octets: &[u8]) -> Result<usize, ErrorKind> {
        self.interrupted()?;
        if self.accepts_nothing { Ok(0) } else { self.script.write(octets) }
    }

    fn flush(&mut self) -> Result<(), ErrorKind> {
        self.flushed = self.script.written.len();
        Ok(())
    }
}

impl Transport for Odd {
    fn limit(&mut self, limit: Option<Duration>) -> Result<(), ErrorKind> {
        self.script.limit(limit)
    }

    fn shutdown(&mut self) -> Result<(), ErrorKind> {
        self.script.shutdown()
    }
}

fn serve_odd(odd: &mut Odd) -> Ended {
    let (mut buffer, mut scratch) = ([0xa5; 64], [0xa5; 16]);
    let clock = std::rc::Rc::clone(&odd.script.clock);
    let server = Server::new(Instant::START, &mut buffer);
    blocking::run(server, odd, &mut Ram::serving(&steps()), &mut Scratch(&mut scratch), || {
        Instant::from_millis(clock.get())
    })
}

#[test]
fn interruptions_are_repeated_and_buffers_flushed() {
    let mut odd = Odd::new(Script::new(FOLDER_REQUEST, Ending::Silence));
    assert!(matches!(serve_odd(&mut odd), Ok(Outcome::Complete(_))));
    assert!(odd.script.shut);
}

/// `embedded_io` forbids it, and its `write_all` panics on it.
#[test]
fn a_transport_that_accepts_nothing() {
    let mut odd = Odd::new(Script::new(FOLDER_REQUEST, Ending::Eof));
    odd.accepts_nothing = true;
    assert_eq!(serve_odd(&mut odd), Err(DriveError::WriteZero));
}

#[cfg(feature = "async")]
pub(crate) mod both {
    use super::*;
    use crate::drive::asynch::{self, Timer};
    use crate::stream::{FolderClient, Limits, Machine};
    use crate::wire::ipmsg::{FileRequest, Header, Options, PacketNo, PacketToken, RequestKind, RequestedId};
    use core::cell::Cell;
    use core::future::{Future, pending, poll_fn};
    use core::pin::pin;
    use core::task::{Context, Poll, Waker};
    use std::rc::Rc;

    fn request() -> FileRequest<'static> {
        FileRequest {
            header: Header {
                version: "1".into(),
                packet_no: PacketToken("9".into()),
                user: "u".into(),
                host: "h".into(),
                command: RequestKind::Folder.command(),
                options: Options::default(),
            },
            kind: RequestKind::Folder,
            packet_no: PacketNo(0x6553_f150),
            id: RequestedId::of(1),
            offset: 0,
        }
    }

    /// The same script behind the asynchronous traits. Every second poll is not ready yet.
    pub(crate) struct Later(pub(crate) Script, pub(crate) bool);

    impl Later {
        async fn hesitate(&mut self) {
            poll_fn(|_| {
                self.1 = !self.1;
                if self.1 { Poll::Pending } else { Poll::Ready(()) }
            })
            .await;
        }
    }

    impl ErrorType for Later {
        type Error = ErrorKind;
    }

    impl embedded_io_async::Read for Later {
        async fn read(&mut self, room: &mut [u8]) -> Result<usize, ErrorKind> {
            self.hesitate().await;
            match self.0.take(room) {
                Some(result) => result,
                None => pending().await,
            }
        }
    }

    impl embedded_io_async::Write for Later {
        async fn write(&mut self, octets: &[u8]) -> Result<usize, ErrorKind> {
            self.hesitate().await;
            self.0.put(octets)
        }

        async fn flush(&mut self) -> Result<(), ErrorKind> {
            Ok(())
        }
    }

    impl asynch::Transport for Later {
        async fn shutdown(&mut self) -> Result<(), ErrorKind> {
            self.hesitate().await;
            self.0.shut = true;
            Ok(())
        }
    }

    /// Time stands still until everybody waits.
    pub(crate) struct Virtual {
        clock: Rc<Cell<u64>>,
        polls: u32,
    }

    impl Virtual {
        pub(crate) fn new(clock: Rc<Cell<u64>>) -> Self {
            Self { clock, polls: 0 }
        }
    }

    impl Timer for Virtual {
        fn now(&mut self) -> Instant {
            Instant::from_millis(self.clock.get())
        }

        async fn until(&mut self, deadline: Instant) {
            self.polls = 0;
            poll_fn(|_| {
                self.polls += 1;
                if self.polls < 4 {
                    return Poll::Pending;
                }
                self.clock.set(deadline.as_millis());
                Poll::Ready(())
            })
            .await;
        }
    }

    pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
        let mut future = pin!(future);
        let mut context = Context::from_waker(Waker::noop());
        loop {
            if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
                return output;
            }
        }
    }

    type Everything = (Ended, Vec<u8>, Vec<Step>, u64, bool);

    fn blocking(machine: impl Machine, script: Script, ram: Ram) -> Everything {
        let (mut script, mut ram) = (script, ram);
        let ended = crate::stream::testing::run(machine, &mut script, &mut ram);
        (ended, script.written, ram.received, script.clock.get(), script.shut)
    }

    fn asynchronous(machine: impl Machine, script: Script, mut ram: Ram) -> Everything {
        let mut timer = Virtual::new(Rc::clone(&script.clock));
        let (mut later, mut scratch) = (Later(script, false), [0xa5; 7]);
        let ended = block_on(asynch::run(machine, &mut later, &mut ram, &mut scratch, &mut timer));
        (ended, later.0.written, ram.received, later.0.clock.get(), later.0.shut)
    }

    /// As [`asynchronous`], but every future is dropped after each poll that did not finish it.
    fn cancelled(mut machine: impl Machine, script: Script, mut ram: Ram) -> Everything {
        let mut timer = Virtual::new(Rc::clone(&script.clock));
        let (mut later, mut scratch) = (Later(script, false), [0xa5; 7]);
        let mut context = Context::from_waker(Waker::noop());
        let ended = loop {
            let step = pin!(asynch::step(&mut machine, &mut later, &mut ram, &mut scratch, &mut timer));
            match step.poll(&mut context) {
                Poll::Pending | Poll::Ready(Ok(None)) => {}
                Poll::Ready(Ok(Some(outcome))) => break Ok(outcome),
                Poll::Ready(Err(error)) => break Err(error),
            }
        };
        (ended, later.0.written, ram.received, later.0.clock.get(), later.0.shut)
    }

    #[test]
    fn the_same_transcripts_end_alike() {
        let stream = serve_blocking();
        let truncated = &stream[..100];
        for (input, ending) in [
            (&stream[..], Ending::Silence),
            (&stream[..], Ending::Eof),
            (truncated, Ending::Silence),
            (truncated, Ending::Eof),
            (truncated, Ending::Reset),
            (b"nonsense", Ending::Eof),
        ] {
            for most in [1, 30, 1000] {
                let (mut one, mut two) = ([0xa5; 64], [0xa5; 64]);
                let client = |buffer| FolderClient::new(Instant::START, buffer, &request(), Limits::default()).unwrap();
                let script = || Script::new(input, ending).most(most);
                let first = blocking(client(&mut one), script(), Ram::default());
                let second = asynchronous(client(&mut two), script(), Ram::default());
                assert_eq!(first, second);
            }
        }
        for (input, ending) in [
            (FOLDER_REQUEST, Ending::Silence),
            (FOLDER_REQUEST, Ending::Reset),
            (&FOLDER_REQUEST[..22], Ending::Silence),
            (&FOLDER_REQUEST[..12], Ending::Silence),
        ] {
            for calls in 0..30 {
                let (mut one, mut two) = ([0xa5; 64], [0xa5; 64]);
                let script = || Script::new(input, ending).calls(calls).most(40);
                let ram = || Ram { calls: Some(30 - calls), ..Ram::serving(&steps()) };
                let first = blocking(Server::new(Instant::START, &mut one), script(), ram());
                let second = asynchronous(Server::new(Instant::START, &mut two), script(), ram());
                assert_eq!(first, second);
            }
        }
    }

    /// `want` changes nothing, so whatever was dropped is simply wanted again.
    #[test]
    fn dropped_futures_lose_nothing() {
        let stream = serve_blocking();
        let (mut one, mut two) = ([0xa5; 64], [0xa5; 64]);
        let client = |buffer| FolderClient::new(Instant::START, buffer, &request(), Limits::default()).unwrap();
        let script = || Script::new(&stream, Ending::Eof).most(9);
        let whole = asynchronous(client(&mut one), script(), Ram::default());
        assert!(matches!(whole.0, Ok(Outcome::Complete(_))));
        assert_eq!(cancelled(client(&mut two), script(), Ram::default()), whole);

        let script = || Script::new(FOLDER_REQUEST, Ending::Eof).most(9);
        let served = cancelled(Server::new(Instant::START, &mut one), script(), Ram::serving(&steps()));
        assert_eq!((served.1, served.4), (stream, true));
    }

    fn serve_blocking() -> Vec<u8> {
        let mut buffer = [0xa5; 64];
        let script = Script::new(FOLDER_REQUEST, Ending::Eof);
        blocking(Server::new(Instant::START, &mut buffer), script, Ram::serving(&steps())).1
    }
}
