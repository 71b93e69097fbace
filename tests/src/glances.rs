//! Looks again and again, while a test runs, at what a group has committed and where its topics end.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::oracle::Glance;
use crate::wire::Wire;

/// The time between two glances.
const PAUSE: Duration = Duration::from_millis(50);

/// What is looked at.
#[derive(Debug, Clone)]
pub struct Scene {
    /// The broker.
    pub bootstrap: String,
    /// The group.
    pub group: String,
    /// The topic whose committed offsets count.
    pub input: String,
    /// The output topic and how many partitions it has.
    pub output: (String, i32),
    /// The dead letter topic likewise.
    pub dead: (String, i32),
}

/// See the module. Stops when dropped.
#[derive(Debug)]
pub struct Glances {
    stop: Arc<AtomicBool>,
    looker: Option<JoinHandle<Vec<Glance>>>,
}

impl Glances {
    /// Starts to look.
    pub fn start(scene: Scene) -> Self {
        let stop = Arc::<AtomicBool>::default();
        let told = stop.clone();
        let looker = std::thread::spawn(move || {
            let mut glances: Vec<Glance> = Vec::new();
            let mut wire = None;
            while !told.load(Ordering::Relaxed) {
                // A broker that is down is looked at again when it is back. A topic that is missing, or whose broker is
                // not ready yet, has no ends: such a glance says nothing.
                match look(&scene, &mut wire) {
                    Ok(glance) if glances.last() == Some(&glance) => {}
                    Ok(glance) => glances.push(glance),
                    Err(_) => wire = None,
                }
                std::thread::sleep(PAUSE);
            }
            glances
        });
        Self { stop, looker: Some(looker) }
    }

    /// What was seen, in order; equal neighbours once.
    #[track_caller]
    pub fn close(mut self) -> Vec<Glance> {
        self.stop.store(true, Ordering::Relaxed);
        let looker = self.looker.take().expect("it is closed once");
        looker.join().expect("the looker ends")
    }
}

impl Drop for Glances {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// Offsets first: what they pass must have been written by then, so that it lies below the ends.
fn look(scene: &Scene, wire: &mut Option<Wire>) -> io::Result<Glance> {
    let wire = match wire {
        Some(wire) => wire,
        None => wire.insert(Wire::connect(&scene.bootstrap)?),
    };
    let committed = wire.committed(&scene.group)?;
    let of_input = committed.into_iter().filter(|((topic, _), _)| *topic == scene.input);
    Ok(Glance {
        committed: of_input.map(|((_, partition), committed)| (partition, committed.offset)).collect(),
        output_ends: wire.ends(&scene.output.0, scene.output.1)?,
        dead_ends: wire.ends(&scene.dead.0, scene.dead.1)?,
    })
}
