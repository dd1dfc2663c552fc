//! A server-sent event stream that comes back by itself.
//!
//! The browser's own reconnecting gives up on an answer such as 502, and it cannot be watched. So every error closes
//! the source here and a new one is opened after a growing pause, at the address that the owner gives *then*: the
//! owner knows the last offset that it really took. A tab in the background lets go of its connection, because
//! a browser grants only six per server to all tabs together; it resumes when the tab is looked at.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use gloo_timers::callback::Timeout;
use wasm_bindgen::JsCast;
use wasm_bindgen::closure::Closure;
use web_sys::{Event, EventSource, MessageEvent};

/// Milliseconds of the first pause; each failure doubles it.
const FIRST_PAUSE: u32 = 500;
/// Longest pause.
const LONGEST_PAUSE: u32 = 10_000;
/// How long a tab may be in the background before it lets go.
const BACKGROUND_GRACE: u32 = 10_000;

/// State of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// First attempt.
    Connecting,
    /// Open.
    Open,
    /// Lost; will be tried again.
    Reconnecting,
    /// Let go of while nobody looks.
    Paused,
    /// Ended by the server; nothing more will come.
    Ended,
}

/// Takes an event's name and data.
pub type OnEvent = Box<dyn Fn(&str, String)>;
type Handler = Closure<dyn FnMut(Event)>;

/// What the owner of a stream says about it.
pub struct Plan {
    /// Address to open now.
    pub url: Box<dyn Fn() -> String>,
    /// Names of the events to listen to.
    pub events: &'static [&'static str],
    /// Event that ends the stream for good, if any.
    pub last: Option<&'static str>,
    /// Takes an event's name and data.
    pub on_event: OnEvent,
    /// Takes a change of the connection.
    pub on_link: Box<dyn Fn(Link)>,
}

