//! All pipelines, kept fresh: what was seen last at once, and then, of hundreds, only those again that something happened to.

use std::rc::Rc;

use fastflow_shared::{LiveEvent, Pipeline};
use wasm_bindgen_futures::spawn_local;
use yew::prelude::*;

use super::use_live;
use super::use_load::{Loaded, use_kept};
use crate::api;

/// More changed ones than this are read as one list.
const FEW: usize = 8;

/// Stands for all of them among the changed ones; no pipeline has this name.
const ALL: &str = "";

/// Pipelines by name, each to be handed on without a copy.
pub type Pipelines = Vec<Rc<Pipeline>>;

fn all() -> api::Ask<Pipelines> {
    api::Ask::of(async { Ok(api::pipelines().await?.into_iter().map(Rc::new).collect()) })
}

/// The list with these read again; `None` when that is not enough.
async fn with_fresh(names: &[String], mut list: Pipelines) -> Option<Pipelines> {
    if names.len() > FEW || names.iter().any(|name| name == ALL) {
        return None;
    }
    for name in names {
        let fresh = api::pipeline(name.clone()).await.ok()?;
        let old = list.iter_mut().find(|old| old.name == fresh.name)?;
        *old = Rc::new(fresh);
    }
    Some(list)
}

/// All pipelines, live.
#[hook]
pub fn use_pipelines() -> Loaded<Pipelines> {
    let held = use_kept("pipelines", all);
    let shown = use_mut_ref(|| None);
    shown.replace(held.load.data().cloned());
    let changed = use_mut_ref(Vec::new);
    let busy = use_mut_ref(|| false);

    let (put, failed, names) = (held.put.clone(), held.reload.clone(), changed.clone());
    let refresh = use_callback((), move |(), ()| {
        if names.borrow().is_empty() {
            // The line of events was cut, and nobody knows what changed.
            names.borrow_mut().push(ALL.to_owned());
        }
        // One at a time, so that no older answer comes after a newer one.
        if busy.replace(true) {
            return;
        }
        let (put, failed, names, busy, shown) =
            (put.clone(), failed.clone(), names.clone(), busy.clone(), shown.clone());
        spawn_local(async move {
            while !names.borrow().is_empty() {
                let now: Vec<String> = names.take();
                let list = shown.borrow().as_ref().map(|list: &Rc<Pipelines>| Pipelines::clone(list));
                let fresh = match with_fresh(&now, list.unwrap_or_default()).await {
                    Some(list) => Ok(list),
                    None => all().await,
                };
                match fresh.map(Rc::new) {
                    Ok(list) => {
                        shown.replace(Some(list.clone()));
                        put.emit(list);
                    }
                    // Tells what is wrong.
                    Err(_) => failed.emit(()),
                }
            }
            busy.replace(false);
        });
    });
    let (asked, again) = (changed.clone(), refresh.clone());
    let reload = use_callback((), move |(), ()| {
        asked.borrow_mut().push(ALL.to_owned());
        again.emit(());
    });
    let concerns = move |event: &LiveEvent| {
        let (name, mut changed) = (event.pipeline_name.clone().unwrap_or_default(), changed.borrow_mut());
        if !changed.contains(&name) {
            changed.push(name);
        }
        true
    };
    use_live((), concerns, refresh);
    let first = reload.clone();
    use_effect_with((), move |()| first.emit(()));
    Loaded { reload, ..held }
}
