//! What becomes of a due time: one pure step that the scheduler carries out and the simulator plays.
//!
//! A job's state is its next due time, the instant at which what it missed was judged, the runs of it that work and those
//! that wait for them. A step takes the next due time, and all that passed with it are judged as of one instant, which is
//! stored with the first of them: a server that crashes while it catches up goes on with the same judgement.

use std::collections::VecDeque;

use super::clock::Millis;
use super::trigger::Timetable;

/// A due time that is older than this (in milliseconds) was missed; until then it is only late.
pub const LATE: i64 = 60_000;

/// Most due times that wait for a run of the same job to end.
pub const MAX_WAITING: usize = 100;

/// Most due times that are counted one by one when they are left out.
const MAX_COUNTED: usize = 100_000;

/// Most missed due times that `all` makes up for, whatever the job says.
pub const MAX_CATCH_UP: u32 = 1_000;

/// Oldest missed due time that `all` makes up for, whatever the job says: 30 days in milliseconds.
pub const MAX_AGE: i64 = 30 * 86_400_000;

/// What to do about due times that passed while no server could fire them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CatchUp {
    /// Leave them out.
    Skip,
    /// One run for all of them.
    Latest,
    /// A run for each of the newest `most` that are not older than `max_age` milliseconds.
    All {
        /// How many.
        most: u32,
        /// How old.
        max_age: i64,
    },
}

/// What to do when as many runs of the job work as may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overlap {
    /// Start another one; with a limit, wait.
    Allow,
    /// Leave the due time out.
    Skip,
    /// Wait for one of them to end.
    Queue,
    /// Cancel the oldest.
    CancelPrevious,
}

impl CatchUp {
    /// The name used in JSON and in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::Latest => "latest",
            Self::All { .. } => "all",
        }
    }

    /// The policy of that name; numbers that are not given or too large are the largest that there are.
    #[must_use]
    pub fn parse(name: &str, most: Option<i64>, max_age_seconds: Option<i64>) -> Option<Self> {
        match name {
            "skip" => Some(Self::Skip),
            "latest" => Some(Self::Latest),
            "all" => Some(Self::All {
                most: most.and_then(|n| u32::try_from(n).ok()).unwrap_or(MAX_CATCH_UP).clamp(1, MAX_CATCH_UP),
                max_age: max_age_seconds.map_or(MAX_AGE, |s| s.saturating_mul(1000)).clamp(LATE, MAX_AGE),
            }),
            _ => None,
        }
    }
}

impl Overlap {
    /// Each of them.
    pub const ALL: [Self; 4] = [Self::Allow, Self::Skip, Self::Queue, Self::CancelPrevious];

    /// The name used in JSON and in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Skip => "skip",
            Self::Queue => "queue",
            Self::CancelPrevious => "cancel_previous",
        }
    }

    /// The policy of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|overlap| overlap.as_str() == name)
    }
}

/// How a job fires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// For what was missed.
    pub catch_up: CatchUp,
    /// For runs that still work.
    pub overlap: Overlap,
    /// Most runs at once; absent means one, or any number with [`Overlap::Allow`].
    pub max_instances: Option<u32>,
}

impl Policy {
    /// Most runs at once.
    #[must_use]
    pub fn limit(&self) -> usize {
        match (self.max_instances, self.overlap) {
            (Some(most), _) => most.max(1) as usize,
            (None, Overlap::Allow) => usize::MAX,
            (None, _) => 1,
        }
    }
}

/// A job at one moment.
#[derive(Debug, Clone, Copy)]
pub struct Moment<'a> {
    /// When it fires.
    pub timetable: &'a Timetable,
    /// How.
    pub policy: Policy,
    /// Its next due time.
    pub due: Millis,
    /// As of when the due times that passed are judged, when that was decided before.
    pub decided_at: Option<Millis>,
    /// The present.
    pub now: Millis,
    /// Its runs that have not ended.
    pub active: usize,
    /// Its due times that wait for one of them to end.
    pub waiting: usize,
}

/// What is to be done with a due time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Start a run, after cancelling so many of the oldest.
    Start {
        /// How many.
        cancel: usize,
    },
    /// Start a run as soon as one of the others has ended.
    Wait,
    /// Start none.
    LeaveOut {
        /// Why.
        why: Why,
        /// How many due times that are, this one included.
        count: usize,
        /// The last of them.
        until: Millis,
    },
}

/// Why a due time starts no run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// It passed while no server could fire it.
    Missed,
    /// Runs of the job still work.
    StillRunning,
    /// Too many due times wait already.
    TooManyWait,
}

/// One due time is dealt with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// What is to be done.
    pub act: Act,
    /// The job's next due time.
    pub next: Option<Millis>,
    /// As of when those up to now are judged, while any are left.
    pub decided_at: Option<Millis>,
}

