//! A terminal that nobody sits at: tmux runs the program, presses keys and tells what the screen shows.

use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::Missing;
use crate::program::{Place, SOON, command};

/// A terminal with a program on it. Dropping it closes the terminal.
#[derive(Debug)]
pub struct Terminal {
    server: String,
}

impl Terminal {
    /// Starts `feige` with these arguments on a terminal of this many columns and rows. When it has ended, the
    /// terminal shows `ended with CODE` and its own settings, as `stty` prints them.
    ///
    /// # Errors
    /// [`Missing`] if tmux is not installed.
    ///
    /// # Panics
    /// If tmux does not do its work.
    pub fn start<'a, A: AsRef<std::ffi::OsStr>>(
        place: impl Into<Place<'a>>,
        arguments: impl IntoIterator<Item = A>,
        (columns, rows): (u16, u16),
    ) -> Result<Self, Missing> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let version = Command::new("tmux").arg("-V").output();
        version.map_err(|error| Missing(format!("the command `tmux` does not run: {error}")))?;
        let server = format!("feige-test-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let terminal = Self { server };
        let program = command(place, arguments);
        let mut tmux = terminal.command();
        tmux.args(["-u", "-f", "/dev/null", "new-session", "-d"]);
        tmux.args(["-x", &columns.to_string(), "-y", &rows.to_string()]);
        tmux.arg("-c").arg(program.get_current_dir().expect("the home folder"));
        tmux.arg("env");
        // The variables of the test must not reach the program through tmux.
        for (name, _) in program.get_envs().filter(|(_, value)| value.is_none()) {
            tmux.arg("-u").arg(name);
        }
        for (name, value) in program.get_envs() {
            if let Some(value) = value {
                let mut pair = name.to_owned();
                pair.push("=");
                pair.push(value);
                tmux.arg(pair);
            }
        }
        tmux.args(["sh", "-c", "\"$0\" \"$@\"; echo \"ended with $?\"; stty -a; exec sleep 600"]);
        tmux.arg(program.get_program()).args(program.get_args());
        checked(&mut tmux);
        Ok(terminal)
    }

    /// Presses keys, by their names in tmux: `Enter`, `C-c`, `PageUp` …
    ///
    /// # Panics
    /// If the terminal is gone.
    pub fn press(&self, keys: &[&str]) {
        checked(self.command().args(["send-keys", "-t", "0"]).args(keys));
    }

    /// Types a text and Enter.
    ///
    /// # Panics
    /// If the terminal is gone.
    pub fn enter(&self, text: &str) {
        checked(self.command().args(["send-keys", "-t", "0", "-l", "--", text]));
        self.press(&["Enter"]);
    }

    /// Pastes a text as a terminal does that tells a paste from typing.
    ///
    /// # Panics
    /// If the terminal is gone.
    pub fn paste(&self, text: &str) {
        checked(self.command().args(["set-buffer", "--", text]));
        checked(self.command().args(["paste-buffer", "-p", "-r", "-t", "0"]));
    }

    /// Gives it another size.
    ///
    /// # Panics
    /// If the terminal is gone.
    pub fn resize(&self, columns: u16, rows: u16) {
        let (columns, rows) = (columns.to_string(), rows.to_string());
        checked(self.command().args(["resize-window", "-t", "0", "-x", &columns, "-y", &rows]));
    }

    /// What it shows.
    ///
    /// # Panics
    /// If the terminal is gone.
    #[must_use]
    pub fn screen(&self) -> String {
        String::from_utf8_lossy(&checked(self.command().args(["capture-pane", "-p", "-t", "0"])).stdout).into_owned()
    }

    /// Waits until it shows all of these texts.
    ///
    /// # Panics
    /// If it does not in time.
    #[track_caller]
    pub fn shows(&self, texts: &[&str]) {
        let end = Instant::now() + SOON;
        loop {
            let screen = self.screen();
            let Some(missing) = texts.iter().find(|text| !screen.contains(**text)) else { return };
            assert!(Instant::now() < end, "no {missing:?} within {SOON:?} on\n{screen}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Closes the window, as somebody does who has seen enough: the program is told by a hang-up.
    pub fn close(self) {
        drop(self);
    }

    fn command(&self) -> Command {
        let mut command = Command::new("tmux");
        command.args(["-L", &self.server]).env_remove("TMUX");
        command
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // This server is ours alone.
        let _ = self.command().arg("kill-server").output();
    }
}

fn checked(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}
