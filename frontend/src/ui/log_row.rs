//! One row of a log. Rows never change once they are complete, so drawing one is skipped when nothing about it changed.

use std::rc::Rc;

use fastflow_shared::LogSource;
use yew::prelude::*;

use super::icon::{Icon, glyph};
use crate::logic::log_model::{Kind, Row};
use crate::logic::log_search::{cut, ranges};
use crate::text::use_text;

/// Props of [`LogRow`].
#[derive(Properties)]
pub struct LogRowProps {
    /// The row.
    pub row: Rc<Row>,
    /// What is searched for; empty for nothing.
    pub needle: AttrValue,
    /// Whether it is the hit that was jumped to.
    pub current: bool,
    /// Whether a link led here.
    pub target: bool,
    /// Whether its time is shown.
    pub stamps: bool,
    /// Where the whole log is.
    pub download: AttrValue,
    /// Told when its link is wanted.
    pub onlink: Callback<i64>,
}

impl PartialEq for LogRowProps {
    fn eq(&self, other: &Self) -> bool {
        // A changed row is a new allocation: comparing texts of 64 KiB would cost more than drawing.
        Rc::ptr_eq(&self.row, &other.row)
            && self.needle == other.needle
            && (self.current, self.target, self.stamps) == (other.current, other.target, other.stamps)
            && self.onlink == other.onlink
    }
}

/// A row.
#[component]
pub fn LogRow(props: &LogRowProps) -> Html {
    let t = use_text();
    let row = &props.row;
    let seq = row.seq.to_string();
    if let Kind::Skipped(gap) = &row.kind {
        return html! {
            <div class="ln ln-gap" data-seq={seq} data-testid="log-skipped">
                {glyph(Icon::Skip)}
                <span>{t.log.skipped(&t.number(gap.lines))}{" "}<a href={props.download.clone()} download="">{t.common.download}</a></span>
            </div>
        };
    }
    let (link, offset) = (props.onlink.clone(), row.offset);
    let onclick = Callback::from(move |_: MouseEvent| link.emit(offset));
    let class = classes!(
        "ln",
        (row.source == LogSource::Stderr).then_some("ln-err"),
        matches!(row.kind, Kind::Mark(_)).then_some("ln-own"),
        props.current.then_some("ln-now"),
        props.target.then_some("ln-target"),
    );
    let hits = ranges(&row.plain, &props.needle);
    html! {
        <div {class} data-seq={seq} data-offset={row.offset.to_string()} title={(row.source == LogSource::Stderr).then_some(t.log.stderr)}>
            <button type="button" class="ln-no" tabindex="-1" title={t.log.link} {onclick}>
                {row.number.map_or_else(|| "#".to_owned(), |number| number.to_string())}
            </button>
            if props.stamps {
                <span class="ln-ts">{row.time.map(|time| t.stamp(time)).unwrap_or_default()}</span>
            }
            <span class="ln-tx">{text(row, &hits)}
                if let Kind::Line { cut, .. } = &row.kind {
                    if *cut > 0 {
                        <em class="ln-cut">{t.log.cut(&t.bytes(*cut as f64))}</em>
                    }
                }
            </span>
        </div>
    }
}

fn text(row: &Row, hits: &[std::ops::Range<usize>]) -> Html {
    let spans = match &row.kind {
        Kind::Line { spans, .. } => spans,
        Kind::Mark(text) => return html! { <>{"Fast-Flow · "}{text}</> },
        Kind::Skipped(_) => return html! {},
    };
    let piece = |style: String, text: &str, hit: bool| match (style.is_empty(), hit) {
        (true, false) => html! { {text} },
        (false, false) => html! { <span class={style}>{text}</span> },
        (_, true) => html! { <mark class={style}>{text}</mark> },
    };
    html! { <>{for cut(spans, hits).into_iter().map(|(span, text, hit)| piece(span.style.classes(), text, hit))}</> }
}
