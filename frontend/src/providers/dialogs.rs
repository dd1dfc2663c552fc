//! One place for questions, so that a page asks in one line and two dialogs never lie on each other.

use std::collections::BTreeMap;

use fastflow_shared::{Pipeline, PipelineParameter};
use yew::prelude::*;

use super::settings::ProviderProps;
use crate::ui::confirm::{Confirm, Question};

/// Asks before something is destroyed.
#[derive(Clone, PartialEq)]
pub struct Asker(pub Callback<Question>);

/// A pipeline to be started with parameters.
#[derive(Debug, Clone, PartialEq)]
pub struct StartForm {
    /// Its name.
    pub name: String,
    /// What its `default_env` says, as suggestions.
    pub defaults: BTreeMap<String, String>,
    /// What it takes; empty when anything goes.
    pub parameters: Vec<PipelineParameter>,
}

impl From<&Pipeline> for StartForm {
    fn from(pipeline: &Pipeline) -> Self {
        let Pipeline { name, default_env, parameters, .. } = pipeline.clone();
        Self { name, defaults: default_env, parameters }
    }
}

/// Opens the form that starts a pipeline.
#[derive(Clone, PartialEq)]
pub struct Starter(pub Callback<StartForm>);

/// Provides the questions.
#[component]
pub fn DialogProvider(props: &ProviderProps) -> Html {
    let question = use_state(|| None::<Question>);
    let setter = question.setter();
    let ask = use_callback((), move |question: Question, ()| setter.set(Some(question)));
    let setter = question.setter();
    let onclose = use_callback((), move |(), ()| setter.set(None));
    html! {
        <ContextProvider<Asker> context={Asker(ask)}>
            {props.children.clone()}
            if let Some(question) = &*question {
                <Confirm question={question.clone()} {onclose} />
            }
        </ContextProvider<Asker>>
    }
}

/// Asks.
#[hook]
pub fn use_ask() -> Callback<Question> {
    use_context::<Asker>().map(|asker| asker.0).unwrap_or_default()
}

/// Opens the form that starts a pipeline.
#[hook]
pub fn use_start_form() -> Callback<StartForm> {
    use_context::<Starter>().map(|starter| starter.0).unwrap_or_default()
}
