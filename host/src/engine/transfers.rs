//! Downloads, what is served, the prompt, and other instances: all that comes from other threads and sockets.

use super::job::{Origin, Work};
use super::{Engine, Mode, Notice, prompt};
use crate::control::Request;
use crate::exit::{Exit, Failure};
use crate::transfer::{Downloaded, Event as Served, Failed, Fetch};
use crate::ui::event::{Event, Transfer};
use crate::ui::tui::Action;

impl Engine {
    /// Starts downloads that were asked for, as far as there may be more at a time.
    pub(super) fn start_downloads(&mut self) {
        let Some(folder) = self.folder.clone() else { return };
        while let Err((index, error)) = self.offers.start(&folder, self.clock, &self.notices) {
            self.download_failed(index, Exit::Failed, &format!("no thread for it: {error}"));
        }
    }

    /// Other threads told something.
    pub(super) fn listen_to_threads(&mut self) {
        while let Ok(notice) = self.notice.try_recv() {
            match notice {
                Notice::Fetching(index, progress) => {
                    if let Some(offered) = self.offers.at(index) {
                        let name = offered.file.name.clone();
                        self.screen.progress(Transfer::Download { index }, &name, progress.done, progress.total);
                    }
                }
                Notice::Fetched(index, result) => {
                    self.screen.progress_end(Transfer::Download { index });
                    self.fetched(index, result);
                    self.start_downloads();
                }
                Notice::Serving(event) => self.served(event),
                Notice::Person(action) => self.act(action),
                Notice::Line(None) => self.exit = Some(Ok(Exit::Done)),
                Notice::Line(Some(line)) => self.line(&line),
            }
        }
    }

    fn fetched(&mut self, index: u32, result: Result<Downloaded, Failed>) {
        let downloaded = match result {
            Ok(downloaded) => downloaded,
            Err(failed) => {
                return self.download_failed(index, failed.error.exit(), &failed.to_string());
            }
        };
        let Some(offered) = self.offers.ended(index, true) else { return };
        let event = Event::Downloaded {
            name: offered.file.name,
            path: downloaded.path,
            size: downloaded.size,
            md5: downloaded.md5.map(|digest| digest.iter().map(|octet| format!("{octet:02x}")).collect()),
            index,
        };
        self.publish(&event);
        self.fetch_ended(index, Exit::Done, &event);
        if matches!(self.mode, Mode::Listen { once: true, .. }) && !self.offers.is_busy() && self.hesitating.is_empty()
        {
            self.exit.get_or_insert(Ok(Exit::Done));
        }
    }

    fn download_failed(&mut self, index: u32, exit: Exit, error: &str) {
        let Some(offered) = self.offers.ended(index, false) else { return };
        let event = Event::Failed {
            what: offered.file.name,
            error: error.to_owned(),
            index: Some(index),
            packet: None,
            to: None,
        };
        self.publish(&event);
        self.fetch_ended(index, exit, &event);
    }

    fn fetch_ended(&mut self, index: u32, how: Exit, event: &Event) {
        let mut origins = Vec::new();
        for job in &mut self.jobs {
            if let Work::Fetch { waiting, exit } = &mut job.work
                && waiting.remove(&index)
            {
                if *exit == Exit::Done {
                    *exit = how;
                }
                origins.push(job.origin);
            }
        }
        for origin in origins {
            if !origin.is_person() {
                self.reply(origin, event);
            }
        }
    }

    fn served(&mut self, event: Served) {
        let now = self.clock.now();
        match event {
            Served::Progress(fetch, progress) => {
                self.screen.progress(upload(&fetch), &fetch.name, progress.done, progress.total);
            }
            Served::Served { fetch, totals } => {
                self.screen.progress_end(upload(&fetch));
                let event = Event::Served {
                    name: fetch.name,
                    to: fetch.to,
                    size: totals.octets,
                    packet: fetch.packet_no.0.into(),
                    id: fetch.id,
                };
                self.each_target(fetch.packet_no, fetch.to, |target, _| target.served(fetch.id, totals.skipped == 0));
                self.tell(fetch.packet_no, fetch.to, &event);
            }
            Served::Failed { fetch, error } => {
                self.screen.progress_end(upload(&fetch));
                self.each_target(fetch.packet_no, fetch.to, |target, _| target.broke(now));
                let what = format!("{} to {}", fetch.name, fetch.to.ip());
                self.serving_failed(&fetch, what, error.to_string());
            }
            Served::Skipped { fetch, path, error } => {
                let what = path.display().to_string();
                self.serving_failed(&fetch, what, error.to_string());
            }
            Served::NotOffered { from, packet_no, id, .. } => {
                self.screen.detail(|| {
                    format!("{from} asks for file {id} of message {}, which it was not offered", packet_no.0)
                });
            }
            Served::NoRequest { from, error } => {
                self.screen.detail(|| format!("{from} connected and did not ask for anything: {error}"));
            }
            Served::TooMany { from, refusal } => self.screen.note(&format!("feige: {from} refused: {refusal}")),
        }
    }

