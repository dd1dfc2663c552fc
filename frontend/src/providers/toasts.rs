//! Short messages in the corner: what happened, why, and what to do.

use std::cell::Cell;
use std::rc::Rc;

use wasm_bindgen_futures::spawn_local;
use yew::prelude::*;

use super::settings::ProviderProps;
use crate::api::Coming;
use crate::logic::fault::Fault;
use crate::route::Route;
use crate::text::{Texts, use_text};
use crate::ui::toast::{Toast, ToastList};

/// Most messages at once.
const MOST: usize = 4;

#[derive(Default, PartialEq, Clone)]
struct Toasts {
    next: u32,
    list: Vec<Toast>,
}

enum Change {
    Add(Toast),
    Remove(u32),
}

impl Reducible for Toasts {
    type Action = Change;

    fn reduce(self: Rc<Self>, change: Change) -> Rc<Self> {
        let mut next = (*self).clone();
        match change {
            Change::Add(toast) => {
                // The same complaint twice is one complaint.
                next.list.retain(|old| (&old.title, &old.detail) != (&toast.title, &toast.detail));
                next.list.push(Toast { id: next.next, ..toast });
                next.next += 1;
                let surplus = next.list.len().saturating_sub(MOST);
                next.list.drain(..surplus);
            }
            Change::Remove(id) => next.list.retain(|toast| toast.id != id),
        }
        Rc::new(next)
    }
}

/// What happened, and to what.
type Said = (&'static str, String);

/// Shows messages.
#[derive(Clone, PartialEq)]
pub struct Toaster {
    add: Callback<Toast>,
}

impl Toaster {
    /// Good news.
    pub fn good(&self, title: impl Into<AttrValue>) {
        self.say(title.into(), AttrValue::default(), None, None);
    }

    /// Exists once, whatever the news are made of.
    #[inline(never)]
    fn say(&self, title: AttrValue, detail: AttrValue, to: Option<Route>, undo: Option<Callback<()>>) {
        self.add.emit(Toast { title, detail, to, undo, ..Toast::default() });
    }

    /// Good news with a sentence and a page to go to.
    pub fn good_with(&self, title: impl Into<AttrValue>, detail: impl Into<AttrValue>, to: Option<Route>) {
        self.say(title.into(), detail.into(), to, None);
    }

    /// Good news that can be taken back by another write; `done` is told, now and after that one.
    pub fn good_undo(&self, t: &'static Texts, (title, detail): Said, back: Coming, done: &Callback<()>) {
        let (toaster, then, back) = (self.clone(), done.clone(), Cell::new(Some(back)));
        let undo = Callback::from(move |()| {
            let (toaster, then) = (toaster.clone(), then.clone());
            // Once: with it the message goes.
            let Some(back) = back.take() else { return };
            spawn_local(async move {
                if let Err(fault) = back.await {
                    toaster.fault(&fault, t);
                }
                then.emit(());
            });
        });
        self.say(title.into(), detail.into(), None, Some(undo));
        done.emit(());
    }

    /// Bad news: the reason and what to do.
    pub fn fault(&self, fault: &Fault, texts: &'static Texts) {
        // Somebody else already leads to the login page.
        if fault.status == 401 {
            return;
        }
        self.add.emit(Toast {
            title: texts.fault_title(fault).into(),
            detail: texts.fault_advice(fault).into(),
            bad: true,
            request_id: fault.request_id.clone().map(Into::into),
            ..Toast::default()
        });
    }
}

/// Provides the toaster and draws the messages.
#[component]
pub fn ToastProvider(props: &ProviderProps) -> Html {
    let t = use_text();
    let toasts = use_reducer_eq(Toasts::default);
    let dispatch = toasts.dispatcher();
    let add = use_callback((), move |toast: Toast, ()| dispatch.dispatch(Change::Add(toast)));
    let dispatch = toasts.dispatcher();
    let remove = use_callback((), move |id: u32, ()| dispatch.dispatch(Change::Remove(id)));
    html! {
        <ContextProvider<Toaster> context={Toaster { add }}>
            {props.children.clone()}
            <ToastList list={toasts.list.clone()} onremove={remove} label={t.common.dismiss} />
        </ContextProvider<Toaster>>
    }
}

/// The toaster.
#[hook]
pub fn use_toaster() -> Toaster {
    use_context().unwrap_or_else(|| Toaster { add: Callback::noop() })
}
