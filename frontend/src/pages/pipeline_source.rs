//! The files of a pipeline as they are in use: a list, and one of them with line numbers and colours.

use fastflow_shared::{SourceEntry, SourceFile};
use yew::prelude::*;

use crate::api;
use crate::hooks::use_load;
use crate::logic::format::short_commit;
use crate::logic::highlight::{Kind, Language, Reader};
use crate::logic::query;
use crate::route::Route;
use crate::router::Link;
use crate::text::use_text;
use crate::ui::icon::Icon;
use crate::ui::view::{Empty, view};

/// Lines that are coloured; a longer file goes on plain, so that it opens at once.
const COLOURED: usize = 1_500;

/// Props of [`Source`].
#[derive(Properties, PartialEq)]
pub struct SourceProps {
    /// The pipeline.
    pub pipeline: String,
    /// Changes with the code.
    pub commit: Option<String>,
    /// The file that is asked for.
    pub file: Option<String>,
}

/// The tab.
#[component]
pub fn Source(props: &SourceProps) -> Html {
    let t = use_text();
    let key = (props.pipeline.clone(), props.commit.clone());
    let list = use_load(key.clone(), |(name, _)| api::pipeline_files(&name));
    view(&list.load, 6, &list.reload, |list| {
        // What a run begins with is what one wants to read first.
        let main = list.files.iter().find(|file| file.path == "main.py").or_else(|| list.files.first());
        let Some(file) = props.file.clone().or_else(|| main.map(|file| file.path.clone())) else {
            return html! { <Empty icon={Icon::Book} title={t.pipes.no_files} /> };
        };
        let entry = |entry: &SourceEntry| {
            html! {
                <li key={entry.path.clone()}>
                    <Link to={Route::Pipeline { name: props.pipeline.clone() }} current={entry.path == file}
                        query={query::build(&[("tab", "source".to_owned()), ("file", entry.path.clone())])}>
                        <span>{&entry.path}</span><span class="faint num">{t.bytes(entry.bytes as f64)}</span>
                    </Link>
                </li>
            }
        };
        html! {
            <div class="source" data-testid="source">
                <nav class="card source-files" aria-label={t.pipes.files}>
                    if let Some(commit) = &list.commit {
                        <p class="faint small">{t.pipeline.commit}{" "}<code>{short_commit(commit)}</code></p>
                    }
                    <ul>{for list.files.iter().map(entry)}</ul>
                    if list.truncated { <p class="faint small">{t.pipes.more_files}</p> }
                </nav>
                <File key={file.clone()} pipeline={key.0.clone()} commit={key.1.clone()} path={file.clone()} />
            </div>
        }
    })
}

/// Props of [`File`].
#[derive(Properties, PartialEq)]
struct FileProps {
    pipeline: String,
    commit: Option<String>,
    path: String,
}

#[component]
fn File(props: &FileProps) -> Html {
    let t = use_text();
    let key = (props.pipeline.clone(), props.path.clone(), props.commit.clone());
    let file = use_load(key, |(name, path, _)| api::pipeline_file(&name, path));
    html! {
        <section class="card source-file" aria-label={props.path.clone()}>
            {view(&file.load, 8, &file.reload, |file| match &file.text {
                None => html! { <Empty icon={Icon::Package} title={t.pipes.binary} /> },
                Some(text) => html! {
                    <>
                        // Reachable by keyboard, for it may be wider than the page.
                        <pre tabindex="0" data-testid="source-text">{lines(file, text)}</pre>
                        if file.truncated { <p class="panel faint small">{t.pipes.cut}</p> }
                    </>
                },
            })}
        </section>
    }
}

fn lines(file: &SourceFile, text: &str) -> Html {
    let mut reader = Reader::new(Language::of(&file.path));
    let mut out: Vec<Html> = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let number = html! { <i aria-hidden="true">{at + 1}</i> };
        if at >= COLOURED {
            out.push(html! { <span class="src">{number}{line}{"\n"}</span> });
            continue;
        }
        let pieces = reader.line(line).into_iter().map(|(kind, text)| {
            let class = match kind {
                Kind::Plain => return html! { {text} },
                Kind::Comment => "src-c",
                Kind::Text => "src-t",
                Kind::Number => "src-n",
                Kind::Word => "src-w",
            };
            html! { <span {class}>{text}</span> }
        });
        out.push(html! { <span class="src">{number}{for pieces}{"\n"}</span> });
    }
    out.into_iter().collect()
}
