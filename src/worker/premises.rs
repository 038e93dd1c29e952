//! Where the office is: nowhere while its store is closed because the disk failed, or while it does not run.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Office;
use super::counters::Counted;
use super::health::{Health, Status};
use super::pulse::Pulse;

/// What commands and the console go to.
#[derive(Debug)]
pub struct Premises {
    health: Arc<Health>,
    place: Mutex<Place>,
}

#[derive(Debug, Default)]
enum Place {
    /// Nobody works on the store.
    #[default]
    Vacant,
    /// It is to be opened again.
    Closed,
    Open(Arc<Office>),
}

impl Premises {
    pub fn new(office: Arc<Office>) -> Self {
        Self { health: Arc::clone(&office.health), place: Mutex::new(Place::Open(office)) }
    }

    /// Without an office yet.
    pub fn vacant(health: Arc<Health>) -> Self {
        Self { health, place: Mutex::default() }
    }

    pub fn health(&self) -> &Arc<Health> {
        &self.health
    }

    pub fn office(&self) -> Option<Arc<Office>> {
        match &*self.place() {
            Place::Open(office) => Some(Arc::clone(office)),
            Place::Vacant | Place::Closed => None,
        }
    }

    /// Whether nobody works on the store, so that others may.
    pub fn is_vacant(&self) -> bool {
        matches!(*self.place(), Place::Vacant)
    }

    pub fn open(&self, office: Arc<Office>) {
        *self.place() = Place::Open(office);
    }

    /// The store has to be closed, for this reason.
    pub fn close(&self, why: &str) {
        self.health.intake_stopped(why);
        self.leave(Place::Closed);
    }

    /// Nobody works on the store any more.
    pub fn vacate(&self) {
        self.leave(Place::Vacant);
    }

    fn leave(&self, after: Place) {
        if let Place::Open(office) = std::mem::replace(&mut *self.place(), after)
            && let Ok(counts) = office.store.counts()
        {
            self.health.status(Some(&counts));
        }
    }

    /// How the daemon is, with the counts last seen.
    pub fn status(&self) -> Status {
        self.health.status(None)
    }

    /// What happened since the start.
    pub fn counted(&self) -> Counted {
        self.health.counters.now()
    }

    /// How the loops are.
    pub fn pulse(&self) -> &Pulse {
        &self.health.pulse
    }

    fn place(&self) -> MutexGuard<'_, Place> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
