//! The one component, and what Yew's macros need so that ours become it.

use std::marker::PhantomData;
use std::rc::Rc;

use real::context::ContextProviderProps;
use real::functional::{FunctionProvider, HookContext};
use real::html::{HtmlResult, IntoPropValue, Properties};
use real::virtual_dom::{Key, VComp, VNode};

use crate::same::Same;

/// What a component of the SPA is: a function of its props. Yew's attribute implements it; the methods that would
/// create one of its own are never called, and so not in the program.
pub trait BaseComponent: Sized + 'static {
    /// Always `()`.
    type Message: 'static;
    /// Its props.
    type Properties: Properties + PartialEq + 'static;

    /// Not called.
    fn create(context: &Context<Self>) -> Self;
    /// Not called.
    fn update(&mut self, context: &Context<Self>, message: Self::Message) -> bool;
    /// Not called.
    fn changed(&mut self, context: &Context<Self>, old: &Self::Properties) -> bool;
    /// Not called.
    fn view(&self, context: &Context<Self>) -> HtmlResult;
    /// Not called.
    fn rendered(&mut self, context: &Context<Self>, first: bool);
    /// Not called.
    fn destroy(&mut self, context: &Context<Self>);
    /// Not called.
    fn prepare_state(&self) -> Option<String>;
}

/// The context of a component that Yew's attribute would create.
pub struct Context<C: BaseComponent>(C::Properties);

impl<C: BaseComponent> Context<C> {
    /// The props.
    pub fn props(&self) -> &C::Properties {
        &self.0
    }
}

/// The hooks of a component that Yew's attribute would create.
pub struct FunctionComponent<C>(PhantomData<C>);

impl<C: FunctionProvider> FunctionComponent<C> {
    /// Not called.
    pub fn new<D: BaseComponent>(_: &Context<D>) -> Self {
        Self(PhantomData)
    }

    /// Not called.
    #[expect(clippy::missing_errors_doc, reason = "not called")]
    pub fn render(&self, _: &C::Properties) -> HtmlResult {
        Ok(VNode::default())
    }

    /// Not called.
    pub fn rendered(&self) {}

    /// Not called.
    pub fn destroy(&self) {}

    /// Not called.
    pub fn prepare_state(&self) -> Option<String> {
        None
    }
}

/// What can stand in `html!`.
pub trait Drawn: BaseComponent {
    /// As a node.
    fn node(props: Self::Properties, key: Option<Key>) -> VNode;
}

impl<C> Drawn for C
where
    C: BaseComponent + FunctionProvider<Properties = <C as BaseComponent>::Properties>,
{
    fn node(props: <C as BaseComponent>::Properties, key: Option<Key>) -> VNode {
        part(PartProps::of::<C>(props), key)
    }
}

/// Not inlined, for it would be at each place where a component stands.
#[inline(never)]
fn part(props: PartProps, key: Option<Key>) -> VNode {
    VNode::VComp(Rc::new(VComp::new::<Part>(Rc::new(props), key)))
}

/// Draws a component with its props in it.
type Run = Box<dyn Fn(&mut HookContext) -> HtmlResult>;

/// Props of any component.
pub struct PartProps {
    /// Which component it is: the address of its function. Two whose code is the same to the byte may be one.
    kind: *const (),
    run: Run,
    given: Rc<dyn Same>,
}

impl PartProps {
    fn of<C: FunctionProvider<Properties: 'static>>(props: C::Properties) -> Self {
        let given = Rc::new(props);
        let run = given.clone();
        Self { kind: C::run as *const (), run: Box::new(move |context| C::run(context, &run)), given }
    }
}

impl Properties for PartProps {
    type Builder = ();

    /// Not called: nobody writes this component in `html!`.
    fn builder() {}
}

impl PartialEq for PartProps {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind && self.given.same(&*other.given)
    }
}

