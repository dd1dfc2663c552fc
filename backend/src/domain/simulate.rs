//! What would fire: plays a job's future by the same steps that the scheduler takes, with runs that take a given time and
//! outages in which no server works. Jobs do not know each other, so each is played alone; what the server's own limit of
//! concurrent runs delays is not played.

use super::clock::Millis;
use super::firing::{Act, Moment, Policy, Step, Why, step};
use super::trigger::Timetable;

/// A job at the beginning.
#[derive(Debug, Clone)]
pub struct Player {
    /// When it fires.
    pub timetable: Timetable,
    /// How.
    pub policy: Policy,
    /// Its next due time.
    pub next: Option<Millis>,
    /// As of when the due times that passed are judged.
    pub decided_at: Option<Millis>,
    /// How long a run of it takes, in milliseconds.
    pub duration: i64,
    /// When the runs that work now will end, oldest run first.
    pub active: Vec<Millis>,
    /// Due times that wait, oldest first.
    pub waiting: Vec<Millis>,
}

/// What becomes of a due time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Played {
    /// The due time.
    pub due: Millis,
    /// When it is dealt with.
    pub at: Millis,
    /// What happens.
    pub fate: Fate,
}

/// What happens with a due time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// A run is started; later than it was dealt with when it had to wait.
    Starts {
        /// When.
        at: Millis,
        /// How many older runs are cancelled for it.
        cancels: usize,
    },
    /// It waits beyond the end of what is played.
    Waits,
    /// No run is started.
    LeftOut {
        /// Why.
        why: Why,
        /// How many due times that are, this one included.
        count: usize,
        /// The last of them.
        until: Millis,
    },
}

/// Plays until `until` (inclusive), or until `most` due times were dealt with. `outages` are spans `(from, to)`, in order,
/// in which no server works from the first instant until before the last one.
#[must_use]
pub fn play(mut player: Player, outages: &[(Millis, Millis)], until: Millis, most: usize) -> Vec<Played> {
    let mut played: Vec<Played> = Vec::new();
    // Indices into `played` of what waits; what waited before the beginning is not told again.
    let mut waiting: std::collections::VecDeque<Option<usize>> = player.waiting.iter().map(|_| None).collect();
    loop {
        let wakes = player.active.iter().min().filter(|_| !waiting.is_empty()).copied();
        let Some(event) = player.next.into_iter().chain(wakes).min() else { return played };
        let now = outages.iter().find(|(from, to)| (*from..*to).contains(&event)).map_or(event, |(_, to)| *to);
        if now > until {
            return played;
        }
        player.active.retain(|end| *end > now);
        while player.active.len() < player.policy.limit()
            && let Some(index) = waiting.pop_front()
        {
            player.active.push(Millis(now.0.saturating_add(player.duration)));
            if let Some(index) = index {
                played[index].fate = Fate::Starts { at: now, cancels: 0 };
            }
        }
        while let Some(due) = player.next {
            let Player { timetable, policy, decided_at, active, .. } = &player;
            let (active, waits) = (active.len(), waiting.len());
            let moment =
                Moment { timetable, policy: *policy, due, decided_at: *decided_at, now, active, waiting: waits };
            let Some(Step { act, next, decided_at }) = step(&moment) else { break };
            let fate = match act {
                Act::Start { cancel } => {
                    player.active.drain(..cancel.min(active));
                    player.active.push(Millis(now.0.saturating_add(player.duration)));
                    Fate::Starts { at: now, cancels: cancel }
                }
                Act::Wait => {
                    waiting.push_back(Some(played.len()));
                    Fate::Waits
                }
                Act::LeaveOut { why, count, until } => Fate::LeftOut { why, count, until },
            };
            played.push(Played { due, at: now, fate });
            (player.next, player.decided_at) = (next, decided_at);
            if played.len() >= most {
                return played;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::firing::{CatchUp, Overlap};
    use super::*;

    const MINUTE: i64 = 60_000;

    fn player(overlap: Overlap, duration: i64) -> Player {
        Player {
            timetable: Timetable::parse("interval", "600", "UTC", None, None).expect("a trigger"),
            policy: Policy { catch_up: CatchUp::Latest, overlap, max_instances: None },
            next: Some(Millis(10 * MINUTE)),
            decided_at: None,
            duration: duration * MINUTE,
            active: Vec::new(),
            waiting: Vec::new(),
        }
    }

    fn minutes(played: &[Played]) -> Vec<(i64, Option<i64>)> {
        let start = |fate| match fate {
            Fate::Starts { at, .. } => Some(at.0 / MINUTE),
            _ => None,
        };
        played.iter().map(|one| (one.due.0 / MINUTE, start(one.fate))).collect()
    }

    #[test]
    fn runs_longer_than_the_interval() {
        let end = Millis(45 * MINUTE);
        let started = |overlap| minutes(&play(player(overlap, 15), &[], end, 100));
        assert_eq!(started(Overlap::Allow), [(10, Some(10)), (20, Some(20)), (30, Some(30)), (40, Some(40))]);
        assert_eq!(started(Overlap::Skip), [(10, Some(10)), (20, None), (30, Some(30)), (40, None)]);
        assert_eq!(started(Overlap::Queue), [(10, Some(10)), (20, Some(25)), (30, Some(40)), (40, None)]);
        let cancelled = play(player(Overlap::CancelPrevious, 15), &[], end, 100);
        let cancels = |one: &Played| matches!(one.fate, Fate::Starts { cancels: 1, .. });
        assert_eq!(cancelled.iter().map(cancels).collect::<Vec<_>>(), [false, true, true, true]);
    }

    #[test]
    fn an_outage_is_caught_up_with_at_its_end() {
        let outage = [(Millis(15 * MINUTE), Millis(55 * MINUTE))];
        let played = play(player(Overlap::Allow, 1), &outage, Millis(60 * MINUTE), 100);
        assert_eq!(minutes(&played), [(10, Some(10)), (20, None), (50, Some(55)), (60, Some(60))]);
        let first = Fate::LeftOut { why: Why::Missed, count: 3, until: Millis(40 * MINUTE) };
        assert_eq!((played[1].at, played[1].fate), (Millis(55 * MINUTE), first));
    }

    #[test]
    fn it_ends_where_it_is_told_to() {
        assert_eq!(play(player(Overlap::Allow, 1), &[], Millis(i64::MAX - 1), 7).len(), 7);
        let gone = Player { next: None, ..player(Overlap::Allow, 1) };
        assert!(play(gone, &[], Millis(i64::MAX), 7).is_empty());
    }
}
