//! The log viewer: a window over the rows in memory that follows the end until somebody scrolls up.

use std::cell::RefCell;
use std::rc::Rc;

use chrono::{DateTime, Utc};
use wasm_bindgen::JsCast;
use web_sys::{Element, HtmlElement};
use yew::prelude::*;

use super::icon::{Icon, glyph};
use super::log_row::LogRow;
use super::log_tools::{LogTools, SEARCH_ID};
use crate::browser;
use crate::logic::log_model::{LogModel, WINDOW, window};
use crate::text::use_text;

/// Pixels from an edge at which the window moves on.
const EDGE: i32 = 600;
/// Rows that it moves by.
const SHIFT: usize = 200;
/// Pixels from the end that still count as the end.
const NEAR_END: i32 = 24;

/// Props of [`LogView`].
#[derive(Properties)]
pub struct LogViewProps {
    /// The rows.
    pub model: Rc<RefCell<LogModel>>,
    /// Grows with each change of them.
    pub version: u64,
    /// Whether no more lines will come.
    pub ended: bool,
    /// Offset that a link, a jump or a search leads to, and a number that tells two visits apart.
    pub target: Option<(i64, u32)>,
    /// Whether this is a part of the log that is read page by page.
    pub paged: bool,
    /// Told to read the page after the last row, or before the first.
    pub onmore: Callback<bool>,
    /// Told to show the lines before the first row, which are not here.
    pub onearlier: Callback<()>,
    /// Told to follow the end.
    pub onlatest: Callback<()>,
    /// Told of the time of the line under the pointer.
    #[prop_or_default]
    pub onpoint: Callback<Option<DateTime<Utc>>>,
    /// What is searched for.
    pub needle: AttrValue,
    /// Number of the hit that is shown, and how many there are.
    pub hits: (usize, usize),
    /// What the search says.
    pub says: AttrValue,
    /// Told of what is searched for.
    pub onsearch: Callback<String>,
    /// Told to go to the next hit, or to the one before.
    pub onstep: Callback<bool>,
    /// Told of a line or a time to go to.
    pub ongo: Callback<String>,
    /// Whether that could not be understood.
    pub lost: bool,
    /// Whether times are shown.
    pub stamps: bool,
    /// Told to change that.
    pub onstamps: Callback<()>,
    /// Whether lines are wrapped.
    pub wrap: bool,
    /// Told to change that.
    pub onwrap: Callback<()>,
    /// Told to copy a text.
    pub oncopy: Callback<String>,
    /// Told when the link to a line is wanted.
    pub onlink: Callback<i64>,
    /// Address of the plain download.
    pub download: AttrValue,
    /// Address of the download with times.
    pub download_stamped: AttrValue,
    /// Something to be said above the rows.
    #[prop_or_default]
    pub notice: Option<Html>,
    /// State of the connection and the way to or from the full page.
    pub children: Html,
}

impl PartialEq for LogViewProps {
    fn eq(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.model, &other.model)
            && self.version == other.version
            && (self.ended, self.target, self.stamps, self.wrap, self.paged, self.lost, self.hits)
                == (other.ended, other.target, other.stamps, other.wrap, other.paged, other.lost, other.hits)
            && (&self.needle, &self.says) == (&other.needle, &other.says)
            && self.children == other.children
            && self.notice == other.notice
            && self.onlink == other.onlink
            && self.oncopy == other.oncopy
    }
}

/// Where the view stands. It lives outside the state: scrolling must not draw anything.
#[derive(Default)]
struct Place {
    /// `scrollTop` as it was last seen.
    top: i32,
    /// A row and how far below the upper edge it stands; kept there when rows around it come or go.
    pin: Option<(u64, i32)>,
    /// First row of the window that is drawn.
    drawn: Option<u64>,
    /// A row to bring to the middle after the next drawing.
    goal: Option<u64>,
    /// How often rows had come before the first when this was drawn last.
    grown: u32,
}

