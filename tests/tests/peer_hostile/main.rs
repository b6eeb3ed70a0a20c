//! `feige peer` and `feige fetch` among those who mean no good: after each attempt the peer is alive, idle, has nothing new
//! in its home, has said once what was wrong, and still answers.
#![cfg(target_os = "linux")]

mod archives;
mod crowd;
mod links;
mod parcels;
mod texts;
