//! A run's log: on its page, and on a page of its own.

use std::rc::Rc;

use chrono::{DateTime, Local, Utc};
use fastflow_shared::LogHit;
use wasm_bindgen_futures::spawn_local;
use yew::prelude::*;

use crate::api::{self, stream::Link as Connection};
use crate::browser;
use crate::hooks::{OnSamples, Part, use_log, use_log_search};
use crate::logic::load::Load;
use crate::logic::outcome::Outcome;
use crate::logic::{place, query};
use crate::providers::settings::{Settings, use_settings};
use crate::providers::toasts::use_toaster;
use crate::route::Route;
use crate::router::{use_location, use_navigator, use_route};
use crate::text::use_text;
use crate::ui::badge::badge;
use crate::ui::crumbs::Crumbs;
use crate::ui::log_view::LogView;
use crate::ui::view::{FaultNotice, view};

use super::lost::Lost;
use super::run::{RunProps, use_run};

/// A log of at most this many bytes is loaded from its first line on, so that lines have numbers.
const SMALL: i64 = 64 * 1024;

/// Props of [`RunLog`].
#[derive(Properties, PartialEq)]
pub struct RunLogProps {
    /// Run id.
    pub id: String,
    /// Size of the stored log.
    pub log_bytes: Option<i64>,
    /// Whether the run has ended.
    pub is_final: bool,
    /// Told when the stream has ended.
    pub onend: Callback<()>,
    /// When the run began, for times of day.
    pub started: DateTime<Utc>,
    /// A moment to go to, and a number that tells two of them apart.
    #[prop_or_default]
    pub jump: Option<(DateTime<Utc>, u32)>,
    /// Told of the time of the line under the pointer.
    #[prop_or_default]
    pub onpoint: Callback<Option<DateTime<Utc>>>,
    /// Told of samples that come along while the log is followed.
    #[prop_or_default]
    pub onsamples: OnSamples,
    /// Told whether the log is followed.
    #[prop_or_default]
    pub onstream: Callback<bool>,
    /// More for the bar above the log.
    #[prop_or_default]
    pub children: Html,
}