/// What becomes of the due time of a job; `None` when it is not due yet.
#[must_use]
pub fn step(moment: &Moment<'_>) -> Option<Step> {
    let Moment { timetable, policy, due, now, active, waiting, .. } = *moment;
    if due > now {
        return None;
    }
    let decided = moment.decided_at.filter(|decided| *decided >= due);
    let judged_at = decided.unwrap_or(now);
    let was_missed = due.0 < judged_at.0 - LATE;
    let keep_judgement = |next: Option<Millis>| {
        (was_missed || decided.is_some()).then_some(judged_at).filter(|at| next.is_some_and(|next| next <= *at))
    };
    if was_missed {
        let first = first_kept(timetable, policy.catch_up, due, judged_at);
        if first != Some(due) {
            let (count, until) = left_out(timetable, due, first, judged_at);
            let act = Act::LeaveOut { why: Why::Missed, count, until };
            return Some(Step { act, next: first, decided_at: keep_judgement(first) });
        }
    }
    let next = timetable.next_after(due);
    let only = |why| Act::LeaveOut { why, count: 1, until: due };
    let limit = policy.limit();
    let act = if active < limit && waiting == 0 {
        Act::Start { cancel: 0 }
    } else {
        match policy.overlap {
            Overlap::Skip => only(Why::StillRunning),
            Overlap::CancelPrevious => Act::Start { cancel: (active + 1).saturating_sub(limit) },
            Overlap::Allow | Overlap::Queue if waiting < MAX_WAITING => Act::Wait,
            Overlap::Allow | Overlap::Queue => only(Why::TooManyWait),
        }
    };
    Some(Step { act, next, decided_at: keep_judgement(next) })
}

/// The first due time from `due` on that is not left out as missed, judged at `at`.
fn first_kept(timetable: &Timetable, catch_up: CatchUp, due: Millis, at: Millis) -> Option<Millis> {
    let in_time = || timetable.next_after(Millis(at.0 - LATE - 1).max(Millis(due.0 - 1)));
    match catch_up {
        CatchUp::Skip => in_time(),
        CatchUp::Latest => in_time().filter(|first| *first <= at).or_else(|| timetable.last_in(Millis(due.0 - 1), at)),
        CatchUp::All { most, max_age } => {
            let mut newest = VecDeque::new();
            let mut from = Millis(due.0.max(at.0 - max_age) - 1);
            while let Some(next) = timetable.next_after(from).filter(|next| next.0 < at.0 - LATE) {
                newest.push_back(next);
                if newest.len() > most as usize {
                    newest.pop_front();
                }
                from = next;
            }
            newest.pop_front().or_else(in_time)
        }
    }
}

