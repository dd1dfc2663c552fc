//! Finding a text in the whole of a stored log: the server looks, piece by piece, as far as hits are wanted.

use std::cell::Cell;
use std::rc::Rc;

use fastflow_shared::LogHit;
use gloo_timers::callback::Timeout;
use wasm_bindgen_futures::spawn_local;
use yew::prelude::*;

use crate::api;
use crate::logic::fault::Fault;

/// Milliseconds after the last key until the server is asked.
const PATIENCE: u32 = 250;

/// What was found so far.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Found {
    /// What is looked for.
    pub needle: AttrValue,
    /// The places, oldest first.
    pub hits: Rc<Vec<LogHit>>,
    /// Which of them is shown.
    pub at: Option<usize>,
    /// Offset at which to go on; absent when everything was looked at.
    pub next: Option<i64>,
    /// Whether the server is looking.
    pub busy: bool,
    /// Why it could not.
    pub fault: Option<Fault>,
}

/// A search and ways to steer it.
pub struct LogSearch {
    /// What was found.
    pub found: Found,
    /// Looks for another text.
    pub onsearch: Callback<String>,
    /// Goes to the next place, or to the one before.
    pub onstep: Callback<bool>,
}

/// Searches the log of a run; `go` is told of the place to show.
#[hook]
pub fn use_log_search(run: String, go: Callback<LogHit>) -> LogSearch {
    let state = use_mut_ref(Found::default);
    let asked = use_memo((), |()| Cell::new(0_u32));
    let timer = use_mut_ref(|| None::<Timeout>);
    let redraw = use_force_update();

    let show = go.clone();
    // Reads on from `from` until something is found, then shows the hit at `index`.
    let look: Rc<dyn Fn(i64, usize)> = {
        let (state, asked, redraw) = (state.clone(), asked.clone(), redraw.clone());
        Rc::new(move |from, index| {
            let (state, asked, redraw, run, go) =
                (state.clone(), asked.clone(), redraw.clone(), run.clone(), go.clone());
            let question = asked.get();
            let needle = state.borrow().needle.clone();
            state.borrow_mut().busy = true;
            redraw.force_update();
            spawn_local(async move {
                let mut from = from;
                loop {
                    let answer = api::log_search(&run, &needle, from).await;
                    if asked.get() != question {
                        return;
                    }
                    let mut found = state.borrow_mut();
                    found.next = None;
                    match answer {
                        Ok(page) => {
                            Rc::make_mut(&mut found.hits).extend(page.hits);
                            found.next = page.next;
                        }
                        Err(error) => found.fault = Some(error),
                    }
                    let hit = found.hits.get(index).cloned();
                    if let (None, Some(next)) = (&hit, found.next) {
                        from = next;
                        continue;
                    }
                    found.busy = false;
                    found.at = hit.as_ref().map(|_| index).or(found.at);
                    drop(found);
                    if let Some(hit) = hit {
                        go.emit(hit);
                    }
                    redraw.force_update();
                    return;
                }
            });
        })
    };
    let onsearch = {
        let (state, asked, timer, look, redraw) = (state.clone(), asked, timer, look.clone(), redraw.clone());
        Callback::from(move |text: String| {
            asked.set(asked.get() + 1);
            let empty = text.is_empty();
            *state.borrow_mut() = Found { needle: text.into(), busy: !empty, ..Found::default() };
            redraw.force_update();
            let look = look.clone();
            *timer.borrow_mut() = (!empty).then(|| Timeout::new(PATIENCE, move || look(0, 0)));
        })
    };
    let onstep = {
        let (state, redraw, look) = (state.clone(), redraw, look);
        Callback::from(move |forward: bool| {
            let (at, len, next, busy) = {
                let found = state.borrow();
                (found.at, found.hits.len(), found.next, found.busy)
            };
            if busy || len == 0 {
                return;
            }
            let to = match (at, forward) {
                (None, _) => 0,
                (Some(at), true) if at + 1 < len => at + 1,
                (Some(at), true) => match next {
                    Some(from) => return look(from, at + 1),
                    None => 0,
                },
                (Some(at), false) => at.checked_sub(1).unwrap_or(len - 1),
            };
            state.borrow_mut().at = Some(to);
            let hit = state.borrow().hits.get(to).cloned();
            hit.into_iter().for_each(|hit| show.emit(hit));
            redraw.force_update();
        })
    };
    let found = state.borrow().clone();
    LogSearch { found, onsearch, onstep }
}
