//! How far data is that a page asked for.

use std::rc::Rc;

use super::fault::Fault;

/// Data on its way.
#[derive(Debug)]
pub enum Load<T: ?Sized> {
    /// Not here yet.
    Pending,
    /// Here.
    Ready(Rc<T>),
    /// Not to be had; with what was last seen, when there was something.
    Failed(Fault, Option<Rc<T>>),
}

impl<T: ?Sized> Clone for Load<T> {
    fn clone(&self) -> Self {
        match self {
            Self::Pending => Self::Pending,
            Self::Ready(data) => Self::Ready(Rc::clone(data)),
            Self::Failed(fault, last) => Self::Failed(fault.clone(), last.clone()),
        }
    }
}

impl<T: PartialEq> PartialEq for Load<T> {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Pending, Self::Pending) => true,
            (Self::Ready(a), Self::Ready(b)) => Rc::ptr_eq(a, b) || a == b,
            (Self::Failed(a, x), Self::Failed(b, y)) => a == b && x == y,
            _ => false,
        }
    }
}

impl<T: ?Sized> Load<T> {
    /// What there is to show, fresh or stale.
    #[must_use]
    pub fn data(&self) -> Option<&Rc<T>> {
        match self {
            Self::Pending => None,
            Self::Ready(data) => Some(data),
            Self::Failed(_, last) => last.as_ref(),
        }
    }

    /// The state after an answer: a failure keeps what was last seen.
    #[must_use]
    pub fn after(&self, answer: Result<Rc<T>, Fault>) -> Self {
        match answer {
            Ok(data) => Self::Ready(data),
            Err(fault) => Self::Failed(fault, self.data().cloned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_keeps_what_was_seen() {
        let load = Load::Pending.after(Ok(Rc::new(1))).after(Err(Fault::network(String::new())));
        assert_eq!(load.data().map(|data| **data), Some(1));
        assert!(matches!(load, Load::Failed(..)));
    }
}
