//! Room for work: how many requests, and of whom, are worked on at a time. Who finds no room is told at once, with
//! the time to come again, and nothing of the request is kept.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use hyper::StatusCode;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::answer::Problem;
use super::settings::Settings;

/// Room for requests.
pub(crate) struct Intake {
    all: Arc<Semaphore>,
    most: usize,
    each: usize,
    callers: Arc<Mutex<HashMap<String, usize>>>,
}

/// Room that one request was given; it is given back with the value.
pub(crate) struct Room {
    _one_of_all: OwnedSemaphorePermit,
    callers: Arc<Mutex<HashMap<String, usize>>>,
    name: String,
}

impl Intake {
    pub(crate) fn new(settings: &Settings) -> Self {
        let most = settings.in_flight;
        let all = Arc::new(Semaphore::new(most));
        Self { all, most, each: settings.in_flight_each.min(most), callers: Arc::default() }
    }

    /// Threads that may be needed at a time: one for each request, and some for what the daemon does by itself.
    pub(crate) fn threads(&self) -> usize {
        self.most + 8
    }

    /// Requests that are worked on.
    pub(crate) fn in_flight(&self) -> usize {
        self.most - self.all.available_permits().min(self.most)
    }

    /// Room for a request of this caller.
    pub(crate) fn enter(&self, name: &str) -> Result<Room, Problem> {
        let permit = Arc::clone(&self.all)
            .try_acquire_owned()
            .map_err(|_| Problem::later(StatusCode::SERVICE_UNAVAILABLE, "the daemon is busy", 1))?;
        let mut callers = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
        let count = callers.entry(name.to_owned()).or_default();
        if *count >= self.each {
            let detail = format!("`{name}` has {count} requests under way already");
            return Err(Problem::later(StatusCode::TOO_MANY_REQUESTS, detail, 1));
        }
        *count += 1;
        let callers = Arc::clone(&self.callers);
        Ok(Room { _one_of_all: permit, callers, name: name.to_owned() })
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let mut callers = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
        match callers.get_mut(&self.name) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(callers.remove(&self.name)),
        }
    }
}
