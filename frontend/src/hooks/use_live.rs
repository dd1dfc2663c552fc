//! Reads again when the server says that something changed; a burst of changes is one reading.

use std::cell::RefCell;
use std::rc::Rc;

use fastflow_shared::LiveEvent;
use gloo_timers::callback::Timeout;
use yew::prelude::*;

use crate::providers::live::HubHandle;

/// Milliseconds in which changes are collected.
const BURST: u32 = 250;

/// Emits `then` shortly after a change that `concerns` this component. `key` renews what `concerns` has captured.
#[hook]
pub fn use_live<K: PartialEq + 'static>(key: K, concerns: impl Fn(&LiveEvent) -> bool + 'static, then: Callback<()>) {
    let hub = use_context::<HubHandle>();
    // The latest callback, so that a new one does not make a new subscription.
    let latest = use_mut_ref(|| then.clone());
    *latest.borrow_mut() = then;
    use_effect_with(key, move |_| {
        let timer: Rc<RefCell<Option<Timeout>>> = Rc::default();
        let (pending, hub_told) = (timer.clone(), hub.clone());
        let id = hub_told.map(|hub| {
            hub.0.subscribe(Callback::from(move |event: Option<LiveEvent>| {
                let waits = pending.borrow().is_some();
                if waits || !event.as_ref().is_none_or(&concerns) {
                    return;
                }
                let (done, latest) = (pending.clone(), latest.clone());
                let timeout = Timeout::new(BURST, move || {
                    drop(done.borrow_mut().take());
                    let then = latest.borrow().clone();
                    then.emit(());
                });
                *pending.borrow_mut() = Some(timeout);
            }))
        });
        move || {
            if let (Some(hub), Some(id)) = (hub, id) {
                hub.0.unsubscribe(id);
            }
            timer.borrow_mut().take();
        }
    });
}
