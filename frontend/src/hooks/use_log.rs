//! Follows a run's log: the stream fills the model, and the page is redrawn at most a few times a second.

use std::cell::RefCell;
use std::rc::Rc;

use fastflow_shared::{LogLines, LogSkipped, events, routes};
use gloo_timers::callback::Timeout;
use yew::prelude::*;

use crate::api::stream::{Link, Plan, Stream, payload};
use crate::logic::log_model::LogModel;
use crate::logic::query::url;

/// Milliseconds between two redraws.
const REDRAW: u32 = 80;
/// Lines asked for at first when the log is long.
const TAIL: usize = 1_000;

/// A log that is being followed.
#[derive(Clone)]
pub struct LogHandle {
    /// Its rows.
    pub model: Rc<RefCell<LogModel>>,
    /// Grows with every change, so that a view knows when to draw.
    pub version: u64,
    /// State of the connection.
    pub link: Link,
}

impl PartialEq for LogHandle {
    fn eq(&self, other: &Self) -> bool {
        self.version == other.version && self.link == other.link && Rc::ptr_eq(&self.model, &other.model)
    }
}

/// Follows the log of a run, from byte `from` on or from its tail. `ended` is told when the run has ended.
#[hook]
pub fn use_log(run: String, from: Option<i64>, ended: Callback<()>) -> LogHandle {
    let model = use_mut_ref(LogModel::tail);
    let version = use_mut_ref(|| 0_u64);
    let link = use_state_eq(|| Link::Connecting);
    let redraw = use_force_update();

    let (cell, count, setter) = (model.clone(), version.clone(), link.setter());
    use_effect_with((run, from), move |(run, from)| {
        *cell.borrow_mut() = from.map_or_else(LogModel::tail, LogModel::starting_at);
        setter.set(Link::Connecting);
        let timer: Rc<RefCell<Option<Timeout>>> = Rc::default();
        let draw = {
            let timer = timer.clone();
            move || {
                *count.borrow_mut() += 1;
                if timer.borrow().is_none() {
                    let (done, redraw) = (timer.clone(), redraw.clone());
                    let timeout = Timeout::new(REDRAW, move || {
                        drop(done.borrow_mut().take());
                        redraw.force_update();
                    });
                    *timer.borrow_mut() = Some(timeout);
                }
            }
        };
        let (place, path) = (cell.clone(), routes::run_logs_stream(run));
        let stream = Stream::open(Plan {
            // Where to go on is asked anew at every attempt: that is what makes a reconnect exact.
            url: Box::new(move || match place.borrow().resume_at() {
                Some(offset) => url(&path, &[("offset", offset.to_string())]),
                None => url(&path, &[("tail", TAIL.to_string())]),
            }),
            events: &[events::LINES, events::SKIPPED, events::END, events::RECONNECT],
            last: Some(events::END),
            on_event: Box::new(move |name, data| {
                match name {
                    events::LINES => {
                        if let Some(batch) = payload::<LogLines>(&data) {
                            cell.borrow_mut().lines(batch.lines, batch.next);
                        }
                    }
                    events::SKIPPED => {
                        if let Some(gap) = payload::<LogSkipped>(&data) {
                            cell.borrow_mut().skipped(gap);
                        }
                    }
                    _ => ended.emit(()),
                }
                draw();
            }),
            on_link: Box::new(move |link| setter.set(link)),
        });
        move || {
            drop(stream);
            timer.borrow_mut().take();
        }
    });
    let version = *version.borrow();
    LogHandle { model, version, link: *link }
}
