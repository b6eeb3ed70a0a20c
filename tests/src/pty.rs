//! A terminal of which the test sees every octet, and which it can leave unread.

use std::io::{ErrorKind, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

use crate::program::{SOON, started_by};

/// A terminal with a program on it, which has it for itself. Dropping it ends the program.
#[derive(Debug)]
pub struct Pty {
    ours: std::fs::File,
    theirs: OwnedFd,
    child: Child,
    seen: Vec<u8>,
}

impl Pty {
    /// Starts a command on a terminal of this many columns and rows.
    ///
    /// # Panics
    /// If the system has no terminal, or the command does not start.
    #[must_use]
    pub fn start(program: &Command, (columns, rows): (u16, u16)) -> Self {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a terminal");
        grantpt(&ours).and_then(|()| unlockpt(&ours)).expect("ours");
        let path = ptsname(&ours, Vec::new()).expect("a name");
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let theirs = rustix::fs::open(&path, flags, Mode::empty()).expect("the other end");
        tcsetwinsize(&theirs, Winsize { ws_col: columns, ws_row: rows, ws_xpixel: 0, ws_ypixel: 0 }).expect("a size");
        rustix::io::ioctl_fionbio(&ours, true).expect("ours");
        let mut setsid = Command::new("setsid");
        setsid.arg("--ctty").env("TERM", "xterm");
        let mut command = started_by(setsid, program);
        let end = || theirs.try_clone().expect("a descriptor");
        let child = command.stdin(end()).stdout(end()).stderr(end()).spawn().expect("it starts");
        Self { ours: ours.into(), theirs, child, seen: Vec::new() }
    }

    /// Everything that the program has written, as far as it was read.
    pub fn seen(&mut self) -> &[u8] {
        let mut chunk = [0; 4096];
        loop {
            match self.ours.read(&mut chunk) {
                Ok(0) => break,
                Ok(count) => self.seen.extend_from_slice(&chunk[..count]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        &self.seen
    }

    /// Waits until the program has written this.
    ///
    /// # Panics
    /// If it does not in time.
    #[track_caller]
    pub fn shows(&mut self, text: &str) {
        let end = Instant::now() + SOON;
        while !self.seen().windows(text.len()).any(|window| window == text.as_bytes()) {
            assert!(Instant::now() < end, "no {text:?} within {SOON:?} in {}", self.seen.escape_ascii());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Types this, as far as somebody reads it.
    pub fn types(&mut self, text: &str) {
        let _ = self.ours.write_all(text.as_bytes());
    }

    /// Sends the program a signal.
    ///
    /// # Panics
    /// If it has ended.
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a process");
        kill_process(pid, signal).expect("it runs");
    }

    /// Waits until the program has ended, without reading what it writes.
    ///
    /// # Panics
    /// If it does not in time.
    #[track_caller]
    pub fn ends(&mut self, within: Duration) -> ExitStatus {
        let end = Instant::now() + within;
        loop {
            if let Some(status) = self.child.try_wait().expect("our child") {
                return status;
            }
            assert!(Instant::now() < end, "still running after {within:?}: {}", self.seen().escape_ascii());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Whether it is as a shell expects it: lines are edited, and shown as they are typed.
    ///
    /// # Panics
    /// If the terminal is gone.
    #[must_use]
    pub fn is_sane(&self) -> bool {
        let modes = tcgetattr(&self.theirs).expect("a terminal").local_modes;
        modes.contains(LocalModes::ICANON | LocalModes::ECHO)
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
