//! A run's log: on its page, and on a page of its own.

use wasm_bindgen_futures::spawn_local;
use yew::prelude::*;

use crate::api::{self, stream::Link as Connection};
use crate::browser;
use crate::hooks::use_log;
use crate::logic::load::Load;
use crate::logic::outcome::Outcome;
use crate::logic::query;
use crate::providers::settings::{Settings, use_settings};
use crate::providers::toasts::use_toaster;
use crate::route::Route;
use crate::router::{use_location, use_navigator, use_route};
use crate::text::use_text;
use crate::ui::badge::badge;
use crate::ui::button::Button;
use crate::ui::crumbs::Crumbs;
use crate::ui::log_view::LogView;
use crate::ui::view::view;

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
    let (bytes, live) = (props.log_bytes.unwrap_or(0), !props.is_final);
    let latest = use_state_eq(|| false);
    let from = use_memo((props.id.clone(), *latest), move |(_, latest)| {
        if bytes <= SMALL && (live || bytes > 0 || line.is_some()) { Some(0) } else { line.filter(|_| !latest) }
    });
    let log = use_log(props.id.clone(), *from, props.onend.clone());
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
        let (set, navigator, here) = (latest.setter(), use_navigator(), here.clone());
        Callback::from(move |()| {
            navigator.as_ref().inspect(|navigator| navigator.replace(&here));
            set.set(true);
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
        Connection::Connecting => (t.log.connecting, "is-idle"),
        Connection::Open => (t.log.live, "is-live"),
        Connection::Reconnecting => (t.log.reconnecting, "is-lost"),
        Connection::Paused => (t.log.paused, "is-idle"),
        Connection::Ended => (t.log.ended, "is-idle"),
    };
    let ended = log.link == Connection::Ended;
    // The rows before a linked line were not asked for: that must be said.
    let notice = from.filter(|from| *from > 0).map(|_| {
        html! {
            <div class="notice tone-wait log-notice"><span>{t.log.from_line}</span>
                <Button text={t.log.load_all} small=true onclick={onlatest} testid="log-latest" /></div>
        }
    });
    html! {
        <LogView {notice} model={log.model.clone()} version={log.version} {ended} target={line} stamps={now.log_stamps} {onstamps} wrap={now.log_wrap} {onwrap}
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
                <h1 class="sr">{(t.run.title)(&run.pipeline_name)}</h1>
                <RunLog id={run.id.clone()} log_bytes={run.log_bytes} is_final={run.status.is_final()} onend={reload.clone()} />
            </div>
        }
    })
}
