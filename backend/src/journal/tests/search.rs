//! Finding text.

use std::fs::File;

use super::{Place, at, run, say};
use crate::journal::{JournalError, MAX_NEEDLE, MAX_TEXT, Search, Source, search::scan};

fn looking_for(needle: &str) -> Search {
    Search { needle: needle.to_owned(), ignore_case: false, source: None, from: 0, limit: 100 }
}

#[tokio::test]
async fn hits_have_lines_offsets_and_context() {
    let place = Place::new();
    let lines =
        (0..1000).map(|number| if number % 100 == 42 { format!("{number}: Größe FEHLER") } else { "stdout".into() });
    let run = place.log_of(lines).await;
    let page = place.search(run, looking_for("FEHLER")).await.expect("searched");
    assert_eq!(page.hits.len(), 10);
    assert_eq!((page.hits[3].line, &page.hits[3].excerpt[..]), (343, "342: Größe FEHLER".as_bytes()));
    assert_eq!(place.offset_of_line(run, 343).await.expect("found"), page.hits[3].offset);
    assert_eq!(page.next, None);
    // The header is not searched.
    assert_eq!(place.search(run, looking_for("2026-01")).await.expect("searched").hits.len(), 0);
    for (needle, ignore_case, hits) in
        [("fehler", false, 0), ("fehler", true, 10), ("GRÖSSE", true, 0), ("GRÖẞE", true, 10)]
    {
        let search = Search { ignore_case, ..looking_for(needle) };
        assert_eq!(place.search(run, search).await.expect("searched").hits.len(), hits, "{needle}");
    }
}

#[tokio::test]
async fn a_search_goes_on_where_it_stopped() {
    let place = Place::new();
    let run = place.log_of((0..1000).map(|number| format!("number {number}"))).await;
    let (mut from, mut lines) = (0, Vec::new());
    loop {
        let page = place.search(run, Search { from, limit: 7, ..looking_for("9") }).await.expect("searched");
        assert!(page.hits.len() <= 7);
        lines.extend(page.hits.iter().map(|hit| hit.line));
        let Some(next) = page.next else { break };
        from = next;
    }
    let expected: Vec<u64> =
        (0..1000).filter(|number| number.to_string().contains('9')).map(|number| number + 1).collect();
    assert_eq!(lines, expected);
    // A bound on the work gives pages that may be empty.
    let file = File::open(place.log_path(run)).expect("a file");
    let end = place.stored(run).len() as u64;
    let page = scan(&file, 0, end, 0, &looking_for("number 500"), 1000).expect("searched");
    assert!(page.hits.is_empty() && page.next.is_some_and(|next| (1000..1100).contains(&next)));
}

#[tokio::test]
async fn text_across_pieces_is_found() {
    let place = Place::new();
    let run = run();
    let mut writer = place.create(run).await.expect("a writer");
    say(&mut writer, 0, &format!("{}needle in a haystack", "x".repeat(MAX_TEXT - 3))).await;
    writer.append(Source::Stdout, at(1), b"nee").await.expect("taken");
    writer.flush_partial().await.expect("stored");
    writer.append(Source::Stderr, at(2), b"dle\n").await.expect("taken");
    writer.mark(at(2), "in between").await.expect("taken");
    say(&mut writer, 3, "dle").await;
    writer.finish().await;
    let page = place.search(run, looking_for("needle")).await.expect("searched");
    let lines: Vec<_> = page.hits.iter().map(|hit| hit.line).collect();
    assert_eq!(lines, [1, 4]);
    // Going on between the two pieces finds it too.
    let page =
        place.search(run, Search { from: page.hits[0].offset, ..looking_for("needle") }).await.expect("searched");
    assert_eq!(page.hits.len(), 2);
    let only = Search { source: Some(Source::Stderr), ..looking_for("dle") };
    assert_eq!(place.search(run, only).await.expect("searched").hits.len(), 1);
}

#[tokio::test]
async fn needles_have_bounds() {
    let place = Place::new();
    let run = place.log_of(["x"]).await;
    for needle in [String::new(), "x".repeat(MAX_NEEDLE + 1)] {
        assert!(matches!(place.search(run, looking_for(&needle)).await, Err(JournalError::Needle { .. })));
    }
}
