//! Short messages in the corner.

use gloo_timers::callback::Timeout;
use yew::prelude::*;

use super::button::{Button, Look};
use super::icon::{Icon, glyph};
use crate::route::Route;
use crate::router::Link;
use crate::text::use_text;

/// One message.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Toast {
    /// Its key.
    pub id: u32,
    /// What happened.
    pub title: AttrValue,
    /// Why, and what to do.
    pub detail: AttrValue,
    /// Whether it is bad news.
    pub bad: bool,
    /// Where to look.
    pub to: Option<Route>,
    /// Takes it back.
    pub undo: Option<Callback<()>>,
    /// Id of the request in the server's log.
    pub request_id: Option<AttrValue>,
}

/// Props of [`ToastList`].
#[derive(Properties, PartialEq)]
pub struct ToastListProps {
    /// The messages.
    pub list: Vec<Toast>,
    /// Dismisses one.
    pub onremove: Callback<u32>,
    /// Label of the button that does.
    pub label: AttrValue,
}

/// Milliseconds that good news stay. Bad news stay until dismissed.
const STAY: u32 = 6_000;

/// All messages. The region is always there, else a screen reader does not hear the first.
#[component]
pub fn ToastList(props: &ToastListProps) -> Html {
    html! {
        <div class="toasts" role="region" aria-live="polite" aria-label="Fast-Flow">
            {for props.list.iter().map(|toast| html! {
                <Item key={toast.id} toast={toast.clone()} onremove={props.onremove.clone()} label={props.label.clone()} />
            })}
        </div>
    }
}

/// Props of [`Item`].
#[derive(Properties, PartialEq)]
struct ItemProps {
    toast: Toast,
    onremove: Callback<u32>,
    label: AttrValue,
}

#[component]
fn Item(props: &ItemProps) -> Html {
    let t = use_text();
    let toast = &props.toast;
    // Under the pointer a message stays: somebody reads it.
    let held = use_state_eq(|| false);
    let (id, bad, vanish) = (toast.id, toast.bad, props.onremove.clone());
    use_effect_with(*held, move |held| {
        let timer = (!bad && !held).then(|| Timeout::new(STAY, move || vanish.emit(id)));
        move || drop(timer)
    });
    let (hold, release, remove) = (held.setter(), held.setter(), props.onremove.clone());
    let tone = if bad { "tone-bad" } else { "tone-good" };
    html! {
        <div class={classes!("toast", tone)} role={if bad { "alert" } else { "status" }} data-testid={if bad { "toast-bad" } else { "toast" }}
            onmouseenter={Callback::from(move |_: MouseEvent| hold.set(true))} onmouseleave={Callback::from(move |_: MouseEvent| release.set(false))}>
            <span class={classes!("disc", tone)}>{glyph(if bad { Icon::Cross } else { Icon::Check })}</span>
            <div class="toast-body">
                <strong>{&toast.title}</strong>
                if !toast.detail.is_empty() {
                    <p>{&toast.detail}</p>
                }
                if let Some(to) = &toast.to {
                    <Link to={to.clone()} classes="link">{t.common.open}</Link>
                }
                if let Some(undo) = &toast.undo {
                    <Button text={t.pipes.undo} small=true testid="undo" onclick={undone(undo, &props.onremove, id)} />
                }
                if let Some(request) = &toast.request_id {
                    <p class="faint mono">{t.common.request_id}{" "}{request}</p>
                }
            </div>
            <Button text={props.label.clone()} icon={Icon::Close} icon_only=true look={Look::Ghost} small=true
                onclick={Callback::from(move |()| remove.emit(id))} />
        </div>
    }
}

/// What is taken back is also no longer told.
fn undone(undo: &Callback<()>, remove: &Callback<u32>, id: u32) -> Callback<()> {
    let (undo, remove) = (undo.clone(), remove.clone());
    Callback::from(move |()| {
        undo.emit(());
        remove.emit(id);
    })
}