/// The log.
#[component]
pub fn RunLog(props: &RunLogProps) -> Html {
    let t = use_text();
    let settings = use_settings();
    let toaster = use_toaster();
    let query = use_location().map(|location| location.query_str().to_owned()).unwrap_or_default();
    let line = query::get(&query, "line").and_then(|line| line.parse::<i64>().ok());
    // Decided once per run: a click on a line's link changes the address, and must not load the log again.
    let visits = use_mut_ref(|| 0_u32);
    let (bytes, live) = (props.log_bytes.unwrap_or(0), !props.is_final);
    let small = bytes <= SMALL && (live || bytes > 0);
    let part = use_state_eq(|| match line {
        Some(offset) if !small => Part::Around("offset", offset.to_string(), 0),
        _ => Part::Live(small.then_some(0)),
    });
    let goal = use_state_eq(|| line.filter(|_| small).map(|offset| (offset, 0)));
    let log = use_log(props.id.clone(), (*part).clone(), props.onend.clone(), props.onsamples.clone());
    let paged = matches!(*part, Part::Around(..));
    // The later of the two: a line that was asked for, or one that was here already.
    let asked = match &*part {
        Part::Around(_, _, visit) => log.found.map(|offset| (offset, *visit)),
        Part::Live(_) => None,
    };
    let target = if goal.map(|(_, visit)| visit) > asked.map(|(_, visit)| visit) { *goal } else { asked.or(*goal) };

    let onstream = props.onstream.clone();
    use_effect_with(paged, move |paged| onstream.emit(!paged));
    let around: Rc<dyn Fn(&'static str, String)> = {
        let (visits, set) = (visits.clone(), part.setter());
        Rc::new(move |name, value| {
            *visits.borrow_mut() += 1;
            set.set(Part::Around(name, value, *visits.borrow()));
        })
    };
    let go = {
        let (model, visits, set, around) = (log.model.clone(), visits, goal.setter(), around.clone());
        Callback::from(move |hit: LogHit| {
            if model.borrow().rows().iter().any(|row| row.offset == hit.offset) {
                *visits.borrow_mut() += 1;
                set.set(Some((hit.offset, *visits.borrow())));
            } else {
                around("offset", hit.offset.to_string());
            }
        })
    };
    let search = use_log_search(props.id.clone(), go);
    let lost = use_state_eq(|| false);
    let ongo = {
        let (lost, around, started) = (lost.setter(), around.clone(), props.started);
        Callback::from(move |text: String| {
            let place = place::parse(&text, started.with_timezone(&Local).fixed_offset());
            lost.set(place.is_none() && !text.trim().is_empty());
            if let Some((name, value)) = place {
                around(name, value);
            }
        })
    };
    let jump = around.clone();
    use_effect_with(props.jump, move |to| {
        if let Some((at, _)) = to {
            jump("time", place::rfc3339(*at));
        }
    });
    let onearlier = {
        let model = log.model.clone();
        Callback::from(move |()| around("offset", model.borrow().start().to_string()))
    };
    let here = use_route();
    let navigator = use_navigator();
    let onlink = {
        let toaster = toaster.clone();
        use_callback((props.id.clone(), here.to_path(), t.log.copied_link), move |offset: i64, (_, path, copied)| {
            let pairs = query::build(&[("line", offset.to_string())]);
            if let Some((navigator, route)) = navigator.as_ref().map(|navigator| (navigator, Route::recognize(path))) {
                navigator.replace_with_query(&route, &pairs.clone());
            }
            let (toaster, copied, text) = (toaster.clone(), *copied, format!("{}{path}?{pairs}", browser::origin()));
            spawn_local(async move {
                if browser::copy(text).await {
                    toaster.good(copied);
                }
            });
        })
    };
    let onlatest = {
        let (set, navigator, here) = (part.setter(), use_navigator(), here.clone());
        Callback::from(move |()| {
            navigator.as_ref().inspect(|navigator| navigator.replace(&here));
            set.set(Part::Live(None));
        })
    };
    let oncopy = use_callback(t.common.copied, move |text: String, copied| {
        let (toaster, copied) = (toaster.clone(), *copied);
        spawn_local(async move {
            if browser::copy(text).await {
                toaster.good(copied);
            }
        });
    });
    let set = settings.set.clone();
    let now = settings.now;
    let onstamps = Callback::from(move |()| set.emit(Settings { log_stamps: !now.log_stamps, ..now }));
    let set = settings.set;
    let onwrap = Callback::from(move |()| set.emit(Settings { log_wrap: !now.log_wrap, ..now }));
    let (text, class) = match log.link {
        _ if paged => (t.log.away, "is-idle"),
        Connection::Connecting => (t.log.connecting, "is-idle"),
        Connection::Open => (t.log.live, "is-live"),
        Connection::Reconnecting => (t.log.reconnecting, "is-lost"),
        Connection::Paused => (t.log.paused, "is-idle"),
        Connection::Ended => (t.log.ended, "is-idle"),
    };
    let ended = log.link == Connection::Ended || (paged && props.is_final);
    let found = &search.found;
    let hits = (found.at.map_or(0, |at| at + 1), found.hits.len());
    let says = if let Some(fault) = &found.fault {
        t.fault_title(fault).to_owned()
    } else if found.busy {
        t.log.searching.to_owned()
    } else if found.hits.is_empty() {
        t.log.no_hits.to_owned()
    } else {
        t.log.hits(hits.0, hits.1) + if found.next.is_some() { "+" } else { "" }
    };
    let notice = log.fault.as_ref().map(|fault| html! { <FaultNotice fault={fault.clone()} testid="log-fault" /> });
    html! {
        <LogView {notice} model={log.model.clone()} version={log.version} {ended} {target} {paged} onmore={log.onmore.clone()} {onearlier} {onlatest}
            onpoint={props.onpoint.clone()} needle={found.needle.clone()} {hits} {says} onsearch={search.onsearch} onstep={search.onstep} {ongo} lost={*lost}
            stamps={now.log_stamps} {onstamps} wrap={now.log_wrap} {onwrap}
            {oncopy} {onlink} download={api::log_download(&props.id, false)} download_stamped={api::log_download(&props.id, true)}>
            <span class={classes!("live", "log-live", class)} role="status" data-testid="log-link" data-state={class}><i></i><span>{text}</span></span>
            {props.children.clone()}
        </LogView>
    }
}

/// The log on a page of its own.
#[component]
pub fn RunLogPage(props: &RunProps) -> Html {
    let t = use_text();
    let run = use_run(&props.id);
    if let Load::Failed(fault, None) = &run.load
        && fault.status == 404
    {
        return html! { <Lost lead={t.lost.run_lead} /> };
    }
    let reload = run.reload.clone();
    view(&run.load, 8, &run.reload, |run| {
        let above = vec![
            (AttrValue::Static(t.nav.runs), Route::Runs),
            (AttrValue::from(run.pipeline_name.clone()), Route::Pipeline { name: run.pipeline_name.clone() }),
            (AttrValue::from(crate::logic::format::short_id(&run.id).to_owned()), Route::Run { id: run.id.clone() }),
        ];
        html! {
            <div class="page log-page">
                <header class="log-page-head"><Crumbs {above} here={t.run.log} />{badge(Outcome::of(run), t)}</header>
                <h1 class="sr">{t.run.title(&run.pipeline_name)}</h1>
                <RunLog id={run.id.clone()} log_bytes={run.log_bytes} is_final={run.status.is_final()} onend={reload.clone()} started={run.started_at.unwrap_or(run.created_at)} />
            </div>
        }
    })
}
