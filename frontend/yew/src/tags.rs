//! What `html!` builds, by calls that exist once.
//!
//! Yew inlines the making of a tag (two allocations and a hundred bytes of moves) at each of a thousand places.

use std::rc::Rc;

use real::html::IntoPropValue;
use real::virtual_dom::listeners::Listeners;
use real::virtual_dom::{AttrValue, Attributes, Key, VList, VNode};

/// A node reference, which most tags do not have. It stands where Yew's macro names `NodeRef`; pages use Yew's own.
#[derive(Default)]
pub struct NodeRef(Option<real::NodeRef>);

impl IntoPropValue<NodeRef> for real::NodeRef {
    fn into_prop_value(self) -> NodeRef {
        NodeRef(Some(self))
    }
}

/// Makes tags, at once as nodes.
pub struct VTag;

impl VTag {
    /// An `<input>`.
    #[inline(never)]
    pub fn __new_input(
        value: Option<AttrValue>,
        checked: Option<bool>,
        node_ref: NodeRef,
        key: Option<Key>,
        attributes: Attributes,
        listeners: Listeners,
    ) -> VNode {
        let node_ref = node_ref.0.unwrap_or_default();
        real::virtual_dom::VTag::__new_input(value, checked, node_ref, key, attributes, listeners).into()
    }

    /// A `<textarea>`.
    #[inline(never)]
    pub fn __new_textarea(
        value: Option<AttrValue>,
        initial: Option<AttrValue>,
        node_ref: NodeRef,
        key: Option<Key>,
        attributes: Attributes,
        listeners: Listeners,
    ) -> VNode {
        let node_ref = node_ref.0.unwrap_or_default();
        real::virtual_dom::VTag::__new_textarea(value, initial, node_ref, key, attributes, listeners).into()
    }

    /// Any other tag.
    #[inline(never)]
    pub fn __new_other(
        tag: AttrValue,
        node_ref: NodeRef,
        key: Option<Key>,
        attributes: Attributes,
        listeners: Listeners,
        children: VNode,
    ) -> VNode {
        let node_ref = node_ref.0.unwrap_or_default();
        real::virtual_dom::VTag::__new_other(tag, node_ref, key, attributes, listeners, children).into()
    }
}

/// Children, at once as a node.
pub struct ChildrenRenderer;

impl ChildrenRenderer {
    /// Several nodes as one.
    #[inline(never)]
    #[expect(clippy::new_ret_no_self, reason = "Yew's macro calls it so")]
    pub fn new(children: Vec<VNode>) -> VNode {
        VNode::VList(Rc::new(VList::with_children(children, None)))
    }
}
