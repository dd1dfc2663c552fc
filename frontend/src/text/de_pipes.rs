//! German: many pipelines, and their files.

use super::tables::*;

/// Many pipelines, and their files.
pub const PIPES: Pipes = Pipes {
    any_state: "Jeder Zustand",
    active: "Läuft oder wartet",
    failing: "Zuletzt fehlgeschlagen",
    off: "Ausgeschaltet",
    broken: "Fehlerhaft",
    choose_all: "Alle gezeigten auswählen",
    forget: "Auswahl aufheben",
    run_lead: "Jede startet mit ihren eigenen Vorgaben. Was nicht starten kann, wird genannt.",
    source: "Quelltext",
    files: "Dateien",
    more_files: "Es gibt mehr Dateien, als hier stehen.",
    no_files: "Keine Dateien zu zeigen",
    binary: "Diese Datei ist kein Text.",
    cut: "Die Datei geht weiter; gezeigt wird nur ihr Anfang.",
    next_fire: "Nächster Start",
    warm: "warmer Container",
    cold: "Kaltstart",
    warm_pool: "Vorab gestartete Container",
    undo: "Rückgängig",
    from: "Von",
    to: "Bis",
    selected: |n| format!("{n} ausgewählt"),
    choose: |name| format!("{name} auswählen"),
    started: |n, of| format!("{n} von {of} gestartet"),
    switched: |n, of| format!("{n} von {of} geschaltet"),
    run_title: |n| format!("{n} Pipelines starten?"),
    more: |n| format!("Mehr zeigen ({n})"),
};
