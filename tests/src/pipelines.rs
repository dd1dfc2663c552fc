//! Pipelines of a story: written by it, or taken from `examples/`.

use std::fs;
use std::path::{Path, PathBuf};

use crate::place;

/// A pipeline's folder. Files are written at once.
#[derive(Debug, Clone)]
pub struct Pipeline {
    folder: PathBuf,
}

impl Pipeline {
    /// Writes a pipeline into a folder of pipelines.
    #[must_use]
    pub fn create(pipelines: &Path, name: &str, main_py: &str) -> Self {
        let folder = pipelines.join(name);
        fs::create_dir_all(&folder).expect("the folder of a pipeline can be made");
        Self { folder }.file("main.py", main_py)
    }

    /// Copies a pipeline of `examples/pipelines`.
    pub(crate) fn example(pipelines: &Path, name: &str) -> Self {
        let folder = pipelines.join(name);
        copy(&place::repository().join("examples/pipelines").join(name), &folder);
        Self { folder }
    }

    /// Writes a file.
    pub fn file(self, name: &str, content: &str) -> Self {
        fs::write(self.folder.join(name), content).expect("a file of a pipeline can be written");
        self
    }

    /// Its `requirements.txt`.
    pub fn requirements(self, content: &str) -> Self {
        self.file("requirements.txt", content)
    }

    /// Its `pipeline.json`.
    pub fn json(self, content: &serde_json::Value) -> Self {
        self.file("pipeline.json", &content.to_string())
    }

    /// Its folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder can be made");
    for entry in fs::read_dir(from).unwrap_or_else(|error| panic!("{}: {error}", from.display())) {
        let entry = entry.expect("readable");
        if entry.path().is_dir() {
            copy(&entry.path(), &to.join(entry.file_name()));
        } else {
            fs::copy(entry.path(), to.join(entry.file_name())).expect("a file can be copied");
        }
    }
}
