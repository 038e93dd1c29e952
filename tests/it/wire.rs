//! Every fault of the wire, between the program and real servers: the connection cut, stalled or garbled at any byte,
//! lines changed and put in between, commands refused. After each: no letter is lost or taken twice, each reply is
//! accepted, and repeated only where its acceptance was not heard of, as the same mail.
//!
//! Sweeps try a spread of places, the same ones in every run; `WIRE_SWEEP=all` tries every byte.

#![allow(clippy::print_stdout, reason = "figures, for who asks with --nocapture")]

mod imap;
mod smtp;
mod start;
mod tls;
mod whole;

use std::collections::BTreeSet;
use std::sync::Arc;

use aftersalesd::app;
use aftersalesd::domain::ids::LetterId;
use aftersalesd::ports::{Mailer, Position};
use aftersalesd::store::Store;
use aftersalesd::worker::{Office, Stop, inbound, outbound};
use sha2::{Digest, Sha256};

use crate::support::letter;
use crate::support::program::{Installation, await_that};

/// The size of the letters, in bytes.
const SIZE: usize = 400;

/// The worker's office, with a store of its own for each try.
pub struct Desk {
    office: Option<Arc<Office>>,
    _here: Installation,
}

impl Desk {
    pub fn new() -> Self {
        let here = Installation::of_maildirs();
        let config = app::load(&here.path("config.toml")).unwrap();
        let mut office = app::Setup::new(&config).unwrap().office(&config, Store::temporary().unwrap());
        office.replies_per_hour = usize::MAX;
        Self { office: Some(Arc::new(office)), _here: here }
    }

    pub fn office(&self) -> &Arc<Office> {
        self.office.as_ref().unwrap()
    }

    /// Begins with an empty store.
    pub fn renew(&mut self) {
        let mut held = self.office.take();
        let mut free = None;
        // A stage of the worker may be about to end.
        await_that(std::time::Duration::from_secs(20), "the worker's end", || {
            match Arc::try_unwrap(held.take().unwrap()) {
                Ok(office) => free = Some(office),
                Err(shared) => held = Some(shared),
            }
            free.is_some()
        });
        let office: Office = free.unwrap().anew()(Store::temporary().unwrap());
        self.office = Some(Arc::new(office));
    }

    /// Takes a letter in, without any mailbox.
    pub fn take(&self, raw: &str) {
        app::triage::take(self.office(), raw.as_bytes(), false).unwrap();
    }

    /// Offers what waits in the outbox once.
    pub async fn send(&self, mailer: &impl Mailer) -> outbound::Sent {
        let (switch, mut no_more_letters) = Stop::new();
        switch.send(true).unwrap();
        outbound::empty(mailer, self.office(), &mut no_more_letters).await.unwrap()
    }

    /// Drains the mailbox until that succeeds; gives the number of passes that failed.
    pub async fn drain(&self, mailbox: &mut impl aftersalesd::ports::Mailbox, folder: &str) -> usize {
        const MOST: usize = 8;
        let (_switch, stop) = Stop::new();
        for failed in 0..MOST {
            match inbound::drain(mailbox, folder, self.office(), &stop).await {
                Ok(_) => return failed,
                Err(trouble) if failed + 1 == MOST => panic!("{trouble}"),
                Err(_) => {}
            }
        }
        unreachable!("the last pass returns or panics")
    }

    /// Each of the first so many letters is kept byte for byte and is in exactly one case of its own, with one reply, and the mailbox knows.
    pub fn assert_taken(&self, letters: usize, folder: &str, what: &str) {
        let store = &self.office().store;
        let cases: Vec<_> = store.cases().map(Result::unwrap).collect();
        let customers: BTreeSet<_> = cases.iter().map(|case| case.customer.address.to_string()).collect();
        for number in 0..letters {
            let raw = letter(number, SIZE);
            let id = LetterId::from_digest(&Sha256::digest(&raw).into());
            assert_eq!(store.raw(&id).unwrap().as_deref(), Some(raw.as_bytes()), "{what}: letter {number}");
        }
        let counts = store.counts().unwrap();
        assert_eq!((cases.len(), customers.len()), (letters, letters), "{what}");
        assert!(cases.iter().all(|case| case.letters == 1 && case.replies == 1), "{what}");
        assert_eq!((counts.quarantined, counts.waiting), (0, letters as u64), "{what}");
        assert_eq!(store.unmarked(folder).unwrap(), Vec::<Position>::new(), "{what}");
    }
}

/// The places to try of a session of so many bytes: all of them if asked for, else `most` evenly spread ones and all
/// ends of lines with their neighbours.
pub fn places(session: &[u8], most: usize) -> Vec<usize> {
    let length = session.len();
    if std::env::var("WIRE_SWEEP").is_ok_and(|wish| wish == "all") {
        return (0..length).collect();
    }
    let spread = (0..most).map(|n| n * length / most);
    let borders = session.iter().enumerate().filter(|(_, byte)| **byte == b'\n').flat_map(|(at, _)| [at, at + 1]);
    let mut places: Vec<usize> = spread.chain(borders).filter(|place| *place < length).collect();
    places.sort_unstable();
    places.dedup();
    // Bodies have many lines that are all alike.
    let step = places.len().div_ceil(most).max(1);
    places.into_iter().step_by(step).collect()
}

/// Runs a test on the worker's own kind of runtime.
pub fn block_on<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(test)
}
