//! The house stands as it was drawn: rooms import downstairs only, neighbours on a floor do not see each other, and each
//! outside world has one door.
//!
//! Every path is read that begins at the crate's root, written `crate::…`, `fastflow::…` or with enough `super::`, in `use`
//! lines and in the middle of code. Test code counts like any other: a test that needs a room upstairs tests more than its
//! room, and belongs upstairs or among the stories. Comments and texts do not count.

use std::fs;
use std::path::{Path, PathBuf};

/// Floor of each room. On the top floor `main` calls `app` and `app` reads `config`, so these three have steps of their own.
/// `config` may see all rooms below, for it fills their `Options`.
const FLOORS: [(&str, u32); 26] = [
    ("main", 82),
    ("app", 81),
    ("config", 80),
    ("api", 70),
    ("storage", 60),
    ("upkeep", 60),
    ("schedule", 50),
    ("sync", 50),
    ("runs", 40),
    ("environments", 30),
    ("audit", 20),
    ("auth", 20),
    ("catalog", 20),
    ("settings", 20),
    ("cluster", 20),
    ("vault", 20),
    ("store", 10),
    ("journal", 10),
    ("engine", 10),
    ("git", 10),
    ("github", 20),
    ("outbound", 10),
    ("crypto", 10),
    ("domain", 0),
    ("meters", 0),
    // Only names the rooms.
    ("lib", 90),
];

/// Crates that only one room may name.
const DOORS: [(&str, &str); 11] = [
    ("sqlx", "store"),
    ("bollard", "engine"),
    ("git2", "git"),
    ("poem", "api"),
    ("poem_openapi", "api"),
    ("fernet", "crypto"),
    ("argon2", "crypto"),
    ("reqwest", "outbound"),
    ("jsonwebtoken", "crypto"),
    ("hmac", "crypto"),
    ("prometheus", "meters"),
];

#[test]
fn rooms_import_downstairs_only() {
    let mut wrong = Vec::new();
    for file in files() {
        for (line, to) in root_paths(&file.tokens, file.depth) {
            let verdict = match floor(&to) {
                None => Some(format!("`{to}` is no room; name the room that the item is in")),
                Some(_) if to == file.room => None,
                Some(below) if below < file.floor() => None,
                Some(same) if same == file.floor() => Some(format!("`{to}` is a neighbour of `{}`", file.room)),
                Some(_) => Some(format!("`{to}` is upstairs of `{}`", file.room)),
            };
            wrong.extend(verdict.map(|verdict| format!("{}:{line}: {verdict}", file.path.display())));
        }
    }
    assert!(wrong.is_empty(), "imports that the floor plan forbids:\n{}", wrong.join("\n"));
}

#[test]
fn each_outside_world_has_one_door() {
    let mut wrong = Vec::new();
    for file in files() {
        for (name, room) in DOORS.into_iter().filter(|(_, room)| *room != file.room) {
            for token in file.tokens.iter().filter(|token| token.text == name) {
                wrong.push(format!("{}:{}: only `{room}` may name {name}", file.path.display(), token.line));
            }
        }
    }
    assert!(wrong.is_empty(), "crates that are named outside of their room:\n{}", wrong.join("\n"));
}

#[test]
fn the_plan_shows_every_room_and_no_other() {
    let lib = files().into_iter().find(|file| file.room == "lib").expect("lib.rs");
    let mut present: Vec<_> =
        lib.tokens.windows(2).filter(|pair| pair[0].text == "mod").map(|pair| &pair[1].text).collect();
    let mut planned: Vec<_> =
        FLOORS.iter().map(|(room, _)| (*room).to_owned()).filter(|r| r != "lib" && r != "main").collect();
    present.sort_unstable();
    planned.sort_unstable();
    assert_eq!(present, planned.iter().collect::<Vec<_>>());
    for (_, room) in DOORS {
        assert!(floor(room).is_some(), "{room}");
    }
}

