//! Comparing what one does not know the type of.

use std::any::Any;

/// Something that can be compared with something else of any type. Every test of a type is sixteen bytes in the program
/// that nothing compresses, so there is one for each type.
pub trait Same: Any {
    /// Whether the other one has the same type and is equal.
    fn same(&self, other: &dyn Same) -> bool;
}

impl<T: PartialEq + 'static> Same for T {
    fn same(&self, other: &dyn Same) -> bool {
        (other as &dyn Any).downcast_ref() == Some(self)
    }
}
