//! All pipelines, kept fresh: what was seen last at once, and then, of hundreds, only those again that something happened to, be
//! it while another page was shown.

use std::rc::Rc;

use fastflow_shared::Pipeline;
use wasm_bindgen_futures::spawn_local;
use yew::prelude::*;

use super::use_live;
use super::use_load::{Loaded, use_kept};
use crate::api;
use crate::providers::live::HubHandle;

/// Under which name the list is kept.
const NAME: &str = "pipelines";

/// Pipelines by name, each to be handed on without a copy.
pub type Pipelines = Vec<Rc<Pipeline>>;

fn all() -> api::Ask<Pipelines> {
    api::Ask::of(async { Ok(api::pipelines().await?.into_iter().map(Rc::new).collect()) })
}

/// The list with these read again; `None` when that is not enough.
async fn with_fresh(names: &[String]) -> Option<Pipelines> {
    let list = api::kept(NAME)?.downcast::<Pipelines>().ok()?;
    let mut list = Pipelines::clone(&list);
    for name in names {
        // No pipeline has the name that stands for all of them.
        let old = list.iter().position(|old| old.name == *name)?;
        list[old] = Rc::new(api::pipeline(name.clone()).await.ok()?);
    }
    Some(list)
}

/// All pipelines, live.
#[hook]
pub fn use_pipelines() -> Loaded<Pipelines> {
    let held = use_kept(NAME, all);
    let hub = use_context::<HubHandle>().unwrap_or_default().0;
    let (busy, gone) = (use_mut_ref(|| false), use_mut_ref(|| false));

    let (put, failed, news) = (held.put.clone(), held.reload.clone(), hub.clone());
    let (reading, left) = (busy.clone(), gone.clone());
    let refresh = use_callback((), move |(), ()| {
        // One at a time, so that no older answer comes after a newer one.
        if reading.replace(true) {
            return;
        }
        let (put, failed, news, reading, left) =
            (put.clone(), failed.clone(), news.clone(), reading.clone(), left.clone());
        spawn_local(async move {
            while !news.stale.borrow().is_empty() {
                let names = news.stale.take();
                let fresh = match with_fresh(&names).await {
                    Some(list) => Ok(list),
                    None => all().await,
                };
                if *left.borrow() {
                    return;
                }
                match fresh.map(Rc::new) {
                    Ok(list) => {
                        api::keep(NAME, list.clone());
                        put.emit(list);
                    }
                    Err(_) => {
                        news.note(None);
                        // Tells what is wrong.
                        failed.emit(());
                        break;
                    }
                }
            }
            reading.replace(false);
        });
    });
    let (news, again) = (hub.clone(), refresh.clone());
    let reload = use_callback((), move |(), ()| {
        news.note(None);
        again.emit(());
    });
    use_live((), |_| true, refresh.clone());
    use_effect_with((), move |()| {
        if hub.unsure.take() || api::kept(NAME).is_none() {
            hub.note(None);
        }
        refresh.emit(());
        move || {
            gone.replace(true);
            // What was on its way comes to nobody.
            if *busy.borrow() {
                hub.note(None);
            }
        }
    });
    Loaded { reload, ..held }
}
