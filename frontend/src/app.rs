//! The application: providers from the outside in, and which address shows which page.

use yew::prelude::*;

use crate::pages;
use crate::providers::dialogs::DialogProvider;
use crate::providers::live::LiveProvider;
use crate::providers::session::{Session, SessionProvider, ToLogin, use_session};
use crate::providers::settings::SettingsProvider;
use crate::providers::toasts::ToastProvider;
use crate::route::Route;
use crate::router::{Router, use_route};

/// Everything.
#[component]
pub fn App() -> Html {
    html! {
        // Outermost: even the page before the login speaks a language and has a theme.
        <SettingsProvider>
            // The router before the messages, for a message may link to a page.
            <Router>
                // Messages before the session: signing in can fail, too.
                <ToastProvider>
                    // The session before everything that asks the server for data.
                    <SessionProvider>
                        // Questions last: what they do may need all of the above.
                        <DialogProvider>
                            <Page />
                        </DialogProvider>
                    </SessionProvider>
                </ToastProvider>
            </Router>
        </SettingsProvider>
    }
}

#[component]
fn Page() -> Html {
    match use_route() {
        Route::Login => html! { <pages::LoginPage /> },
        route => html! { <Inside {route} /> },
    }
}

/// Props of [`Inside`].
#[derive(Properties, PartialEq)]
struct InsideProps {
    route: Route,
}

/// The pages for which somebody must be signed in.
#[component]
fn Inside(props: &InsideProps) -> Html {
    let session = use_session();
    if !matches!(session.now, Session::User(_)) {
        return html! { <ToLogin /> };
    }
    html! {
        // The event stream needs the session's cookie, and one is enough for all pages.
        <LiveProvider>
            <pages::Shell>{inside(&props.route)}</pages::Shell>
        </LiveProvider>
    }
}

fn inside(route: &Route) -> Html {
    match route.clone() {
        Route::Dashboard => html! { <pages::Dashboard /> },
        Route::Pipelines => html! { <pages::Pipelines /> },
        Route::Runs => html! { <pages::Runs /> },
        // The key makes another run another page: nothing of the one before is left.
        Route::Run { id } => html! { <pages::RunPage key={id.clone()} id={id.clone()} /> },
        Route::RunLog { id } => html! { <pages::RunLogPage key={id.clone()} id={id.clone()} /> },
        Route::Pipeline { name } => html! { <pages::PipelinePage key={name.clone()} name={name.clone()} /> },
        Route::Vault => html! { <pages::VaultPage /> },
        Route::Jobs => html! { <pages::Jobs /> },
        Route::Sync => html! { <pages::SyncPage /> },
        Route::System => html! { <pages::System /> },
        Route::Storage => html! { <pages::StoragePage /> },
        Route::Settings => html! { <pages::SettingsPage /> },
        Route::Users => html! { <pages::Users /> },
        Route::Audit => html! { <pages::Audit /> },
        Route::Account => html! { <pages::Account /> },
        Route::Login | Route::Lost => html! { <pages::Lost /> },
    }
}