/// How many due times there are from `due` until before `first`, and the last of them.
fn left_out(timetable: &Timetable, due: Millis, first: Option<Millis>, at: Millis) -> (usize, Millis) {
    let until = Millis(first.map_or(at.0, |first| (first.0 - 1).min(at.0)));
    let passed = std::iter::successors(Some(due), |last| timetable.next_after(*last)).take_while(|due| *due <= until);
    let count = passed.take(MAX_COUNTED).count();
    (count.max(1), timetable.last_in(Millis(due.0 - 1), until).unwrap_or(due))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000;
    const HOUR: i64 = 60 * MINUTE;

    fn hourly() -> Timetable {
        Timetable::parse("interval", "3600", "UTC", None, None).expect("a trigger")
    }

    fn policy(catch_up: CatchUp, overlap: Overlap, max_instances: Option<u32>) -> Policy {
        Policy { catch_up, overlap, max_instances }
    }

    fn at(hours: i64, minutes: i64) -> Millis {
        Millis(hours * HOUR + minutes * MINUTE)
    }

    /// All steps of one tick at `now` from `due` on: (due, act), and the state after it.
    fn tick(policy: Policy, due: Millis, decided_at: Option<Millis>, now: Millis) -> (Vec<(i64, Act)>, Option<Millis>) {
        let timetable = hourly();
        let (mut next, mut decided_at, mut done) = (Some(due), decided_at, Vec::new());
        while let Some(due) = next {
            let moment = Moment { timetable: &timetable, policy, due, decided_at, now, active: 0, waiting: 0 };
            let Some(step) = step(&moment) else { break };
            done.push((due.0 / HOUR, step.act));
            (next, decided_at) = (step.next, step.decided_at);
        }
        (done, next)
    }

    const START: Act = Act::Start { cancel: 0 };

    fn missed(count: usize, until: i64) -> Act {
        Act::LeaveOut { why: Why::Missed, count, until: at(until, 0) }
    }

    #[test]
    fn what_passed_while_nobody_was_there() {
        let all = |most, hours| CatchUp::All { most, max_age: hours * HOUR };
        for (catch_up, now, expected) in [
            // Due at 1, the present is 1:00:30: late, but not missed.
            (CatchUp::Skip, Millis(HOUR + 30_000), vec![(1, START)]),
            (CatchUp::Skip, at(5, 30), vec![(1, missed(5, 5))]),
            (CatchUp::Skip, at(5, 0), vec![(1, missed(4, 4)), (5, START)]),
            (CatchUp::Latest, at(1, 30), vec![(1, START)]),
            (CatchUp::Latest, at(5, 30), vec![(1, missed(4, 4)), (5, START)]),
            (CatchUp::Latest, at(5, 0), vec![(1, missed(4, 4)), (5, START)]),
            (all(1000, 24), at(3, 30), vec![(1, START), (2, START), (3, START)]),
            (all(2, 24), at(5, 30), vec![(1, missed(3, 3)), (4, START), (5, START)]),
            (all(2, 24), at(5, 0), vec![(1, missed(2, 2)), (3, START), (4, START), (5, START)]),
            (all(1000, 2), at(5, 30), vec![(1, missed(3, 3)), (4, START), (5, START)]),
        ] {
            let (done, next) = tick(policy(catch_up, Overlap::Allow, None), at(1, 0), None, now);
            assert_eq!((done, next), (expected, Some(at(now.0 / HOUR + 1, 0))), "{catch_up:?} {now:?}");
        }
    }

    #[test]
    fn a_judgement_that_was_stored_is_kept_however_late_the_next_step_comes() {
        let all = policy(CatchUp::All { most: 2, max_age: 24 * HOUR }, Overlap::Allow, None);
        let timetable = hourly();
        let moment = |due, decided_at, now| Moment {
            timetable: &timetable,
            policy: all,
            due,
            decided_at,
            now,
            active: 0,
            waiting: 0,
        };
        let first = step(&moment(at(1, 0), None, at(5, 30))).expect("due");
        assert_eq!(first, Step { act: missed(3, 3), next: Some(at(4, 0)), decided_at: Some(at(5, 30)) });
        // The server crashed and came back ten hours later: 4 and 5 are still to be made up for, 6 to 15 are judged anew.
        let (done, _) = tick(all, at(4, 0), first.decided_at, at(15, 30));
        assert_eq!(done, [(4, START), (5, START), (6, missed(8, 13)), (14, START), (15, START)]);
    }

    #[test]
    fn runs_that_still_work() {
        let timetable = hourly();
        let act = |overlap, most, active, waiting| {
            let policy = policy(CatchUp::Latest, overlap, most);
            let due = at(1, 0);
            step(&Moment { timetable: &timetable, policy, due, decided_at: None, now: due, active, waiting })
                .expect("due")
                .act
        };
        let only = |why| Act::LeaveOut { why, count: 1, until: at(1, 0) };
        for (overlap, most, active, waiting, expected) in [
            (Overlap::Allow, None, 50, 0, START),
            (Overlap::Allow, Some(2), 1, 0, START),
            (Overlap::Allow, Some(2), 2, 0, Act::Wait),
            (Overlap::Skip, None, 0, 0, START),
            (Overlap::Skip, None, 1, 0, only(Why::StillRunning)),
            (Overlap::Skip, Some(2), 1, 0, START),
            (Overlap::Queue, None, 1, 0, Act::Wait),
            (Overlap::Queue, None, 0, 1, Act::Wait),
            (Overlap::Queue, None, 1, MAX_WAITING, only(Why::TooManyWait)),
            (Overlap::CancelPrevious, None, 1, 0, Act::Start { cancel: 1 }),
            (Overlap::CancelPrevious, Some(3), 2, 0, START),
            (Overlap::CancelPrevious, Some(2), 4, 0, Act::Start { cancel: 3 }),
        ] {
            assert_eq!(act(overlap, most, active, waiting), expected, "{overlap:?} {most:?} {active} {waiting}");
        }
    }

    #[test]
    fn nothing_is_due_before_its_time() {
        let timetable = hourly();
        let policy = policy(CatchUp::Latest, Overlap::Allow, None);
        let moment = Moment {
            timetable: &timetable,
            policy,
            due: at(2, 0),
            decided_at: None,
            now: at(1, 59),
            active: 0,
            waiting: 0,
        };
        assert_eq!(step(&moment), None);
    }

    #[test]
    fn names_and_bounds() {
        for overlap in Overlap::ALL {
            assert_eq!(Overlap::parse(overlap.as_str()), Some(overlap));
        }
        assert_eq!(CatchUp::parse("latest", None, None), Some(CatchUp::Latest));
        assert_eq!(CatchUp::parse("all", Some(5), Some(7200)), Some(CatchUp::All { most: 5, max_age: 2 * HOUR }));
        let most = CatchUp::All { most: MAX_CATCH_UP, max_age: MAX_AGE };
        assert_eq!(CatchUp::parse("all", Some(i64::MAX), Some(i64::MAX)), Some(most));
        assert_eq!((CatchUp::parse("some", None, None), Overlap::parse("some")), (None, None));
    }
}
