//! A write on demand: busy while it lasts, a toast when it fails.

use std::any::Any;
use std::rc::Rc;

use wasm_bindgen_futures::spawn_local;
use yew::prelude::*;

use crate::api::{Ask, Coming};
use crate::logic::fault::Fault;
use crate::providers::toasts::use_toaster;
use crate::text::use_text;

/// A write that can be ordered.
pub struct Action<A> {
    /// Whether it is on its way.
    pub busy: bool,
    /// What it failed with last, for a form that shows it in place.
    pub fault: Option<Fault>,
    /// Orders it; ignored while it is on its way, so that a double click is one click.
    pub go: Callback<A>,
}

/// A write `call(argument)`, then `done(answer)`; a toast when it fails.
#[hook]
pub fn use_action<A, T, F>(call: F, done: Callback<T>) -> Action<A>
where
    A: 'static,
    T: 'static,
    F: Fn(A) -> Ask<T> + Copy + 'static,
{
    let writer = use_writer(true);
    writer.action(call, done)
}

/// The same for a form, which shows its failure in place: a toast would lie under the dialog.
#[hook]
pub fn use_form_action<A, T, F>(call: F, done: Callback<T>) -> Action<A>
where
    A: 'static,
    T: 'static,
    F: Fn(A) -> Ask<T> + Copy + 'static,
{
    let writer = use_writer(false);
    writer.action(call, done)
}

/// Told of the answer.
type Then = Box<dyn FnOnce(Box<dyn Any>)>;

/// What a write needs whatever it writes: it exists once, and each write is a thin typed skin over it.
struct Writer {
    busy: bool,
    fault: Option<Fault>,
    order: Rc<dyn Fn(Coming, Then)>,
}

impl Writer {
    fn action<A, T, F>(self, call: F, done: Callback<T>) -> Action<A>
    where
        A: 'static,
        T: 'static,
        F: Fn(A) -> Ask<T> + Copy + 'static,
    {
        let order = self.order;
        let go = Callback::from(move |argument: A| {
            let done = done.clone();
            order(
                call(argument).coming(),
                Box::new(move |answer| drop(answer.downcast().map(|answer| done.emit(*answer)))),
            );
        });
        Action { busy: self.busy, fault: self.fault, go }
    }
}

#[hook]
fn use_writer(loud: bool) -> Writer {
    let t = use_text();
    let toaster = use_toaster();
    let busy = use_state_eq(|| false);
    let fault = use_state(|| None);
    let under_way = use_mut_ref(|| false);
    let (set_busy, set_fault) = (busy.setter(), fault.setter());
    let order = Rc::new(move |call: Coming, then: Then| {
        // A call that nobody waits for is never made.
        if *under_way.borrow() {
            return;
        }
        *under_way.borrow_mut() = true;
        set_busy.set(true);
        let (set_busy, set_fault) = (set_busy.clone(), set_fault.clone());
        let (under_way, toaster) = (under_way.clone(), toaster.clone());
        spawn_local(async move {
            let answer = call.await;
            *under_way.borrow_mut() = false;
            set_busy.set(false);
            match answer {
                Ok(answer) => {
                    set_fault.set(None);
                    then(answer);
                }
                Err(error) => {
                    if loud {
                        toaster.fault(&error, t);
                    }
                    set_fault.set(Some(error));
                }
            }
        });
    });
    Writer { busy: *busy, fault: (*fault).clone(), order }
}
