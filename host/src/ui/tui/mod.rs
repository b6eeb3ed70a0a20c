//! The full screen of `feige tui`: members, conversations, transfers and a line to write, over the same engine.
//!
//! ```text
//!   engine --- Update ---> Model <--- keys, pastes --- the thread that reads the terminal
//!      ^                     |                              |
//!      |                     +--- changed ---> the thread that draws, at most 20 times a second
//!      +------------------------ Action --------------------+
//! ```
//!
//! `model::Model` is the whole state and does no input or output; the rest is two threads that sleep until there is
//! something to do. The engine never waits for the terminal: what it tells goes into the model, whose size has
//! limits, and a terminal that stands still only stops the thread that draws.
//!
//! Everything from the network is made harmless when it comes in (`text`), so nothing that is drawn can command
//! the terminal. The terminal is given back when the screen is dropped, and before a panic is printed.

mod command;
mod conversation;
mod draw;
mod input;
mod keys;
mod look;
mod members;
mod model;
mod rows;
mod text;
mod transfers;

#[cfg(test)]
mod tests;

pub use model::{Action, Update};

use std::convert::Infallible;
use std::io::{self, BufWriter, Stdout};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::event::{self, DisableBracketedPaste, EnableBracketedPaste, Event};
use ratatui::crossterm::terminal::{self, EnterAlternateScreen, LeaveAlternateScreen};
use ratatui::crossterm::{cursor, execute};

use look::Look;
use model::{Model, Moment};

/// The least time between two drawings.
const PAUSE: Duration = Duration::from_millis(50);

/// The most, after one that took very long: then the terminal stood still.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// How long the terminal may take to show the last picture.
const LAST: Duration = Duration::from_secs(1);

/// A panic was printed: nobody may draw over it.
static BROKEN: AtomicBool = AtomicBool::new(false);

/// The terminal is ours, and to be given back: once, because doing so moves the cursor.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// The full screen.
pub struct Panel {
    shared: Arc<Shared>,
    look: Look,
    drawing: Option<Drawing>,
}

/// The thread that draws.
struct Drawing {
    thread: JoinHandle<()>,
    /// It hangs up when it ends, however it does.
    ended: Receiver<Infallible>,
}

impl Drawing {
    /// Waits until it has ended; `false` if it has not in this time.
    fn has_ended(&self, within: Duration) -> bool {
        self.ended.recv_timeout(within) != Err(RecvTimeoutError::Timeout)
    }
}

struct Shared {
    start: Instant,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    model: Model,
    changed: bool,
    end: bool,
}

impl Panel {
    /// A screen that is not open yet, for somebody with this name.
    #[must_use]
    pub fn new(me: &str, colour: bool) -> Self {
        let home = etcetera::home_dir().ok();
        let model = Model::new(me, home, std::env::current_dir().unwrap_or_default());
        let state = Mutex::new(State { model, changed: true, end: false });
        let shared = Arc::new(Shared { start: Instant::now(), state, changed: Condvar::new() });
        Self { shared, look: Look { colour }, drawing: None }
    }

    /// Takes in what happened; it shows soon.
    pub fn tell(&self, update: Update<'_>) {
        let moment = self.shared.moment();
        self.shared.change(|model| model.apply(moment, update));
    }

    /// Takes the terminal, and tells what the person wants from then on.
    ///
    /// # Errors
    /// What the terminal says.
    pub fn open(&mut self, tell: impl Fn(Action) + Send + Sync + 'static) -> io::Result<()> {
        let tell = Arc::new(tell);
        terminal::enable_raw_mode()?;
        TAKEN.store(true, Ordering::SeqCst);
        let begin = || {
            execute!(io::stdout(), EnterAlternateScreen, EnableBracketedPaste)?;
            Terminal::new(CrosstermBackend::new(BufWriter::with_capacity(16 * 1024, io::stdout())))
        };
        let terminal = begin().inspect_err(|_| restore())?;
        restore_on_panic(Arc::clone(&tell));
        let thread = |name: &str| std::thread::Builder::new().name(name.to_owned()).stack_size(512 * 1024);
        let (shared, look, broken) = (Arc::clone(&self.shared), self.look, Arc::clone(&tell));
        let (alive, ended) = channel();
        let draw = move || {
            let _alive = alive;
            if let Err(error) = shared.draw(terminal, look) {
                broken(Action::Broken(format!("the terminal takes no more: {error}")));
            }
        };
        let thread_that_draws = thread("screen").spawn(draw).inspect_err(|_| restore())?;
        self.drawing = Some(Drawing { thread: thread_that_draws, ended });
        let shared = Arc::clone(&self.shared);
        // It waits for a key when the program ends, and ends with it.
        thread("keys").spawn(move || shared.read(&*tell))?;
        Ok(())
    }
}

