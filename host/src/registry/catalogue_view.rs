//! How the log's reader informs the rest what it has read, and what it still waits for.

use std::sync::Arc;

use tokio::sync::watch;

use crate::model::function_table::FunctionTable;
use crate::registry::catalogue::FunctionCatalogue;

/// Whether the registry has been read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RegistryReadiness {
    /// Not yet; this is what is missing.
    Waiting(String),
    /// Read to its end at least once.
    Ready,
}

/// The writing end: the log's reader has it.
#[derive(Debug)]
pub(crate) struct CatalogueWriter {
    catalogue: watch::Sender<Arc<FunctionCatalogue>>,
    table: watch::Sender<Arc<FunctionTable>>,
    readiness: watch::Sender<RegistryReadiness>,
}

#[derive(Debug, Clone)]
pub(crate) struct CatalogueView {
    pub(crate) catalogue: watch::Receiver<Arc<FunctionCatalogue>>,
    pub(crate) table: watch::Receiver<Arc<FunctionTable>>,
    /// Whether anything has been read.
    pub(crate) readiness: watch::Receiver<RegistryReadiness>,
}

/// Both ends, with an empty catalogue that no one has read.
pub(crate) fn publication() -> (CatalogueWriter, CatalogueView) {
    let (catalogue_sender, catalogue) = watch::channel(Arc::default());
    let (table_sender, table) = watch::channel(Arc::default());
    let (readiness_sender, readiness) =
        watch::channel(RegistryReadiness::Waiting("the registry is not read yet".to_owned()));
    let publication = CatalogueWriter { catalogue: catalogue_sender, table: table_sender, readiness: readiness_sender };
    (publication, CatalogueView { catalogue, table, readiness })
}

impl CatalogueWriter {
    /// Publishes a catalogue that has been read to the log's end.
    pub(crate) fn publish(&self, catalogue: FunctionCatalogue) {
        self.table.send_replace(Arc::new(catalogue.table()));
        self.catalogue.send_replace(Arc::new(catalogue));
        self.readiness.send_if_modified(|readiness| {
            let was_waiting = *readiness != RegistryReadiness::Ready;
            *readiness = RegistryReadiness::Ready;
            was_waiting
        });
    }

    /// Says what is asked for first; nothing is wrong yet.
    pub(crate) fn start_waiting(&self, what: String) {
        self.readiness.send_replace(RegistryReadiness::Waiting(what));
    }

    /// Says what is missing. What was published before stays.
    pub(crate) fn wait_for(&self, what: String) {
        let waiting = RegistryReadiness::Waiting(what);
        if *self.readiness.borrow() == waiting {
            return;
        }
        if let RegistryReadiness::Waiting(what) = &waiting {
            tracing::warn!("the registry waits: {what}");
        }
        self.readiness.send_replace(waiting);
    }

    pub(crate) fn catalogue(&self) -> Arc<FunctionCatalogue> {
        Arc::clone(&self.catalogue.borrow())
    }

    pub(crate) fn readiness(&self) -> RegistryReadiness {
        self.readiness.borrow().clone()
    }
}