/// The viewer.
#[component]
pub fn LogView(props: &LogViewProps) -> Html {
    let t = use_text();
    let scroller = use_node_ref();
    let place = use_mut_ref(Place::default);
    // None follows the end; else the sequence number of the window's first row.
    let anchor = use_state_eq(|| None::<u64>);
    let reached = use_mut_ref(|| None::<(i64, u32)>);

    let model = props.model.borrow();
    let rows = model.rows();
    let first = rows.front().map_or(0, |row| row.seq);
    let index = |seq: u64| usize::try_from(seq.saturating_sub(first)).unwrap_or(0);
    let range = window(rows.len(), (*anchor).map(index));

    // Bring a wanted line into view once, as soon as it is here.
    if let Some((offset, visit)) = props.target.filter(|target| *reached.borrow() != Some(*target))
        && let Some(row) = rows.iter().find(|row| row.offset >= offset)
    {
        *reached.borrow_mut() = Some((offset, visit));
        place.borrow_mut().goal = Some(row.seq);
        anchor.set(Some(row.seq.saturating_sub(WINDOW as u64 / 2).max(first)));
    }

    // Who reads at the very top cannot scroll further up: the window follows rows that came before it.
    let grown = std::mem::replace(&mut place.borrow_mut().grown, model.grown());
    if grown < model.grown() && range.start > 0 && place.borrow().top < EDGE && place.borrow().goal.is_none() {
        anchor.set(Some(first + range.start.saturating_sub(SHIFT) as u64));
    }

    let drawn_first = rows.get(range.start).map(|row| row.seq);
    let following = anchor.is_none() && !props.paged;
    let (node, held) = (scroller.clone(), place.clone());
    use_effect(move || {
        if let Some(node) = node.cast::<HtmlElement>() {
            settle(&node, &mut held.borrow_mut(), following, drawn_first);
        }
    });

    let jump = {
        let (anchor, paged, latest) = (anchor.setter(), props.paged, props.onlatest.clone());
        Callback::from(move |()| {
            anchor.set(None);
            if paged {
                latest.emit(());
            }
        })
    };
    let onscroll = {
        let (anchor, set, place) = (*anchor, anchor.setter(), place.clone());
        let (start, end, len) = (range.start, range.end, rows.len());
        let (paged, more, goes_on, begins) = (props.paged, props.onmore.clone(), model.goes_on(), model.start() == 0);
        Callback::from(move |event: Event| {
            let Some(node) = event.target().and_then(|target| target.dyn_into::<HtmlElement>().ok()) else { return };
            let mut place = place.borrow_mut();
            let top = node.scroll_top();
            let below = node.scroll_height() - top - node.client_height();
            let went_up = top < place.top - 1;
            place.top = top;
            place.pin = pin(&node);
            let seq_at = |index: usize| Some(first + index as u64);
            match anchor {
                // At once to the very top: the window must move, or there would be nothing left to scroll to.
                None if went_up && below > NEAR_END => {
                    set.set(seq_at(if top < EDGE { start.saturating_sub(SHIFT) } else { start }));
                }
                Some(_) if below <= NEAR_END && end == len && !paged => set.set(None),
                Some(_) if paged && top < EDGE && start == 0 && !begins => more.emit(false),
                Some(_) if paged && below < EDGE && end == len && goes_on => more.emit(true),
                Some(_) if top < EDGE && start > 0 => set.set(seq_at(start.saturating_sub(SHIFT))),
                Some(_) if below < EDGE && end < len => set.set(seq_at(start + SHIFT)),
                _ => {}
            }
        })
    };
    let onkeydown = {
        let (jump, step, wrap, stamps) =
            (jump.clone(), props.onstep.clone(), props.onwrap.clone(), props.onstamps.clone());
        Callback::from(move |event: KeyboardEvent| {
            if event.ctrl_key() || event.meta_key() || event.alt_key() || in_field(&event) {
                return;
            }
            match event.key().as_str() {
                "f" => jump.emit(()),
                "w" => wrap.emit(()),
                "t" => stamps.emit(()),
                "n" => step.emit(true),
                "N" => step.emit(false),
                "/" => {
                    browser::focus(SEARCH_ID);
                }
                _ => return,
            }
            event.stop_propagation();
            event.prevent_default();
        })
    };
    let oncopy = {
        let (model, copy) = (props.model.clone(), props.oncopy.clone());
        Callback::from(move |()| {
            let lines: Vec<String> = model.borrow().rows().iter().map(|row| row.plain.clone()).collect();
            copy.emit(lines.join("\n"));
        })
    };
    let point = {
        let (model, onpoint) = (props.model.clone(), props.onpoint.clone());
        Callback::from(move |event: MouseEvent| {
            let row = event.target().and_then(|target| target.dyn_into::<Element>().ok());
            let row = row.and_then(|row| row.closest("[data-seq]").ok().flatten());
            let seq = row.and_then(|row| row.get_attribute("data-seq")?.parse::<u64>().ok());
            let model = model.borrow();
            let first = model.rows().front().map_or(0, |row| row.seq);
            let index = seq.and_then(|seq| usize::try_from(seq.checked_sub(first)?).ok());
            onpoint.emit(index.and_then(|index| model.rows().get(index)?.time));
        })
    };
    let leave = props.onpoint.reform(|_: MouseEvent| None);
    html! {
        <section class="log" aria-label={t.log.label} {onkeydown} data-testid="log">
            <LogTools needle={props.needle.clone()} hits={props.hits} says={props.says.clone()} onsearch={props.onsearch.clone()} onstep={props.onstep.clone()}
                ongo={props.ongo.clone()} lost={props.lost} stamps={props.stamps} onstamps={props.onstamps.clone()}
                wrap={props.wrap} onwrap={props.onwrap.clone()} {oncopy} download={props.download.clone()}
                download_stamped={props.download_stamped.clone()}>
                {props.children.clone()}
            </LogTools>
            {props.notice.clone()}
            <div class="log-frame">
                // Not aria-live: a flood read aloud helps nobody. The region can be focused and read.
                <div ref={scroller} class={classes!("log-scroll", (!props.wrap).then_some("no-wrap"))} tabindex="0" role="group"
                    aria-label={t.log.label} {onscroll} onmouseover={point} onmouseleave={leave} data-testid="log-lines">
                    if !props.paged && model.start() > 0 && range.start == 0 {
                        <div class="ln ln-gap">
                            <button type="button" class="link" onclick={props.onearlier.reform(|_: MouseEvent| ())} data-testid="log-earlier">{t.log.earlier}</button>
                        </div>
                    }
                    if rows.is_empty() {
                        <p class="log-none">{if props.ended { t.log.empty } else { t.log.waiting }}</p>
                    }
                    {for rows.range(range.clone()).map(|row| html! {
                        <LogRow key={row.seq} row={row.clone()} needle={props.needle.clone()} current={props.hits.0 > 0 && props.target.is_some_and(|(offset, _)| offset == row.offset)}
                            target={props.target.is_some_and(|(offset, _)| offset == row.offset)} stamps={props.stamps} download={props.download.clone()}
                            onlink={props.onlink.clone()} />
                    })}
                </div>
                if !following && (props.paged || !rows.is_empty()) {
                    <button type="button" class="log-jump" onclick={jump.reform(|_| ())} data-testid="log-jump">
                        {glyph(Icon::ArrowDown)}{t.log.jump}
                    </button>
                }
            </div>
        </section>
    }
}

