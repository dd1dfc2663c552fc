//! Yew, with one component underneath all of ours.
//!
//! Yew makes a copy of its machinery for each component's type: create, mount, compare, reuse, downcast, about two
//! kilobytes each. A hundred components were a fifth of the program. Here a component of the SPA is a plain function
//! and its props behind one type, [`part::Part`], so that the machinery exists once.
//!
//! The SPA names this crate `yew`. Yew's macros write paths such as `::yew::virtual_dom::VChild`, so they take what is
//! replaced here from here and everything else from Yew; no page knows the difference. See ADR 28.

mod hooks;
mod part;
mod same;
mod tags;

pub use real::macros::*;
pub use real::{Callback, Properties, callback, context, macros, platform, scheduler, suspense, utils};

pub use part::Renderer;
pub use same::Same;

/// Contexts, events, hooks.
pub use prelude::*;

/// As in Yew.
pub mod events {
    pub use real::events::*;
}

/// As in Yew, but for what holds a component's hooks.
pub mod functional {
    pub use crate::hooks::{UseStateHandle, UseStateSetter, use_effect_with, use_state, use_state_eq};
    pub use crate::part::FunctionComponent;
    pub use real::functional::*;
}

/// As in Yew, but for what a component is.
pub mod html {
    pub use crate::part::{BaseComponent, Context};
    pub use crate::tags::{ChildrenRenderer, NodeRef};
    pub use real::html::*;
}

/// As in Yew, but for a component that is a child.
pub mod virtual_dom {
    pub use crate::part::VChild;
    pub use crate::tags::VTag;
    pub use real::virtual_dom::*;
}

/// What a page imports.
pub mod prelude {
    pub use crate::events::*;
    pub use crate::functional::*;
    pub use crate::html::{BaseComponent, Classes, Html, HtmlResult, Properties, TargetCast, create_portal};
    pub use crate::part::ContextProvider;
    pub use real::macros::{classes, html, html_nested};
    pub use real::virtual_dom::AttrValue;
    pub use real::{Callback, ContextHandle, NodeRef};
}