    fn serving_failed(&mut self, fetch: &Fetch, what: String, error: String) {
        let packet = Some(fetch.packet_no.0.into());
        self.tell(fetch.packet_no, fetch.to, &Event::Failed { what, error, index: None, packet, to: Some(fetch.to) });
    }

    /// The person at the full screen wants something.
    fn act(&mut self, action: Action) {
        match action {
            Action::Ask(wish, request) => self.submit(request, Origin::Person(Some(wish))),
            Action::Open(number) => {
                if let Err(Failure { message, .. }) = self.open_sealed(number) {
                    self.screen.note(&message);
                }
            }
            Action::Quit => self.exit = Some(Ok(Exit::Done)),
            Action::Broken(why) => self.exit = Some(Err(Failure::new(why))),
        }
    }

    /// A line was typed at the prompt.
    fn line(&mut self, line: &[u8]) {
        match prompt::parse(line) {
            Ok(prompt::Command::Nothing) => {}
            Ok(prompt::Command::Help) => prompt::HELP.lines().for_each(|line| self.screen.note(line)),
            Ok(prompt::Command::Quit) => self.exit = Some(Ok(Exit::Done)),
            Ok(prompt::Command::Open(number)) => {
                if let Err(Failure { message, .. }) = self.open_sealed(number) {
                    self.screen.note(&message);
                }
            }
            Ok(prompt::Command::Members) => {
                let members = self.directory.everybody();
                if members.is_empty() {
                    self.screen.note("nobody is there");
                }
                self.screen.members(&members);
            }
            Ok(prompt::Command::Ask(request)) => {
                match &request {
                    Request::Away { text } => self.screen.note(&format!("away: {text}")),
                    Request::Back => self.screen.note("back"),
                    _ => {}
                }
                self.submit(request, Origin::Person(None));
            }
            Err(message) => self.screen.note(&message),
        }
    }
}

fn upload(fetch: &Fetch) -> Transfer {
    Transfer::Upload { packet: fetch.packet_no.0, id: fetch.id, to: fetch.to }
}

mod clients {
    use mio::Token;

    use super::super::{CLIENT, Engine};
    use super::{Event, Exit, Origin};

    impl Engine {
        /// As many other instances may ask at a time.
        const CLIENTS: usize = 64;

        pub(in super::super) fn accept_clients(&mut self) {
            while let Some(mut client) = self.control.as_ref().and_then(crate::control::Server::accept) {
                let number = self.next_client;
                let registered = client.register(self.poll.registry(), Token(CLIENT.0 + number));
                if self.clients.len() < Self::CLIENTS && registered.is_ok() {
                    self.clients.insert(number, client);
                    self.next_client += 1;
                }
            }
        }

        /// Another instance asks, or reads on.
        pub(in super::super) fn client(&mut self, number: usize) {
            let Some(client) = self.clients.get_mut(&number) else { return };
            if client.flush().is_err() {
                return self.drop_client(number);
            }
            match client.read() {
                Ok(Some(request)) => self.submit(request, Origin::Client(number)),
                Ok(None) => {}
                Err(_) => self.drop_client(number),
            }
        }

        pub(in super::super) fn tell_client(&mut self, number: usize, event: &Event) {
            if self.clients.get_mut(&number).is_some_and(|client| client.tell(event).is_err()) {
                self.drop_client(number);
            }
        }

        pub(in super::super) fn end_client(&mut self, number: usize, exit: Exit, message: Option<String>) {
            if let Some(client) = self.clients.get_mut(&number) {
                // It closes when it has read this.
                let _ = client.end(exit, message);
            }
        }

        pub(in super::super) fn flush_clients(&mut self) {
            for client in self.clients.values_mut() {
                let _ = client.flush();
            }
        }

        /// The other instance is gone: what it asked for is not wanted any more.
        fn drop_client(&mut self, number: usize) {
            if let Some(mut client) = self.clients.remove(&number) {
                client.deregister(self.poll.registry());
            }
            for job in self.jobs.extract_if(.., |job| job.origin == Origin::Client(number)) {
                if let super::Work::Send(sending) = &job.work
                    && let Some(packet_no) = sending.packet_no
                {
                    self.shares.withdraw(packet_no);
                }
            }
        }
    }
}
