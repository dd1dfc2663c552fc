//! One run: its state and cause first, then its log, then everything else that is known.

use std::rc::Rc;

use chrono::{DateTime, Utc};
use fastflow_shared::{MetricsBatch, MetricsSample, Run};
use gloo_timers::callback::Interval;
use yew::prelude::*;

use crate::api;
use crate::browser;
use crate::hooks::{Loaded, TabState, use_live, use_load, use_tab};
use crate::logic::load::Load;
use crate::logic::outcome::{Outcome, Tone};
use crate::route::Route;
use crate::router::Link;
use crate::text::use_text;
use crate::ui::crumbs::Crumbs;
use crate::ui::icon::{Icon, glyph};
use crate::ui::view::view;

use super::lost::Lost;
use super::run_head::RunHead;
use super::run_log::RunLog;
use super::run_metrics::RunMetrics;
use super::run_side::RunSide;

/// Milliseconds between two looks while the tab is in the background and has let go of its stream.
const BACKGROUND: u32 = 10_000;

/// Samples that are kept beside the ones that were read.
const MOST_FRESH: usize = 900;

/// Props of the pages of one run.
#[derive(Properties, PartialEq)]
pub struct RunProps {
    /// Run id.
    pub id: String,
}

/// A run that is kept fresh, with the tab telling how it is doing.
#[hook]
pub fn use_run(id: &str) -> Loaded<Run> {
    let t = use_text();
    let run = use_load(id.to_owned(), api::run);
    let mine = id.to_owned();
    use_live(
        mine.clone(),
        move |event| (event.kind == "run" && event.id == mine) || event.kind == "docker",
        run.reload.clone(),
    );

    let moves = run.load.data().is_some_and(|run| !run.status.is_final());
    let reload = run.reload.clone();
    use_effect_with((moves, reload), |(moves, reload)| {
        let reload = reload.clone();
        let look = move || {
            if browser::hidden() {
                reload.emit(());
            }
        };
        let timer = moves.then(|| Interval::new(BACKGROUND, look));
        move || drop(timer)
    });

    let (title, state) = run.load.data().map_or_else(
        || (t.runs.title.to_owned(), TabState::Plain),
        |run| {
            let outcome = Outcome::of(run);
            let state = match outcome.tone() {
                Tone::Motion | Tone::Wait => TabState::Running,
                Tone::Bad => TabState::Failed,
                Tone::Good => TabState::Good,
                Tone::Quiet | Tone::Warn => TabState::Plain,
            };
            (format!("{} · {}", t.outcome(outcome), run.pipeline_name), state)
        },
    );
    use_tab(title, state);
    run
}

/// The page.
#[component]
pub fn RunPage(props: &RunProps) -> Html {
    let t = use_text();
    let run = use_run(&props.id);
    if let Load::Failed(fault, None) = &run.load
        && fault.status == 404
    {
        return html! { <Lost lead={t.lost.run_lead} /> };
    }
    view(&run.load, 8, &run.reload, |data| {
        html! { <RunBody run={data.clone()} put={run.put.clone()} reload={run.reload.clone()} /> }
    })
}

/// Props of [`RunBody`].
#[derive(Properties, PartialEq)]
struct RunBodyProps {
    run: Rc<Run>,
    put: Callback<Rc<Run>>,
    reload: Callback<()>,
}

#[component]
fn RunBody(props: &RunBodyProps) -> Html {
    let t = use_text();
    let run = &props.run;
    // The chart and the log share a moment: the pointer over one shows in the other, a click on the chart goes there.
    let pointed = use_state_eq(|| None::<DateTime<Utc>>);
    let jump = use_state_eq(|| None::<(DateTime<Utc>, u32)>);
    let streams = use_state_eq(|| false);
    let fresh = use_state(|| Rc::new(Vec::<MetricsSample>::new()));
    let kept = use_mut_ref(Vec::new);
    let (set, set_streams, set_fresh) = (pointed.setter(), streams.setter(), fresh.setter());
    let onpoint = use_callback((), move |at, ()| set.set(at));
    let onstream = use_callback((), move |on, ()| set_streams.set(on));
    let onsamples = use_callback((), move |batch: MetricsBatch, ()| {
        let mut kept = kept.borrow_mut();
        kept.extend(batch.samples);
        let surplus = kept.len().saturating_sub(MOST_FRESH);
        kept.drain(..surplus);
        set_fresh.set(Rc::new(kept.clone()));
    });
    let onpick = {
        let jump = jump.clone();
        Callback::from(move |at: DateTime<Utc>| jump.set(Some((at, jump.map_or(1, |(_, count)| count + 1)))))
    };
    let above = vec![
        (AttrValue::Static(t.nav.runs), Route::Runs),
        (AttrValue::from(run.pipeline_name.clone()), Route::Pipeline { name: run.pipeline_name.clone() }),
    ];
    html! {
        <div class="page run-page">
            <Crumbs {above} here={crate::logic::format::short_id(&run.id).to_owned()} />
            <RunHead run={run.clone()} put={props.put.clone()} />
            <div class="run-grid">
                <div class="run-main">
                    <h2 class="sr">{t.run.log}</h2>
                    <RunLog id={run.id.clone()} log_bytes={run.log_bytes} is_final={run.status.is_final()} onend={props.reload.clone()}
                        started={run.started_at.unwrap_or(run.created_at)} jump={*jump} {onpoint} {onstream} {onsamples}>
                        <Link to={Route::RunLog { id: run.id.clone() }} classes={classes!("btn", "btn-small", "btn-icon", "btn-ghost")}>
                            {glyph(Icon::Expand)}<span class="sr">{t.log.full_page}</span>
                        </Link>
                    </RunLog>
                </div>
                <aside class="run-aside">
                    <RunMetrics run={run.clone()} fresh={(*fresh).clone()} streams={*streams} pointed={*pointed} {onpick} />
                    <RunSide run={run.clone()} />
                </aside>
            </div>
        </div>
    }
}