#[test]
fn the_reader_finds_every_way_to_write_a_path() {
    let found = |code: &str, depth| root_paths(&tokens(code), depth);
    let names = |code: &str, depth| found(code, depth).into_iter().map(|(_, room)| room).collect::<Vec<_>>();
    assert_eq!(found("use a::b;\n\nuse crate::runs::Runs;", 1), [(3, "runs".to_owned())]);
    assert_eq!(
        names("use crate::{auth::{Auth, Door}, store, self as root, r#git::Head};", 1),
        ["auth", "store", "git"]
    );
    assert_eq!(names("fn f(x: &crate::domain::Millis) { fastflow::app::cli::run() }", 1), ["domain", "app"]);
    assert_eq!(names("pub(in crate::runs) fn f() {}", 1), ["runs"]);
    assert_eq!(names("use crate::*;", 1), ["*"]);
    // `super` reaches the root as often as the module is deep; modules within the file count.
    assert_eq!(names("use super::store::Store;", 1), ["store"]);
    assert_eq!(names("use super::store::Store; use super::super::{git, vault};", 2), ["git", "vault"]);
    assert_eq!(
        names("mod tests { use super::*; use super::super::store::Store; } use super::api;", 1),
        ["store", "api"]
    );
    // Neither comments nor texts nor lifetimes mislead it.
    assert!(
        names("// crate::runs\n/* crate::runs /* crate::a */ crate::b */ \"crate::runs \\\" crate::c\"", 1).is_empty()
    );
    assert!(names("r#\"crate::runs \" crate::a\"# b\"crate::b\" '\"' '\\'' 'x'", 1).is_empty());
    assert_eq!(names("fn f<'a>(x: &'a str) -> crate::domain::X<'a> {}", 1), ["domain"]);
}

/// A file of the server.
struct File {
    path: PathBuf,
    room: String,
    /// How many modules below the root it is: 0 for `lib.rs`, 1 for `store/mod.rs`, 2 for `store/runs.rs`.
    depth: usize,
    tokens: Vec<Token>,
}

impl File {
    fn floor(&self) -> u32 {
        floor(&self.room).unwrap_or_else(|| panic!("{}: the room `{}` has no floor", self.path.display(), self.room))
    }
}

fn floor(room: &str) -> Option<u32> {
    FLOORS.iter().find(|(name, _)| *name == room).map(|(_, floor)| *floor)
}

fn files() -> Vec<File> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![root.clone()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of the source") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let inner = path.strip_prefix(&root).expect("below src").with_extension("");
                let parts: Vec<_> = inner.iter().map(|part| part.to_string_lossy().into_owned()).collect();
                let is_root = parts == ["lib"] || parts == ["main"];
                // The tests of `cursor.rs` in a file of their own, `cursor_tests.rs`, are the module `cursor::tests`.
                let named = parts.iter().filter(|part| *part != "mod").count();
                let depth = if is_root { 0 } else { named + usize::from(inner.to_string_lossy().ends_with("_tests")) };
                let tokens = tokens(&fs::read_to_string(&path).expect("a text"));
                let shown = Path::new("backend/src").join(path.strip_prefix(&root).expect("below src"));
                files.push(File { path: shown, room: parts[0].clone(), depth, tokens });
            }
        }
    }
    assert!(files.len() > 50, "the source was not found");
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

/// A word, a number, `::`, or any other single character.
struct Token {
    text: String,
    line: usize,
}

