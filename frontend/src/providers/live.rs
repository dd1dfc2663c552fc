//! One event stream for the whole page: it says what changed, and whoever shows that reads it again.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use fastflow_shared::{LiveEvent, events, routes};
use wasm_bindgen_futures::spawn_local;
use yew::prelude::*;

use super::settings::ProviderProps;
use crate::api::{
    self,
    stream::{Link, Plan, Stream, payload},
};

/// More pipelines than these are read as one list.
const FEW: usize = 8;

/// Tells its subscribers of changes. `None` means: something may have been missed, read everything again.
#[derive(Default)]
pub struct Hub {
    /// Names of the few pipelines that something happened to since they were last read, or an empty one alone for all of them.
    pub stale: RefCell<Vec<String>>,
    /// Whether something may have happened that nobody was told of.
    pub unsure: Cell<bool>,
    next: Cell<u64>,
    list: RefCell<Vec<(u64, Callback<Option<LiveEvent>>)>>,
}

impl Hub {
    /// Adds a subscriber; the number takes it away again.
    pub fn subscribe(&self, callback: Callback<Option<LiveEvent>>) -> u64 {
        let id = self.next.get();
        self.next.set(id + 1);
        self.list.borrow_mut().push((id, callback));
        id
    }

    /// Takes a subscriber away.
    pub fn unsubscribe(&self, id: u64) {
        self.list.borrow_mut().retain(|(other, _)| *other != id);
    }

    /// Something happened to this pipeline, or to any.
    pub fn note(&self, pipeline: Option<&String>) {
        let mut stale = self.stale.borrow_mut();
        match pipeline {
            Some(name) if stale.contains(name) || stale.first().is_some_and(String::is_empty) => {}
            Some(name) if stale.len() < FEW => stale.push(name.clone()),
            _ => *stale = vec![String::new()],
        }
    }

    /// Tells everybody.
    pub fn tell(&self, event: Option<&LiveEvent>) {
        self.note(event.and_then(|event| event.pipeline_name.as_ref()));
        let list = self.list.borrow().clone();
        for (_, callback) in list {
            callback.emit(event.cloned());
        }
    }
}

/// The hub as a context that never changes.
#[derive(Clone, Default)]
pub struct HubHandle(pub Rc<Hub>);

impl PartialEq for HubHandle {
    fn eq(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }
}

/// Provides the hub, and the state of the connection as a context of its own, since only the frame shows it.
#[component]
pub fn LiveProvider(props: &ProviderProps) -> Html {
    let hub = use_memo((), |()| HubHandle(Rc::new(Hub::default())));
    let link = use_state_eq(|| Link::Connecting);
    let (told, setter) = (hub.0.clone(), link.setter());
    use_effect_with((), move |()| {
        let lost = Cell::new(false);
        let on_event = told.clone();
        let stream = Stream::open(Plan {
            url: Box::new(|| routes::EVENTS.to_owned()),
            events: &[events::CHANGE, events::RECONNECT],
            last: None,
            on_event: Box::new(move |_, data| {
                if let Some(event) = payload::<LiveEvent>(&data) {
                    on_event.tell(Some(&event));
                }
            }),
            on_link: Box::new(move |link| {
                if link == Link::Open && lost.replace(false) {
                    told.tell(None);
                }
                // An event source cannot see a 401. If the session is over, this question finds out.
                if link == Link::Reconnecting {
                    spawn_local(async { drop(api::me().await) });
                }
                // What happens while there is no line nobody is told.
                told.unsure.set(true);
                lost.set(lost.get() || matches!(link, Link::Reconnecting | Link::Paused));
                setter.set(link);
            }),
        });
        move || drop(stream)
    });
    html! {
        <ContextProvider<HubHandle> context={(*hub).clone()}>
            <ContextProvider<Link> context={*link}>{props.children.clone()}</ContextProvider<Link>>
        </ContextProvider<HubHandle>>
    }
}
