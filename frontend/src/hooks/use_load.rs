//! Loads data for a key, and again on demand. What was shown stays until the new answer is here.
//!
//! The work is done once for all types, on `dyn Any`; [`use_load`] is a thin typed skin over it. Every page loads
//! something, and a copy of all this for each of them weighed more than most pages.

use std::any::Any;
use std::rc::Rc;

use wasm_bindgen_futures::spawn_local;
use yew::Same;
use yew::prelude::*;

use crate::api::{Ask, Coming, kept};
use crate::logic::fault::Fault;
use crate::logic::load::Load;

/// Data and a way to read it again.
pub struct Loaded<T> {
    /// How far it is.
    pub load: Load<T>,
    /// Reads it again.
    pub reload: Callback<()>,
    /// Replaces it by what a write answered.
    pub put: Callback<Rc<T>>,
}

/// A key of any type.
#[derive(Clone)]
struct AnyKey(Rc<dyn Same>);

impl PartialEq for AnyKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.same(&*other.0)
    }
}

/// Loads `fetch(key)` now and whenever the key changes. Answers to an older question are dropped.
#[hook]
pub fn use_load<K, T, F>(key: K, fetch: F) -> Loaded<T>
where
    K: Clone + PartialEq + 'static,
    T: 'static,
    F: Fn(K) -> Ask<T> + Copy + 'static,
{
    let asked = key.clone();
    let ask = Box::new(move || fetch(asked.clone()).coming());
    let held = use_any(AnyKey(Rc::new(key)), None, ask);
    use_typed(held)
}

/// Begins with what is kept under this `name`; `fetch` is asked when somebody calls for it, and not before.
#[hook]
pub fn use_kept<T: 'static>(name: &'static str, fetch: fn() -> Ask<T>) -> Loaded<T> {
    let held = use_any(AnyKey(Rc::new(())), Some(name), Box::new(move || fetch().coming()));
    use_typed(held)
}

#[hook]
fn use_typed<T: 'static>(held: Held) -> Loaded<T> {
    let ((data, fault), reload, put) = held;
    let put = use_memo((), move |()| put.reform(|data: Rc<T>| data as Rc<dyn Any>));
    // What is in there was put there as this type, under its name if it has one.
    let load = match (fault, data.and_then(|data| data.downcast::<T>().ok())) {
        (None, None) => Load::Pending,
        (None, Some(data)) => Load::Ready(data),
        (Some(fault), last) => Load::Failed(fault, last),
    };
    Loaded { load, reload, put: (*put).clone() }
}

/// What is known and what went wrong, how to ask again, and how to put something else in its place.
type Held = ((Option<Rc<dyn Any>>, Option<Fault>), Callback<()>, Callback<Rc<dyn Any>>);

#[hook]
fn use_any(key: AnyKey, name: Option<&'static str>, ask: Box<dyn Fn() -> Coming>) -> Held {
    let state = use_mut_ref(|| name.and_then(kept).map_or(Load::Pending, Load::Ready));
    let question = use_mut_ref(|| 0_u64);
    let redraw = use_force_update();

    let (cell, asked, draw) = (state.clone(), question.clone(), redraw.clone());
    let reload = use_callback(key.clone(), move |(), _| {
        *asked.borrow_mut() += 1;
        let mine = *asked.borrow();
        let (cell, asked, draw, answer) = (cell.clone(), asked.clone(), draw.clone(), ask());
        spawn_local(async move {
            let answer = answer.await.map(Rc::from);
            if *asked.borrow() == mine {
                let next = cell.borrow().after(answer);
                *cell.borrow_mut() = next;
                draw.force_update();
            }
        });
    });

    let (cell, asked, first) = (state.clone(), question, reload.clone());
    use_effect_with(key, move |_| {
        if name.is_none() {
            *cell.borrow_mut() = Load::Pending;
            first.emit(());
        }
        move || *asked.borrow_mut() += 1
    });

    let cell = state.clone();
    let put = use_callback((), move |data: Rc<dyn Any>, ()| {
        *cell.borrow_mut() = Load::Ready(data);
        redraw.force_update();
    });
    let known = match state.borrow().clone() {
        Load::Pending => (None, None),
        Load::Ready(data) => (Some(data), None),
        Load::Failed(fault, last) => (last, Some(fault)),
    };
    (known, reload, put)
}