/// The rooms named by paths from the crate's root, each with its line. `depth` is the file's.
fn root_paths(tokens: &[Token], depth: usize) -> Vec<(usize, String)> {
    let text = |index: usize| tokens.get(index).map_or("", |token| token.text.as_str());
    let mut found = Vec::new();
    // For each open brace, whether it is that of a module.
    let mut braces = Vec::new();
    let mut index = 0;
    while index < tokens.len() {
        match text(index) {
            "{" => braces.push(index >= 2 && text(index - 2) == "mod"),
            "}" => {
                braces.pop();
            }
            "crate" | "fastflow" if text(index + 1) == "::" && text(index.wrapping_sub(1)) != "::" => {
                heads(tokens, index + 2, &mut found);
                index += 1;
            }
            "super" => {
                let mut ups = 1;
                while text(index + 1) == "::" && text(index + 2) == "super" {
                    ups += 1;
                    index += 2;
                }
                let here = depth + braces.iter().filter(|is_module| **is_module).count();
                if ups >= here && text(index + 1) == "::" {
                    heads(tokens, index + 2, &mut found);
                    index += 1;
                }
            }
            _ => {}
        }
        index += 1;
    }
    found
}

/// The first names of what stands at `index`, just behind the root's `::`: one path, or several in braces.
fn heads(tokens: &[Token], index: usize, found: &mut Vec<(usize, String)>) {
    let Some(first) = tokens.get(index) else { return };
    if first.text != "{" {
        found.push((first.line, first.text.clone()));
        return;
    }
    let (mut open, mut begins) = (0, false);
    for token in &tokens[index..] {
        match token.text.as_str() {
            "{" => {
                open += 1;
                begins = open == 1;
            }
            "}" => open -= 1,
            "," => begins = open == 1,
            name if begins => {
                begins = false;
                if name != "self" {
                    found.push((token.line, name.to_owned()));
                }
            }
            _ => {}
        }
        if open == 0 {
            return;
        }
    }
}

/// The code's tokens, without comments and texts.
fn tokens(code: &str) -> Vec<Token> {
    let code: Vec<char> = code.chars().collect();
    let at = |index: usize| code.get(index).copied().unwrap_or('\0');
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut found = Vec::new();
    let (mut index, mut line) = (0, 1);
    while index < code.len() {
        let begin = index;
        match at(index) {
            '/' if at(index + 1) == '/' => {
                while index < code.len() && at(index) != '\n' {
                    index += 1;
                }
            }
            '/' if at(index + 1) == '*' => {
                let mut open = 0;
                loop {
                    match (at(index), at(index + 1)) {
                        ('/', '*') => (open, index) = (open + 1, index + 2),
                        ('*', '/') => (open, index) = (open - 1, index + 2),
                        _ => index += 1,
                    }
                    if open == 0 || index >= code.len() {
                        break;
                    }
                }
            }
            '"' => {
                index += 1;
                while index < code.len() && at(index) != '"' {
                    index += if at(index) == '\\' { 2 } else { 1 };
                }
                index += 1;
            }
            // A character, or else a lifetime.
            '\'' if at(index + 1) == '\\' => {
                index += 3;
                while index < code.len() && at(index) != '\'' {
                    index += 1;
                }
                index += 1;
            }
            '\'' if at(index + 2) == '\'' => index += 3,
            '\'' => index += 1,
            c if is_word(c) => {
                while is_word(at(index)) {
                    index += 1;
                }
                let word: String = code[begin..index].iter().collect();
                let hashes = (index..).take_while(|&i| at(i) == '#').count();
                if matches!(word.as_str(), "r" | "br" | "cr") && at(index + hashes) == '"' {
                    index += hashes + 1;
                    while index < code.len() && !(at(index) == '"' && (1..=hashes).all(|i| at(index + i) == '#')) {
                        index += 1;
                    }
                    index += hashes + 1;
                } else if word == "r" && hashes == 1 {
                    // A raw name: the name follows.
                    index += 1;
                } else {
                    found.push(Token { text: word, line });
                }
            }
            ':' if at(index + 1) == ':' => {
                found.push(Token { text: "::".to_owned(), line });
                index += 2;
            }
            c => {
                if !c.is_whitespace() {
                    found.push(Token { text: c.to_string(), line });
                }
                index += 1;
            }
        }
        line += (begin..index.min(code.len())).filter(|&i| code[i] == '\n').count();
    }
    found
}
