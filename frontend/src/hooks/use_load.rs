//! Loads data for a key, and again on demand. What was shown stays until the new answer is here.

use std::rc::Rc;

use wasm_bindgen_futures::spawn_local;
use yew::prelude::*;

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

/// Loads `fetch(key)` now and whenever the key changes. Answers to an older question are dropped.
#[hook]
pub fn use_load<K, T, F, Fut>(key: K, fetch: F) -> Loaded<T>
where
    K: Clone + PartialEq + 'static,
    T: 'static,
    F: Fn(K) -> Fut + Copy + 'static,
    Fut: Future<Output = Result<T, Fault>> + 'static,
{
    let state = use_mut_ref(|| Load::<T>::Pending);
    let question = use_mut_ref(|| 0_u64);
    let redraw = use_force_update();

    let (cell, asked, draw) = (state.clone(), question.clone(), redraw.clone());
    let reload = use_callback(key.clone(), move |(), key| {
        *asked.borrow_mut() += 1;
        let mine = *asked.borrow();
        let (cell, asked, draw, answer) = (cell.clone(), asked.clone(), draw.clone(), fetch(key.clone()));
        spawn_local(async move {
            let answer = answer.await;
            if *asked.borrow() == mine {
                let next = cell.borrow().after(answer);
                *cell.borrow_mut() = next;
                draw.force_update();
            }
        });
    });

    let (cell, asked, first) = (state.clone(), question, reload.clone());
    use_effect_with(key, move |_| {
        *cell.borrow_mut() = Load::Pending;
        first.emit(());
        move || *asked.borrow_mut() += 1
    });

    let cell = state.clone();
    let put = use_callback((), move |data: Rc<T>, ()| {
        *cell.borrow_mut() = Load::Ready(data);
        redraw.force_update();
    });
    let load = state.borrow().clone();
    Loaded { load, reload, put }
}
