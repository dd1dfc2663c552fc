//! Writes the texts of each language into a file beside the page, and their names into the page.
//!
//! A language is compiled here and nowhere else, so the browser's program holds none, and a browser loads the one that it shows.
//! A text that is missing does not compile, and with this the build of the page fails. See `frontend/src/text/mod.rs`.

#[path = "../../src/text/form.rs"]
mod form;
#[path = "../../src/text/languages.rs"]
mod languages;
// What the browser's program does with the texts is not done here.
#[path = "../../src/text/tables.rs"]
#[expect(dead_code)]
mod tables;

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::PathBuf;
use std::{env, fs, process};

fn main() {
    if let Err(reason) = write() {
        eprintln!("fastflow-texts: {reason}");
        process::exit(1);
    }
}

fn write() -> Result<(), String> {
    let folder = env::var_os("TRUNK_STAGING_DIR").map(PathBuf::from);
    let folder = folder.ok_or("Trunk calls this when it has built the page (see Trunk.toml)")?;
    let at = folder.join("index.html");
    let mut page = fs::read_to_string(&at).map_err(|error| format!("{}: {error}", at.display()))?;
    for (tag, texts) in &languages::ALL {
        let text = texts.write();
        let mut hash = DefaultHasher::new();
        text.hash(&mut hash);
        // The server lets browsers keep a file with such a name for ever.
        let name = format!("texts-{tag}-{:016x}.txt", hash.finish());
        fs::write(folder.join(&name), text).map_err(|error| format!("{name}: {error}"))?;
        let place = format!("data-texts-{tag}=\"\"");
        if !page.contains(&place) {
            return Err(format!("index.html has no {place} for the name of the file"));
        }
        page = page.replace(&place, &format!("data-texts-{tag}=\"/{name}\""));
    }
    fs::write(&at, page).map_err(|error| format!("{}: {error}", at.display()))
}
