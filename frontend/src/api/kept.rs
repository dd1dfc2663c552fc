//! What was read last, for the pages that one comes back to all day: shown at once, before anything is read again. Few names, one
//! value each; forgotten with the session.

use std::any::Any;
use std::cell::RefCell;
use std::rc::Rc;

type Kept = Vec<(&'static str, Rc<dyn Any>)>;

thread_local! {
    static KEPT: RefCell<Kept> = const { RefCell::new(Vec::new()) };
}

/// What was last kept under that name.
#[must_use]
pub fn kept(name: &str) -> Option<Rc<dyn Any>> {
    KEPT.with_borrow(|all| all.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone()))
}

/// Keeps this instead of what was there.
pub fn keep(name: &'static str, value: Rc<dyn Any>) {
    KEPT.with_borrow_mut(|all| {
        all.retain(|(known, _)| *known != name);
        all.push((name, value));
    });
}

/// Somebody else may sit here next.
pub fn forget() {
    KEPT.take();
}