/// Any component.
pub struct Part {
    hooks: real::functional::FunctionComponent<Self>,
    /// Another component stands here now: what the one before has drawn has to go first.
    moved: bool,
}

impl FunctionProvider for Part {
    type Properties = PartProps;

    fn run(context: &mut HookContext, props: &PartProps) -> HtmlResult {
        (props.run)(context)
    }
}

impl real::html::BaseComponent for Part {
    type Message = ();
    type Properties = PartProps;

    fn create(context: &real::html::Context<Self>) -> Self {
        Self { hooks: real::functional::FunctionComponent::new(context), moved: false }
    }

    fn update(&mut self, _: &real::html::Context<Self>, (): ()) -> bool {
        true
    }

    fn changed(&mut self, context: &real::html::Context<Self>, old: &PartProps) -> bool {
        if context.props().kind != old.kind {
            // Yew sees one type and keeps it; to us this is the end of one component and the beginning of another.
            self.hooks.destroy();
            self.hooks = real::functional::FunctionComponent::new(context);
            self.moved = true;
        }
        true
    }

    fn view(&self, context: &real::html::Context<Self>) -> HtmlResult {
        if self.moved { Ok(VNode::default()) } else { self.hooks.render(context.props()) }
    }

    fn rendered(&mut self, context: &real::html::Context<Self>, _: bool) {
        if std::mem::take(&mut self.moved) {
            // Drawn in the same turn of the scheduler, before the browser paints.
            context.link().send_message(());
        } else {
            self.hooks.rendered();
        }
    }

    fn destroy(&mut self, _: &real::html::Context<Self>) {
        self.hooks.destroy();
    }

    fn prepare_state(&self) -> Option<String> {
        None
    }
}

/// A component in `html!`.
pub struct VChild<C> {
    node: VNode,
    of: PhantomData<C>,
}

impl<C: Drawn> VChild<C> {
    /// A component with its props.
    pub fn new(props: C::Properties, key: Option<Key>) -> Self {
        Self { node: C::node(props, key), of: PhantomData }
    }
}

impl<C> From<VChild<C>> for VNode {
    fn from(child: VChild<C>) -> Self {
        child.node
    }
}

impl<C> IntoPropValue<VNode> for VChild<C> {
    fn into_prop_value(self) -> VNode {
        self.node
    }
}

/// Provides a context. It stays Yew's own, which `use_context` looks for.
pub struct ContextProvider<T>(PhantomData<T>);

impl<T: Clone + PartialEq + 'static> BaseComponent for ContextProvider<T> {
    type Message = ();
    type Properties = ContextProviderProps<T>;

    fn create(_: &Context<Self>) -> Self {
        Self(PhantomData)
    }

    fn update(&mut self, _: &Context<Self>, (): ()) -> bool {
        true
    }

    fn changed(&mut self, _: &Context<Self>, _: &Self::Properties) -> bool {
        true
    }

    fn view(&self, _: &Context<Self>) -> HtmlResult {
        Ok(VNode::default())
    }

    fn rendered(&mut self, _: &Context<Self>, _: bool) {}

    fn destroy(&mut self, _: &Context<Self>) {}

    fn prepare_state(&self) -> Option<String> {
        None
    }
}

impl<T: Clone + PartialEq + 'static> Drawn for ContextProvider<T> {
    fn node(props: ContextProviderProps<T>, key: Option<Key>) -> VNode {
        VNode::VComp(Rc::new(VComp::new::<real::context::ContextProvider<T>>(Rc::new(props), key)))
    }
}

/// Draws a component into the page.
pub struct Renderer<C>(PhantomData<C>);

impl<C> Default for Renderer<C> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<C> Renderer<C>
where
    C: BaseComponent + FunctionProvider<Properties = <C as BaseComponent>::Properties>,
    <C as BaseComponent>::Properties: Default,
{
    /// Of this component.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Draws it.
    pub fn render(self) {
        real::Renderer::<Part>::with_props(PartProps::of::<C>(Default::default())).render();
    }
}