type Listener = (EventSource, &'static str, Closure<dyn FnMut(MessageEvent)>);

struct Inner {
    plan: Plan,
    source: RefCell<Option<EventSource>>,
    listeners: RefCell<Vec<Listener>>,
    hooks: RefCell<Vec<Handler>>,
    timer: RefCell<Option<Timeout>>,
    visibility: RefCell<Option<Handler>>,
    pause: Cell<u32>,
    link: Cell<Link>,
    closed: Cell<bool>,
}

/// A stream; dropping it closes it.
pub struct Stream(Rc<Inner>);

impl Stream {
    /// Opens a stream.
    #[must_use]
    pub fn open(plan: Plan) -> Self {
        let inner = Rc::new(Inner {
            plan,
            source: RefCell::default(),
            listeners: RefCell::default(),
            hooks: RefCell::default(),
            timer: RefCell::default(),
            visibility: RefCell::default(),
            pause: Cell::new(FIRST_PAUSE),
            link: Cell::new(Link::Connecting),
            closed: Cell::new(false),
        });
        inner.watch_visibility();
        inner.connect();
        Self(inner)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.0.closed.set(true);
        self.0.disconnect();
        self.0.timer.borrow_mut().take();
        if let (Some(document), Some(watch)) = (document(), self.0.visibility.borrow_mut().take()) {
            let _ = document.remove_event_listener_with_callback("visibilitychange", watch.as_ref().unchecked_ref());
            if let Some(window) = web_sys::window() {
                let _ = window.remove_event_listener_with_callback("pagehide", watch.as_ref().unchecked_ref());
            }
        }
    }
}

fn document() -> Option<web_sys::Document> {
    web_sys::window().and_then(|window| window.document())
}

fn hidden() -> bool {
    document().is_some_and(|document| document.visibility_state() == web_sys::VisibilityState::Hidden)
}

impl Inner {
    fn set(&self, link: Link) {
        if self.link.replace(link) != link || link == Link::Connecting {
            (self.plan.on_link)(link);
        }
    }

    fn disconnect(&self) {
        if let Some(source) = self.source.borrow_mut().take() {
            source.set_onopen(None);
            source.set_onerror(None);
            for (source, name, listener) in self.listeners.borrow().iter() {
                let _ = source.remove_event_listener_with_callback(name, listener.as_ref().unchecked_ref());
            }
            source.close();
        }
    }

    fn connect(self: &Rc<Self>) {
        if self.closed.get() || self.link.get() == Link::Ended {
            return;
        }
        self.disconnect();
        let Ok(source) = EventSource::new(&(self.plan.url)()) else {
            self.retry();
            return;
        };
        // Closures of the source before are dropped here and not while one of them runs.
        self.listeners.borrow_mut().clear();
        self.hooks.borrow_mut().clear();
        for name in self.plan.events {
            let weak = Rc::downgrade(self);
            let listener = Closure::<dyn FnMut(MessageEvent)>::new(move |event: MessageEvent| {
                if let Some(inner) = weak.upgrade().filter(|inner| !inner.closed.get()) {
                    inner.take(name, event.data().as_string().unwrap_or_default());
                }
            });
            let _ = source.add_event_listener_with_callback(name, listener.as_ref().unchecked_ref());
            self.listeners.borrow_mut().push((source.clone(), name, listener));
        }
        let weak = Rc::downgrade(self);
        let on_open = Closure::<dyn FnMut(Event)>::new(move |_| {
            if let Some(inner) = weak.upgrade() {
                inner.pause.set(FIRST_PAUSE);
                inner.set(Link::Open);
            }
        });
        let weak = Rc::downgrade(self);
        let on_error = Closure::<dyn FnMut(Event)>::new(move |_| {
            if let Some(inner) = weak.upgrade() {
                inner.retry();
            }
        });
        source.set_onopen(Some(on_open.as_ref().unchecked_ref()));
        source.set_onerror(Some(on_error.as_ref().unchecked_ref()));
        self.hooks.borrow_mut().extend([on_open, on_error]);
        *self.source.borrow_mut() = Some(source);
    }

    fn take(self: &Rc<Self>, name: &'static str, data: String) {
        if name == fastflow_shared::events::RECONNECT {
            self.retry();
            return;
        }
        (self.plan.on_event)(name, data);
        if Some(name) == self.plan.last {
            self.disconnect();
            self.set(Link::Ended);
        }
    }

    fn retry(self: &Rc<Self>) {
        self.disconnect();
        if self.closed.get() || self.link.get() == Link::Ended {
            return;
        }
        self.set(Link::Reconnecting);
        let pause = self.pause.get();
        self.pause.set((pause * 2).min(LONGEST_PAUSE));
        // Some chance, so that a hundred tabs do not come back in the same moment.
        let jitter = (js_sys::Math::random() * f64::from(pause) / 2.0) as u32;
        self.after(pause + jitter, Inner::connect);
    }

    fn after(self: &Rc<Self>, pause: u32, then: impl FnOnce(&Rc<Self>) + 'static) {
        let weak = Rc::downgrade(self);
        let timer = Timeout::new(pause, move || {
            if let Some(inner) = weak.upgrade() {
                then(&inner);
            }
        });
        *self.timer.borrow_mut() = Some(timer);
    }

    fn watch_visibility(self: &Rc<Self>) {
        let weak = Rc::downgrade(self);
        let watch = Closure::<dyn FnMut(Event)>::new(move |event: Event| {
            let Some(inner) = weak.upgrade().filter(|inner| inner.link.get() != Link::Ended) else {
                return;
            };
            if event.type_() == "pagehide" {
                // The browser may keep the page for the way back, with its connections, and no timer runs in it then: six
                // such pages, and the next one waits for ever. Shown again, it is visible again, and connects.
                inner.disconnect();
                inner.set(Link::Paused);
            } else if hidden() {
                inner.after(BACKGROUND_GRACE, |inner| {
                    if hidden() {
                        inner.disconnect();
                        inner.set(Link::Paused);
                    }
                });
            } else if inner.source.borrow().is_none() {
                inner.pause.set(FIRST_PAUSE);
                inner.connect();
            }
        });
        if let Some(document) = document() {
            let _ = document.add_event_listener_with_callback("visibilitychange", watch.as_ref().unchecked_ref());
        }
        if let Some(window) = web_sys::window() {
            let _ = window.add_event_listener_with_callback("pagehide", watch.as_ref().unchecked_ref());
        }
        *self.visibility.borrow_mut() = Some(watch);
    }
}

/// Reads an event's payload; what cannot be read is left out, for the next read of the page mends it.
#[must_use]
pub fn payload<T: serde::de::DeserializeOwned>(data: &str) -> Option<T> {
    fastflow_shared::json::from_str(data).ok()
}
