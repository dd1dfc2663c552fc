//! Line icons on a grid of 24, drawn for this product.

use yew::prelude::*;

/// An icon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Icon {
    Alert,
    ArrowDown,
    Ban,
    Bell,
    Book,
    Check,
    ChevronDown,
    ChevronLeft,
    ChevronRight,
    ChevronUp,
    Clock,
    Close,
    Copy,
    Cpu,
    Cross,
    Dashboard,
    Download,
    Expand,
    Eye,
    EyeOff,
    Key,
    Keyboard,
    List,
    Lock,
    Moon,
    Package,
    Pencil,
    Play,
    Plus,
    Refresh,
    Repeat,
    Search,
    Server,
    SignOut,
    Skip,
    Stop,
    Sun,
    Monitor,
    Trash,
    User,
    Wrap,
}

impl Icon {
    const fn path(self) -> &'static str {
        match self {
            Self::Alert => "M12 4 21 19.5H3zM12 10v4.5M12 17v.01",
            Self::ArrowDown => "M12 5v14M6 13l6 6 6-6",
            Self::Ban => "M12 3.5a8.5 8.5 0 1 0 0 17 8.5 8.5 0 0 0 0-17zM6 6l12 12",
            Self::Bell => "M6 16.5V11a6 6 0 0 1 12 0v5.5l1.5 1.5h-15zM10 20.500h4",
            Self::Book => "M5 4.5h9.5A3.5 3.5 0 0 1 18 8v12H8a3 3 0 0 1-3-3zM5 17a3 3 0 0 1 3-3h10",
            Self::Check => "M5 12.5l4.5 4.5L19 7.5",
            Self::ChevronDown => "M6 9.5l6 6 6-6",
            Self::ChevronLeft => "M14.5 6l-6 6 6 6",
            Self::ChevronRight => "M9.5 6l6 6-6 6",
            Self::ChevronUp => "M6 14.5l6-6 6 6",
            Self::Clock => "M12 3.5a8.5 8.5 0 1 0 0 17 8.5 8.5 0 0 0 0-17zM12 7.5V12l3 2",
            Self::Close | Self::Cross => "M6.5 6.5l11 11M17.5 6.5l-11 11",
            Self::Copy => "M9 9h10.5v10.5H9zM15 9V4.5H4.5V15H9",
            Self::Cpu => "M7 7h10v10H7zM10 3.5V7M14 3.5V7M10 17v3.5M14 17v3.5M3.5 10H7M3.5 14H7M17 10h3.5M17 14h3.5",
            Self::Dashboard => "M4 4h7v9H4zM15 4h5v5h-5zM15 13h5v7h-5zM4 17h7v3H4z",
            Self::Download => "M12 4v11M7 10.5l5 5 5-5M5 19.5h14",
            Self::Expand => "M14 4h6v6M20 4l-7 7M10 20H4v-6M4 20l7-7",
            Self::Eye => {
                "M2.5 12S6 5.5 12 5.5 21.5 12 21.5 12 18 18.5 12 18.5 2.5 12 2.5 12zM12 9.5a2.5 2.5 0 1 0 0 5 2.5 2.5 0 0 0 0-5z"
            }
            Self::EyeOff => {
                "M4 4l16 16M9.5 5.8A9 9 0 0 1 12 5.5c6 0 9.5 6.5 9.5 6.5a17 17 0 0 1-2.7 3.4M6.2 7.6A16 16 0 0 0 2.5 12S6 18.5 12 18.5c1.5 0 2.8-.4 4-1"
            }
            Self::Key => "M8 11a4.5 4.5 0 1 0 0 9 4.5 4.5 0 0 0 0-9zM11.2 12.3 20 3.5M16 7.5l3 3",
            Self::Keyboard => "M3 6.5h18v11H3zM7 10v.01M10.5 10v.01M14 10v.01M17.5 10v.01M8 14h8",
            Self::List => "M8.5 6H20M8.5 12H20M8.5 18H20M4 6v.01M4 12v.01M4 18v.01",
            Self::Lock => "M5.5 11h13v9h-13zM8.5 11V8a3.5 3.5 0 0 1 7 0v3",
            Self::Moon => "M20 14.500A8.5 8.5 0 1 1 9.5 4a7 7 0 0 0 10.5 10.500z",
            Self::Package => "M12 3l8 4.500v9L12 21l-8-4.500v-9zM4 7.500l8 4.5 8-4.500M12 12v9",
            Self::Pencil => "M4 20l1-4.500L16.5 4l3.5 3.500L8.5 19zM14 6.500l3.5 3.5",
            Self::Play => "M7.5 5v14l11-7z",
            Self::Plus => "M12 5v14M5 12h14",
            Self::Refresh => {
                "M20 11.500A8 8 0 0 0 5.5 7.500L4 9M4 4.500V9h4.500M4 12.500a8 8 0 0 0 14.5 4L20 15M20 19.500V15h-4.5"
            }
            Self::Repeat => {
                "M4 11V9.500A3.5 3.5 0 0 1 7.5 6H20M17 3l3 3-3 3M20 13v1.500a3.5 3.5 0 0 1-3.5 3.500H4M7 21l-3-3 3-3"
            }
            Self::Search => "M10.5 4a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13zM15.3 15.3 20 20",
            Self::Server => "M4 4.500h16v6H4zM4 13.500h16v6H4zM7.5 7.500v.01M7.5 16.500v.01",
            Self::SignOut => "M14 4.500H5v15h9M10 12h10.500M17 8.500l3.5 3.5-3.5 3.5",
            Self::Skip => "M5 6l7 6-7 6zM13 6l7 6-7 6z",
            Self::Stop => "M6.5 6.500h11v11h-11z",
            Self::Sun => {
                "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM12 2.500v2M12 19.500v2M2.5 12h2M19.5 12h2M5.3 5.300l1.4 1.400M17.3 17.300l1.4 1.400M5.3 18.700l1.4-1.400M17.3 6.700l1.4-1.4"
            }
            Self::Monitor => "M3.5 5h17v11h-17zM9 20h6M12 16v4",
            Self::Trash => "M4.5 7h15M9.5 7V4.500h5V7M6.5 7l1 13h9l1-13M10.5 11v5M13.5 11v5",
            Self::User => "M12 4a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM4.5 20.5a7.5 7.5 0 0 1 15 0",
            Self::Wrap => "M4 6h16M4 12h13a3 3 0 0 1 0 6h-4M15 15.5 12.5 18l2.5 2.500M4 18h4",
        }
    }
}

/// An icon beside a text that says the same, hence hidden from screen readers. A function and not a component: a list
/// draws hundreds, and every component costs the browser an instance and the download ten kilobytes.
pub fn glyph(icon: Icon) -> Html {
    glyph_with(icon, "")
}

/// The same with more classes.
pub fn glyph_with(icon: Icon, class: &'static str) -> Html {
    html! {
        <svg class={classes!("icon", class)} viewBox="0 0 24 24" aria-hidden="true" focusable="false">
            <path d={icon.path()} />
        </svg>
    }
}
