//! German: many pipelines, and their files.

use super::form::Form;
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
    missing: "Fehlt: kein Lauf beginnt",
    next_fire: "Nächster Start",
    warm: "warmer Container",
    cold: "Kaltstart",
    warm_pool: "Vorab gestartete Container",
    undo: "Rückgängig",
    from: "Von",
    to: "Bis",
    selected: Form("{n} ausgewählt"),
    choose: Form("{name} auswählen"),
    started: Form("{n} von {of} gestartet"),
    switched: Form("{n} von {of} geschaltet"),
    run_title: Form("{n} {n:Pipeline|Pipelines} starten?"),
    more: Form("Mehr zeigen ({n})"),
};
