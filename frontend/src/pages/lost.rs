//! An address at which nothing is. It says so and offers what there is.

use yew::prelude::*;

use crate::hooks::{TabState, use_tab};
use crate::route::Route;
use crate::router::Link;
use crate::text::use_text;

/// Props of [`Lost`].
#[derive(Properties, PartialEq)]
pub struct LostProps {
    /// Why it is not there, when that is known.
    #[prop_or_default]
    pub lead: Option<AttrValue>,
}

/// The page.
#[component]
pub fn Lost(props: &LostProps) -> Html {
    let t = use_text();
    use_tab(t.lost.title.to_owned(), TabState::Plain);
    let links = [
        (t.nav.dashboard, Route::Dashboard),
        (t.nav.runs, Route::Runs),
        (t.nav.schedules, Route::Jobs),
        (t.nav.vault, Route::Vault),
        (t.nav.system, Route::System),
    ];
    html! {
        <div class="lost" data-testid="lost">
            <p class="lost-code num" aria-hidden="true">{"404"}</p>
            <h1>{t.lost.title}</h1>
            <p>{props.lead.clone().unwrap_or(AttrValue::Static(t.lost.lead))}</p>
            <ul>
                {for links.into_iter().map(|(text, to)| html! { <li><Link {to} classes="link">{text}</Link></li> })}
            </ul>
        </div>
    }
}
