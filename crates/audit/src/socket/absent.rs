//! Where there are no Unix sockets, a home is used by one process at a time.

use std::path::Path;
use std::sync::Arc;

use crate::AuditError;
use crate::owner::Owner;
use crate::pending::Verdict;
use crate::proof::{Proof, Selector, Status};
use crate::query::{Filter, Sink};

/// Never made here.
pub(crate) enum Client {}

impl Client {
    pub(crate) fn connect(_: &Path) -> Result<Option<Self>, AuditError> {
        Ok(None)
    }
    pub(crate) fn submit(&self, _: &[Vec<u8>]) -> Result<Vec<u64>, AuditError> {
        match *self {}
    }
    pub(crate) fn verdicts(&self, _: &[u64]) -> Result<Vec<Verdict>, AuditError> {
        match *self {}
    }
    pub(crate) fn status(&self) -> Result<Status, AuditError> {
        match *self {}
    }
    pub(crate) fn checkpoint(&self) -> Result<String, AuditError> {
        match *self {}
    }
    pub(crate) fn prove(&self, _: &Selector) -> Result<Proof, AuditError> {
        match *self {}
    }
    pub(crate) fn vault(&self, _: &crate::vault::VaultCall) -> Result<crate::vault::VaultAnswer, AuditError> {
        match *self {}
    }
    pub(crate) fn prove_consistency(&self, _: u64) -> Result<String, AuditError> {
        match *self {}
    }
    pub(crate) fn retention(&self, _: bool) -> Result<crate::retention::Report, AuditError> {
        match *self {}
    }
    pub(crate) fn apply_retention(
        &self,
        _: crate::retention::Orders,
    ) -> Result<crate::retention::Applied, AuditError> {
        match *self {}
    }
    pub(crate) fn trace_seen(&self, _: &str, _: std::time::Duration) -> Result<bool, AuditError> {
        match *self {}
    }
    pub(crate) fn stream(
        &self,
        _: &Filter,
        _: bool,
        _: &dyn Fn() -> bool,
        _: &mut Sink<'_>,
        _: &mut dyn FnMut() -> Result<(), AuditError>,
    ) -> Result<(), AuditError> {
        match *self {}
    }
}

/// Serves nobody; the lock alone keeps others out.
pub(crate) struct Server;

impl Server {
    pub(crate) fn start(_: &Path, _: &Arc<Owner>) -> Result<Self, AuditError> {
        Ok(Self)
    }
    pub(crate) fn block_when_full(&self, _: std::time::Duration) {}
    pub(crate) fn stop(&mut self) {}
}
