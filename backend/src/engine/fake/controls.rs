//! How a test makes the fake misbehave: failures, lost answers, delays, and points where a call stands still.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::super::{EngineError, Result};

/// The calls of an engine, to point at one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each is the trait's method of the same name")]
pub enum Call {
    Info,
    EnsureImage,
    EnsureNetwork,
    Create,
    Attach,
    Reattach,
    Start,
    Wait,
    Inspect,
    Signal,
    Pause,
    Unpause,
    StoredLog,
    Stats,
    UpdateLimits,
    Remove,
    List,
}

/// On which side of its effect a call stands still.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Nothing has been done yet.
    Before,
    /// It is done, and the caller does not know it yet.
    After,
}

/// What has been arranged.
#[derive(Default)]
pub(super) struct Controls {
    plan: Mutex<Plan>,
    down: watch::Sender<bool>,
}

#[derive(Default)]
struct Plan {
    counts: HashMap<Call, usize>,
    delays: HashMap<Call, Duration>,
    failures: HashMap<Call, VecDeque<EngineError>>,
    lost: HashMap<Call, usize>,
    holds: Vec<(Call, Moment, Arc<Point>)>,
}

#[derive(Default)]
struct Point {
    reached: watch::Sender<usize>,
    released: watch::Sender<bool>,
}

/// A call that stands still until it is released. Dropping it releases as well.
pub struct Hold(Arc<Point>);

impl Hold {
    /// Waits until a call stands here.
    pub async fn reached(&self) {
        let mut reached = self.0.reached.subscribe();
        // The sender lives in the hold.
        let _ = reached.wait_for(|count| *count > 0).await;
    }

    /// Lets all calls go, those that stand here and those to come.
    pub fn release(&self) {
        self.0.released.send_replace(true);
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.release();
    }
}

impl Controls {
    pub fn fail_next(&self, call: Call, error: EngineError) {
        self.plan().failures.entry(call).or_default().push_back(error);
    }

    pub fn lose_next_answer(&self, call: Call) {
        *self.plan().lost.entry(call).or_default() += 1;
    }

    pub fn delay(&self, call: Call, time: Duration) {
        self.plan().delays.insert(call, time);
    }

    pub fn hold(&self, call: Call, moment: Moment) -> Hold {
        let point = Arc::new(Point::default());
        self.plan().holds.push((call, moment, Arc::clone(&point)));
        Hold(point)
    }

    pub fn count(&self, call: Call) -> usize {
        self.plan().counts.get(&call).copied().unwrap_or(0)
    }

    pub fn forget(&self) {
        let mut plan = self.plan();
        let Plan { counts: _, delays, failures, lost, holds } = &mut *plan;
        delays.clear();
        failures.clear();
        lost.clear();
        holds.clear();
    }

    pub fn set_down(&self, down: bool) {
        self.down.send_replace(down);
    }

    pub fn is_down(&self) -> bool {
        *self.down.borrow()
    }

    pub async fn until_up(&self) {
        let mut down = self.down.subscribe();
        let _ = down.wait_for(|down| !down).await;
    }

    /// What a call goes through before it takes effect.
    pub async fn before(&self, call: Call) -> Result<()> {
        let delay = {
            let mut plan = self.plan();
            *plan.counts.entry(call).or_default() += 1;
            plan.delays.get(&call).copied()
        };
        if let Some(delay) = delay {
            tokio::time::sleep(delay).await;
        }
        self.stand_still(call, Moment::Before).await;
        // A wait outlives the daemon's absence by contract; the others say that it is away.
        if call == Call::Wait {
            self.until_up().await;
        } else if self.is_down() {
            return Err(unavailable("the fake Docker is down"));
        }
        match self.plan().failures.get_mut(&call).and_then(VecDeque::pop_front) {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// What a call goes through between its effect and its answer.
    pub async fn after(&self, call: Call) -> Result<()> {
        self.stand_still(call, Moment::After).await;
        let mut plan = self.plan();
        match plan.lost.get_mut(&call) {
            Some(left) if *left > 0 => {
                *left -= 1;
                Err(unavailable("the answer got lost"))
            }
            _ => Ok(()),
        }
    }

    async fn stand_still(&self, call: Call, moment: Moment) {
        let points: Vec<Arc<Point>> = {
            let mut plan = self.plan();
            plan.holds.retain(|(_, _, point)| !*point.released.borrow());
            let here = plan.holds.iter().filter(|(at, when, _)| (*at, *when) == (call, moment));
            here.map(|(_, _, point)| Arc::clone(point)).collect()
        };
        for point in points {
            point.reached.send_modify(|count| *count += 1);
            let mut released = point.released.subscribe();
            let _ = released.wait_for(|released| *released).await;
        }
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn unavailable(reason: &str) -> EngineError {
    EngineError::Unavailable { call: "fake", reason: reason.to_owned(), source: None }
}
