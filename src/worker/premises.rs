//! Where the office is: nowhere while its store is closed, because it is not open yet or the disk failed.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Office;
use super::health::{Health, Status};
use super::pulse::Pulse;

/// What commands and the console go to.
#[derive(Debug)]
pub struct Premises {
    health: Arc<Health>,
    office: Mutex<Option<Arc<Office>>>,
}

impl Premises {
    pub fn new(office: Arc<Office>) -> Self {
        Self { health: Arc::clone(&office.health), office: Mutex::new(Some(office)) }
    }

    /// Without an office yet.
    pub fn closed(health: Arc<Health>) -> Self {
        Self { health, office: Mutex::default() }
    }

    pub fn health(&self) -> &Arc<Health> {
        &self.health
    }

    pub fn office(&self) -> Option<Arc<Office>> {
        self.slot().clone()
    }

    pub fn open(&self, office: Arc<Office>) {
        *self.slot() = Some(office);
    }

    /// The store has to be closed, for this reason.
    pub fn close(&self, why: &str) {
        self.health.intake_stopped(why);
        if let Some(Ok(counts)) = self.slot().take().map(|office| office.store.counts()) {
            self.health.status(Some(&counts));
        }
    }

    /// How the daemon is, with the counts last seen.
    pub fn status(&self) -> Status {
        self.health.status(None)
    }

    /// How the loops are.
    pub fn pulse(&self) -> &Pulse {
        &self.health.pulse
    }

    fn slot(&self) -> MutexGuard<'_, Option<Arc<Office>>> {
        self.office.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
