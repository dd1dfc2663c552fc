//! State and effects, as in Yew. Their work is done once for all types; what is typed is a thin skin.

use std::cell::RefCell;
use std::ops::Deref;
use std::rc::Rc;

use real::functional::{Hook, HookContext, TearDown, UseForceUpdateHandle, use_force_update, use_mut_ref};

use crate::same::Same;

/// Whether two values are equal, where that matters.
type Equal<T> = Option<fn(&T, &T) -> bool>;

/// Where a state begins.
struct State<T, F> {
    first: F,
    equal: Equal<T>,
}

impl<T: 'static, F: FnOnce() -> T> Hook for State<T, F> {
    type Output = UseStateHandle<T>;

    fn run(self, context: &mut HookContext) -> UseStateHandle<T> {
        let Self { first, equal } = self;
        let value = use_mut_ref(move || Rc::new(first())).run(context);
        let redraw = use_force_update().run(context);
        let now = value.borrow().clone();
        UseStateHandle { now, setter: UseStateSetter { value, redraw, equal } }
    }
}

/// A state; setting it draws its component anew.
pub fn use_state<T: 'static, F: FnOnce() -> T>(first: F) -> impl Hook<Output = UseStateHandle<T>> {
    State { first, equal: None }
}

/// A state; setting it to what it is does nothing.
pub fn use_state_eq<T: PartialEq + 'static, F: FnOnce() -> T>(first: F) -> impl Hook<Output = UseStateHandle<T>> {
    State { first, equal: Some(PartialEq::eq) }
}

/// Changes a state; lives as long as it wants.
pub struct UseStateSetter<T> {
    value: Rc<RefCell<Rc<T>>>,
    redraw: UseForceUpdateHandle,
    equal: Equal<T>,
}

impl<T> Clone for UseStateSetter<T> {
    fn clone(&self) -> Self {
        Self { value: self.value.clone(), redraw: self.redraw.clone(), equal: self.equal }
    }
}

impl<T: 'static> UseStateSetter<T> {
    /// Another value.
    #[inline(never)]
    pub fn set(&self, value: T) {
        let before = self.value.replace(Rc::new(value));
        let equal = self.equal.is_some_and(|equal| equal(&before, &self.value.borrow()));
        if !equal {
            self.redraw.force_update();
        }
    }
}

/// A state as it was when its component was drawn.
pub struct UseStateHandle<T> {
    now: Rc<T>,
    setter: UseStateSetter<T>,
}

impl<T> Clone for UseStateHandle<T> {
    fn clone(&self) -> Self {
        Self { now: self.now.clone(), setter: self.setter.clone() }
    }
}

impl<T> Deref for UseStateHandle<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.now
    }
}

impl<T: 'static> UseStateHandle<T> {
    /// Another value.
    pub fn set(&self, value: T) {
        self.setter.set(value);
    }

    /// Changes it, and does not keep what it was.
    #[must_use]
    pub fn setter(&self) -> UseStateSetter<T> {
        self.setter.clone()
    }
}

/// What an effect depends on.
struct Reasons(Rc<dyn Same>);

impl PartialEq for Reasons {
    fn eq(&self, other: &Self) -> bool {
        self.0.same(&*other.0)
    }
}

/// Begins an effect; what it returns ends it.
type Begin = Box<dyn FnOnce() -> Box<dyn FnOnce()>>;

struct Effect<T, F> {
    reasons: T,
    begin: F,
}

impl<T, F, D> Hook for Effect<T, F>
where
    T: PartialEq + 'static,
    F: FnOnce(&T) -> D + 'static,
    D: TearDown,
{
    type Output = ();

    fn run(self, context: &mut HookContext) {
        let Self { reasons, begin } = self;
        let reasons = Rc::new(reasons);
        let mine = reasons.clone();
        let begin: Begin = Box::new(move || {
            let end = begin(&mine);
            Box::new(move || end.tear_down())
        });
        effect(context, Reasons(reasons), begin);
    }
}

#[inline(never)]
fn effect(context: &mut HookContext, reasons: Reasons, begin: Begin) {
    real::functional::use_effect_with(reasons, move |_: &Reasons| begin()).run(context);
}

/// Runs `begin` after drawing, whenever `reasons` have changed, and what it returned before the next time and at the end.
pub fn use_effect_with<T, F, D>(reasons: T, begin: F) -> impl Hook<Output = ()>
where
    T: PartialEq + 'static,
    F: FnOnce(&T) -> D + 'static,
    D: TearDown,
{
    Effect { reasons, begin }
}