fn in_field(event: &KeyboardEvent) -> bool {
    let target = event.target().and_then(|target| target.dyn_into::<Element>().ok());
    target.is_some_and(|target| matches!(target.tag_name().as_str(), "INPUT" | "TEXTAREA" | "SELECT"))
}

/// The first row that is seen, and how far below the upper edge it stands.
fn pin(node: &HtmlElement) -> Option<(u64, i32)> {
    let top = node.scroll_top();
    let children = node.children();
    let row = |index: u32| children.item(index).and_then(|row| row.dyn_into::<HtmlElement>().ok());
    let (mut low, mut high) = (0, children.length());
    while low < high {
        let middle = low + (high - low) / 2;
        let row = row(middle)?;
        if row.offset_top() + row.offset_height() <= top { low = middle + 1 } else { high = middle }
    }
    let row = row(low)?;
    let seq = row.get_attribute("data-seq")?.parse().ok()?;
    Some((seq, row.offset_top() - top))
}

/// After a drawing: to the end, to the goal, or to where the reader was.
fn settle(node: &HtmlElement, place: &mut Place, following: bool, drawn: Option<u64>) {
    let find = |seq: u64| {
        let row = node.query_selector(&format!("[data-seq='{seq}']")).ok().flatten();
        row.and_then(|row| row.dyn_into::<HtmlElement>().ok())
    };
    let moved = place.drawn != drawn;
    place.drawn = drawn;
    if let Some(row) = place.goal.and_then(find) {
        place.goal = None;
        node.set_scroll_top(row.offset_top() - node.client_height() / 2);
        place.pin = pin(node);
    } else if following {
        node.set_scroll_top(node.scroll_height());
    } else if let Some((row, below)) = place.pin.filter(|_| moved).and_then(|(seq, below)| Some((find(seq)?, below))) {
        node.set_scroll_top(row.offset_top() - below);
    }
    place.top = node.scroll_top();
}
