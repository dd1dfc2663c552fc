//! A run's log: followed by a stream, or a part of it read page by page. The page is redrawn at most a few times a second.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use fastflow_shared::{LogLines, LogSkipped, MetricsBatch, events, routes};
use gloo_timers::callback::Timeout;
use wasm_bindgen_futures::spawn_local;
use yew::prelude::*;

use crate::api;
use crate::api::stream::{Link, Plan, Stream, payload};
use crate::logic::fault::Fault;
use crate::logic::log_model::LogModel;
use crate::logic::query::url;

/// Milliseconds between two redraws.
const REDRAW: u32 = 80;
/// Lines asked for at first when the log is long.
const TAIL: usize = 1_000;
/// Lines of a page.
const PAGE: usize = 500;

/// Which part of a log is shown.
#[derive(Debug, Clone, PartialEq)]
pub enum Part {
    /// From this byte on, or its tail, and then what comes.
    Live(Option<i64>),
    /// The lines around a place: `offset`, `line` or `time` and its value. The number tells two jumps apart.
    Around(&'static str, String, u32),
}

/// A log that is being followed or read.
#[derive(Clone)]
pub struct LogHandle {
    /// Its rows.
    pub model: Rc<RefCell<LogModel>>,
    /// Grows with every change, so that a view knows when to draw.
    pub version: u64,
    /// State of the connection.
    pub link: Link,
    /// Offset of the line that was jumped to.
    pub found: Option<i64>,
    /// What a page could not be read for.
    pub fault: Option<Fault>,
    /// Told to read the page after the last row, or before the first.
    pub onmore: Callback<bool>,
}

/// What is done with samples that come along with the lines.
pub type OnSamples = Callback<MetricsBatch>;

/// Shows a part of the log of a run. `ended` is told when the run has ended, `samples` of CPU and memory while it goes on.
#[hook]
pub fn use_log(run: String, part: Part, ended: Callback<()>, samples: OnSamples) -> LogHandle {
    let model = use_mut_ref(LogModel::tail);
    let version = use_mut_ref(|| 0_u64);
    let link = use_state_eq(|| Link::Connecting);
    let found = use_state_eq(|| None::<i64>);
    let fault = use_state_eq(|| None::<Fault>);
    let redraw = use_force_update();
    // Counts the parts that were asked for: a page of an older one is dropped.
    let asked = use_memo((), |()| Cell::new(0_u32));

    let draw: Rc<dyn Fn()> = {
        let (count, redraw) = (version.clone(), redraw.clone());
        Rc::new(move || {
            *count.borrow_mut() += 1;
            redraw.force_update();
        })
    };

    let (cell, count, setter, set_found, set_fault) =
        (model.clone(), version.clone(), link.setter(), found.setter(), fault.setter());
    let (mine, draw_now) = (asked.clone(), draw.clone());
    use_effect_with((run.clone(), part.clone()), move |(run, part)| {
        mine.set(mine.get() + 1);
        set_fault.set(None);
        let timer: Rc<RefCell<Option<Timeout>>> = Rc::default();
        let mut stream = None;
        match part {
            Part::Live(from) => {
                *cell.borrow_mut() = from.map_or_else(LogModel::tail, LogModel::starting_at);
                setter.set(Link::Connecting);
                set_found.set(None);
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
                let (place, path, measured) =
                    (cell.clone(), routes::run_logs_stream(run), Rc::new(Cell::new(i64::MAX)));
                // At first only what comes: what was is read by those who draw it.
                let known = measured.clone();
                stream = Some(Stream::open(Plan {
                    // Where to go on is asked anew at every attempt: that is what makes a reconnect exact.
                    url: Box::new(move || {
                        let at = match place.borrow().resume_at() {
                            Some(offset) => ("offset", offset.to_string()),
                            None => ("tail", TAIL.to_string()),
                        };
                        url(&path, &[at, ("metrics", known.get().to_string())])
                    }),
                    events: &[events::LINES, events::SKIPPED, events::METRICS, events::END, events::RECONNECT],
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
                            events::METRICS => {
                                if let Some(batch) = payload::<MetricsBatch>(&data) {
                                    measured.set(batch.next);
                                    samples.emit(batch);
                                }
                                return;
                            }
                            _ => ended.emit(()),
                        }
                        draw();
                    }),
                    on_link: Box::new(move |link| setter.set(link)),
                }));
            }
            Part::Around(name, value, _) => {
                setter.set(Link::Paused);
                let (asked, id, at) = (mine.clone(), run.clone(), (*name, value.clone()));
                let question = asked.get();
                spawn_local(async move {
                    let read = async {
                        let page = api::log_page(&id, at, PAGE).await?;
                        let before = api::log_page(&id, ("before", page.start.to_string()), PAGE / 2).await?;
                        Ok::<_, Fault>((page, before))
                    };
                    let answer = read.await;
                    if asked.get() != question {
                        return;
                    }
                    match answer {
                        Ok((page, before)) => {
                            // Behind the end there is nothing to point at but the last line.
                            let last = before.lines.last().map_or(0, |line| line.offset);
                            set_found.set(Some(page.lines.first().map_or(last, |line| line.offset)));
                            let mut model = LogModel::of_page(page);
                            model.earlier(before);
                            *cell.borrow_mut() = model;
                            draw_now();
                        }
                        Err(error) => set_fault.set(Some(error)),
                    }
                });
            }
        }
        move || {
            drop(stream);
            timer.borrow_mut().take();
        }
    });

    let busy = use_memo((), |()| Cell::new(false));
    let (cell, set_fault) = (model.clone(), fault.setter());
    let onmore = Callback::from(move |later: bool| {
        if busy.replace(true) {
            return;
        }
        let at = {
            let model = cell.borrow();
            if later {
                ("offset", model.resume_at().unwrap_or(0).to_string())
            } else {
                ("before", model.start().to_string())
            }
        };
        let (question, asked, busy, cell, draw) =
            (asked.get(), asked.clone(), busy.clone(), cell.clone(), draw.clone());
        let (id, set_fault) = (run.clone(), set_fault.clone());
        spawn_local(async move {
            let answer = api::log_page(&id, at, PAGE).await;
            busy.set(false);
            if asked.get() != question {
                return;
            }
            match answer {
                Ok(page) if later => cell.borrow_mut().later(page),
                Ok(page) => cell.borrow_mut().earlier(page),
                Err(error) => {
                    set_fault.set(Some(error));
                    return;
                }
            }
            draw();
        });
    });
    let version = *version.borrow();
    LogHandle { model, version, link: *link, found: *found, fault: (*fault).clone(), onmore }
}
