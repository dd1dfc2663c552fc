//! Where a page stands.

use yew::prelude::*;

use crate::route::Route;
use crate::router::Link;
use crate::text::use_text;

/// Props of [`Crumbs`].
#[derive(Properties, PartialEq)]
pub struct CrumbsProps {
    /// The pages above, from the top.
    pub above: Vec<(AttrValue, Route)>,
    /// This page.
    pub here: AttrValue,
}

/// Breadcrumbs.
#[component]
pub fn Crumbs(props: &CrumbsProps) -> Html {
    let t = use_text();
    html! {
        <nav class="crumbs" aria-label={t.nav.breadcrumbs}>
            <ol>
                {for props.above.iter().map(|(text, to)| html! {
                    <li><Link to={to.clone()}>{text}</Link></li>
                })}
                <li aria-current="page">{&props.here}</li>
            </ol>
        </nav>
    }
}
