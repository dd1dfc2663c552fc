//! English: many pipelines, and their files.

use super::form::Form;
use super::tables::*;

/// Many pipelines, and their files.
pub const PIPES: Pipes = Pipes {
    any_state: "Any state",
    active: "Running or queued",
    failing: "Failed last",
    off: "Switched off",
    broken: "Broken",
    choose_all: "Choose all that are shown",
    forget: "Clear selection",
    run_lead: "Each is started with its own defaults. What cannot be started is told.",
    source: "Source",
    files: "Files",
    more_files: "There are more files than are listed.",
    no_files: "No files to show",
    binary: "This file is not text.",
    cut: "The file goes on; only its beginning is shown.",
    missing: "Missing: no run starts",
    next_fire: "Next",
    warm: "warm container",
    cold: "cold start",
    warm_pool: "Containers started ahead",
    undo: "Undo",
    from: "From",
    to: "To",
    selected: Form("{n} selected"),
    choose: Form("Choose {name}"),
    started: Form("{n} of {of} started"),
    switched: Form("{n} of {of} switched"),
    run_title: Form("Start {n} {n:pipeline|pipelines}?"),
    more: Form("Show more ({n})"),
};
