//! The files of a pipeline, to be read.

use serde::{Deserialize, Serialize};

/// The files of a pipeline as they are in use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(poem_openapi::Object))]
pub struct SourceList {
    /// Commit they are of; absent when they differ from every commit.
    pub commit: Option<String>,
    /// By path, those of a folder before those of the folders in it.
    pub files: Vec<SourceEntry>,
    /// Whether there are more files than are listed.
    pub truncated: bool,
}

/// A file of a pipeline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(poem_openapi::Object))]
pub struct SourceEntry {
    /// Path within the pipeline's folder.
    pub path: String,
    /// Its size.
    pub bytes: i64,
}

/// What a file of a pipeline holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(poem_openapi::Object))]
pub struct SourceFile {
    /// Path within the pipeline's folder.
    pub path: String,
    /// Its size.
    pub bytes: i64,
    /// Its text; absent when it is none.
    pub text: Option<String>,
    /// Whether the text goes on.
    pub truncated: bool,
}