impl Drop for Panel {
    fn drop(&mut self) {
        if let Some(drawing) = self.drawing.take() {
            self.shared.lock().end = true;
            self.shared.changed.notify_all();
            let until = Instant::now() + 2 * LAST;
            let mut ended = drawing.has_ended(LAST);
            while !ended && Instant::now() < until {
                discard();
                ended = drawing.has_ended(PAUSE);
            }
            if ended {
                // After a panic there it has restored the terminal already.
                let _ = drawing.thread.join();
                restore();
            }
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // After a panic the program ends; until then the model is as good as it was.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn moment(&self) -> Moment {
        let millis = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        Moment { now: feige_core::time::Instant::from_millis(millis), local: jiff::Zoned::now().datetime() }
    }

    fn change<R>(&self, change: impl FnOnce(&mut Model) -> R) -> R {
        let mut state = self.lock();
        state.changed = true;
        let result = change(&mut state.model);
        drop(state);
        self.changed.notify_all();
        result
    }

    /// Draws what changed, until the end.
    fn draw(&self, mut terminal: Terminal<CrosstermBackend<BufWriter<Stdout>>>, look: Look) -> io::Result<()> {
        loop {
            let waits = |state: &mut State| !state.changed && !state.end;
            let mut state = self.changed.wait_while(self.lock(), waits).unwrap_or_else(PoisonError::into_inner);
            if state.end || BROKEN.load(Ordering::Relaxed) {
                return Ok(());
            }
            state.changed = false;
            let redraw = std::mem::take(&mut state.model.redraw);
            drop(state);
            let begin = Instant::now();
            if redraw {
                // Not `clear`, which asks the terminal where the cursor is: the thread that reads keys has the answer.
                let size = terminal.size()?;
                terminal.resize(size.into())?;
            }
            terminal.draw(|frame| {
                let mut state = self.lock();
                state.model.size = frame.area().as_size().into();
                draw::draw(&state.model, look, frame);
            })?;
            // A slow terminal, or a very long conversation, gets a smaller part of the time.
            let pause = (begin.elapsed() * 3).clamp(PAUSE, LONGEST_PAUSE);
            let _ = self.changed.wait_timeout_while(self.lock(), pause, |state| !state.end);
        }
    }

    /// Reads the terminal, as long as there is one.
    fn read(&self, tell: &(impl Fn(Action) + ?Sized)) {
        loop {
            let action = match event::read() {
                Ok(Event::Key(key)) => {
                    let moment = self.moment();
                    self.change(|model| model.key(moment, key))
                }
                Ok(Event::Paste(text)) => self.change(|model| {
                    model.paste(&text);
                    None
                }),
                Ok(_) => self.change(|_| None),
                Err(error) => {
                    return tell(Action::Broken(format!("the terminal cannot be read any more: {error}")));
                }
            };
            if let Some(action) = action {
                tell(action);
            }
        }
    }
}

/// The terminal stands still: throws away what it has not taken yet, so that whoever writes can end.
fn discard() {
    let _ = rustix::termios::tcflush(io::stdout(), rustix::termios::QueueSelector::OFlush);
    // This alone, which does not wait for the terminal, wakes up who writes to it.
    let _ = terminal::disable_raw_mode();
}

/// Gives the terminal back. If it is gone, there is nothing to give back.
fn restore() {
    if !TAKEN.swap(false, Ordering::SeqCst) {
        return;
    }
    let _ = terminal::disable_raw_mode();
    let _ = execute!(io::stdout(), DisableBracketedPaste, LeaveAlternateScreen, cursor::Show);
}

/// Whichever thread panics: the terminal comes back before the message is printed, and the program leaves.
fn restore_on_panic(tell: Arc<impl Fn(Action) + Send + Sync + 'static>) {
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        BROKEN.store(true, Ordering::Relaxed);
        restore();
        print(panic);
        tell(Action::Broken("this is a mistake in the program; what it printed above helps to find it".to_owned()));
    }));
}
