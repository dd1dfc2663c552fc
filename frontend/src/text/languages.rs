//! The languages, each of them one constant.

#[path = "de.rs"]
mod de;
#[path = "de_keep.rs"]
mod de_keep;
#[path = "de_more.rs"]
mod de_more;
#[path = "de_people.rs"]
mod de_people;
#[path = "de_pipes.rs"]
mod de_pipes;
#[path = "de_run.rs"]
mod de_run;
#[path = "en.rs"]
mod en;
#[path = "en_keep.rs"]
mod en_keep;
#[path = "en_more.rs"]
mod en_more;
#[path = "en_people.rs"]
mod en_people;
#[path = "en_pipes.rs"]
mod en_pipes;
#[path = "en_run.rs"]
mod en_run;

use super::{form, tables};

/// Every language by its tag.
pub static ALL: [(&str, tables::Texts); 2] = [("en", en::TEXTS), ("de", de::TEXTS)];
