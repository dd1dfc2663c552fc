//! The one place that draws data on its way: a skeleton, the data, or what went wrong.

use std::rc::Rc;

use gloo_timers::callback::Timeout;
use yew::prelude::*;

use super::button::Button;
use super::icon::{Icon, glyph};
use super::mark::mark;
use crate::logic::fault::Fault;
use crate::logic::load::Load;
use crate::text::use_text;

/// Draws `load`: `draw` for data, also stale data under a notice; rows of skeleton while there is none.
pub fn view<T>(load: &Load<T>, rows: usize, onretry: &Callback<()>, draw: impl FnOnce(&Rc<T>) -> Html) -> Html {
    match load {
        Load::Pending => html! { <Skeleton {rows} /> },
        Load::Ready(data) => draw(data),
        Load::Failed(fault, None) => html! { <FaultPanel fault={fault.clone()} onretry={onretry.clone()} /> },
        Load::Failed(fault, Some(data)) => html! {
            <>
                <StaleNotice fault={fault.clone()} onretry={onretry.clone()} />
                {draw(data)}
            </>
        },
    }
}

/// Whether a wait has lasted long enough to be worth showing.
#[hook]
fn use_patience() -> bool {
    let over = use_state_eq(|| false);
    let setter = over.setter();
    use_effect_with((), move |()| {
        let timer = Timeout::new(200, move || setter.set(true));
        move || drop(timer)
    });
    *over
}

/// Props of [`Skeleton`].
#[derive(Properties, PartialEq)]
pub struct SkeletonProps {
    /// How many rows.
    pub rows: usize,
}

/// Grey rows where data will stand; seen only when the wait is felt.
#[component]
pub fn Skeleton(props: &SkeletonProps) -> Html {
    let t = use_text();
    let show = use_patience();
    html! {
        <div class={classes!("skeleton", show.then_some("is-shown"))} role="status" aria-label={t.common.loading}>
            {for (0..props.rows).map(|_| html! { <div class="skeleton-row"></div> })}
        </div>
    }
}

/// The page before anything is known.
#[component]
pub fn Splash() -> Html {
    let show = use_patience();
    html! {
        <div class={classes!("splash", show.then_some("is-shown"))}>{mark(false)}</div>
    }
}

/// Props of the two fault components.
#[derive(Properties, PartialEq)]
pub struct FaultProps {
    /// What went wrong.
    pub fault: Fault,
    /// Tries again.
    pub onretry: Callback<()>,
}

/// What went wrong, where the data would stand.
#[component]
pub fn FaultPanel(props: &FaultProps) -> Html {
    let t = use_text();
    html! {
        <div class="empty empty-bad" role="alert" data-testid="fault">
            {glyph(Icon::Alert)}
            <h2>{t.fault_title(&props.fault)}</h2>
            <p>{t.fault_advice(&props.fault)}</p>
            <Button text={t.common.retry} icon={Icon::Refresh} onclick={props.onretry.clone()} />
            if let Some(id) = &props.fault.request_id {
                <p class="faint mono">{t.common.request_id}{" "}{id}</p>
            }
        </div>
    }
}

/// Props of [`FaultNotice`].
#[derive(Properties, PartialEq)]
pub struct FaultNoticeProps {
    /// What went wrong.
    pub fault: Fault,
    /// Hook for browser tests.
    #[prop_or(AttrValue::Static("form-fault"))]
    pub testid: AttrValue,
}

/// What went wrong with a form, inside of it.
#[component]
pub fn FaultNotice(props: &FaultNoticeProps) -> Html {
    let t = use_text();
    html! {
        <div class="notice tone-bad" role="alert" data-testid={props.testid.clone()}>
            {glyph(Icon::Alert)}
            <span><strong>{t.fault_title(&props.fault)}</strong>{". "}{t.fault_advice(&props.fault)}</span>
        </div>
    }
}

#[component]
fn StaleNotice(props: &FaultProps) -> Html {
    let t = use_text();
    html! {
        <div class="notice tone-warn" role="status" title={t.fault_advice(&props.fault)}>
            {glyph(Icon::Alert)}
            <span>{t.fault_title(&props.fault)}{". "}{t.common.stale}</span>
            <Button text={t.common.retry} small=true onclick={props.onretry.clone()} />
        </div>
    }
}

/// Props of [`Empty`].
#[derive(Properties, PartialEq)]
pub struct EmptyProps {
    /// What it shows.
    pub icon: Icon,
    /// What is missing.
    pub title: AttrValue,
    /// What to do.
    #[prop_or_default]
    pub hint: AttrValue,
    /// A button.
    #[prop_or_default]
    pub children: Html,
}

/// Says that there is nothing, and what to do next.
#[component]
pub fn Empty(props: &EmptyProps) -> Html {
    html! {
        <div class="empty" data-testid="empty">
            {glyph(props.icon)}
            <h2>{&props.title}</h2>
            if !props.hint.is_empty() {
                <p>{&props.hint}</p>
            }
            {props.children.clone()}
        </div>
    }
}
