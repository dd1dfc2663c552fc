//! The log viewer: a window over the rows in memory that follows the end until somebody scrolls up.

use std::cell::RefCell;
use std::rc::Rc;

use wasm_bindgen::JsCast;
use web_sys::{Element, HtmlElement};
use yew::prelude::*;

use super::icon::{Icon, glyph};
use super::log_row::LogRow;
use super::log_tools::{LogTools, SEARCH_ID};
use crate::browser;
use crate::logic::log_model::{LogModel, WINDOW, window};
use crate::logic::log_search::{matches, step};
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
    /// Offset that a link leads to.
    pub target: Option<i64>,
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
            && (self.ended, self.target, self.stamps, self.wrap)
                == (other.ended, other.target, other.stamps, other.wrap)
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
}

/// The viewer.
#[component]
pub fn LogView(props: &LogViewProps) -> Html {
    let t = use_text();
    let scroller = use_node_ref();
    let place = use_mut_ref(Place::default);
    // None follows the end; else the sequence number of the window's first row.
    let anchor = use_state_eq(|| None::<u64>);
    let needle = use_state_eq(|| AttrValue::Static(""));
    let current = use_state_eq(|| None::<u64>);
    let reached = use_mut_ref(|| None::<i64>);

    let model = props.model.borrow();
    let rows = model.rows();
    let first = rows.front().map_or(0, |row| row.seq);
    let index = |seq: u64| usize::try_from(seq.saturating_sub(first)).unwrap_or(0);
    let range = window(rows.len(), (*anchor).map(index));
    let found = use_memo(((*needle).clone(), props.version), |(needle, _)| matches(rows, needle));
    let at = (*current).and_then(|seq| found.iter().position(|s| *s == seq)).map_or(0, |index| index + 1);

    // Bring a linked line into view once, as soon as it is here.
    if let Some(offset) = props.target.filter(|target| *reached.borrow() != Some(*target))
        && let Some(row) = rows.iter().find(|row| row.offset >= offset)
    {
        *reached.borrow_mut() = Some(offset);
        place.borrow_mut().goal = Some(row.seq);
        anchor.set(Some(row.seq.saturating_sub(WINDOW as u64 / 2).max(first)));
    }

    let drawn_first = rows.get(range.start).map(|row| row.seq);
    let following = anchor.is_none();
    let (node, held) = (scroller.clone(), place.clone());
    use_effect(move || {
        if let Some(node) = node.cast::<HtmlElement>() {
            settle(&node, &mut held.borrow_mut(), following, drawn_first);
        }
    });

    let jump = {
        let anchor = anchor.setter();
        Callback::from(move |()| anchor.set(None))
    };
    let onstep = {
        let (found, now, set, anchor, place) =
            (found.clone(), *current, current.setter(), anchor.setter(), place.clone());
        Callback::from(move |forward: bool| {
            if let Some(seq) = step(&found, now, forward) {
                place.borrow_mut().goal = Some(seq);
                anchor.set(Some(seq.saturating_sub(WINDOW as u64 / 2).max(first)));
                set.set(Some(seq));
            }
        })
    };
    let onsearch = {
        let (needle, current) = (needle.setter(), current.setter());
        Callback::from(move |text: String| {
            needle.set(text.into());
            current.set(None);
        })
    };
    let onscroll = {
        let (anchor, set, place) = (*anchor, anchor.setter(), place.clone());
        let (start, end, len) = (range.start, range.end, rows.len());
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
                None if went_up && below > NEAR_END => set.set(seq_at(start)),
                Some(_) if below <= NEAR_END && end == len => set.set(None),
                Some(_) if top < EDGE && start > 0 => set.set(seq_at(start.saturating_sub(SHIFT))),
                Some(_) if below < EDGE && end < len => set.set(seq_at(start + SHIFT)),
                _ => {}
            }
        })
    };
    let onkeydown = {
        let (jump, step, wrap, stamps) = (jump.clone(), onstep.clone(), props.onwrap.clone(), props.onstamps.clone());
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
    let evicted = i64::try_from(model.evicted()).unwrap_or(i64::MAX);
    html! {
        <section class="log" aria-label={t.log.label} {onkeydown} data-testid="log">
            <LogTools needle={(*needle).clone()} hits={(at, found.len())} {onsearch} {onstep} stamps={props.stamps} onstamps={props.onstamps.clone()}
                wrap={props.wrap} onwrap={props.onwrap.clone()} {oncopy} download={props.download.clone()}
                download_stamped={props.download_stamped.clone()}>
                {props.children.clone()}
            </LogTools>
            {props.notice.clone()}
            <div class="log-frame">
                // Not aria-live: a flood read aloud helps nobody. The region can be focused and read.
                <div ref={scroller} class={classes!("log-scroll", (!props.wrap).then_some("no-wrap"))} tabindex="0" role="group"
                    aria-label={t.log.label} {onscroll} data-testid="log-lines">
                    if evicted > 0 && range.start == 0 {
                        <div class="ln ln-gap">{glyph(Icon::Skip)}
                            <span>{(t.log.evicted)(&t.number(evicted))}{" "}<a href={props.download.clone()} download="">{t.common.download}</a></span>
                        </div>
                    }
                    if rows.is_empty() {
                        <p class="log-none">{if props.ended { t.log.empty } else { t.log.waiting }}</p>
                    }
                    {for rows.range(range.clone()).map(|row| html! {
                        <LogRow key={row.seq} row={row.clone()} needle={(*needle).clone()} current={*current == Some(row.seq)}
                            target={props.target == Some(row.offset)} stamps={props.stamps} download={props.download.clone()}
                            onlink={props.onlink.clone()} />
                    })}
                </div>
                if !following {
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
