use super::*;
use crate::{channel::Submitted, smpp::config::Secret};
use kairos_model::Msisdn;

fn config() -> SmppConfig {
    let mut c = SmppConfig::new("h", 1, "u", Secret::new("p"));
    c.window = 8;
    c.source_addr = "10086".to_owned();
    c
}

fn contacts(n: u64, text: &str) -> Vec<Dispatch> {
    let one = |n| Dispatch {
        contact: ContactId(n),
        to: Msisdn::from_e164(8_613_800_000_000 + n).unwrap(),
        from: String::new(),
        text: text.to_owned(),
        not_after: Timestamp::MAX,
        reference: n as u16,
    };
    (1..=n).map(one).collect()
}

/// A flow with `n` contacts written as 1, 2, …
fn written(n: u64, text: &str) -> Flow {
    let (config, now) = (config(), Timestamp(0));
    let mut flow = Flow::new(&config);
    flow.offer(contacts(n, text), &config);
    for seq in 1..=n as u32 {
        let task = flow.pop(now).unwrap();
        flow.written(seq, task, now);
    }
    flow
}

fn outcomes(flow: &mut Flow) -> Vec<(u64, SubmitOutcome)> {
    flow.take_reports().into_iter().map(|Submitted { contact, outcome }| (contact.0, outcome)).collect()
}

const NONE: SubmitOutcome = SubmitOutcome::Returned;
const UNKNOWN: SubmitOutcome = SubmitOutcome::Unknown { segment: 1 };

#[test]
fn a_place_is_free_when_the_report_is_durable() {
    let mut flow = written(8, "a");
    assert_eq!((flow.room(), flow.has_ready()), (0, false));
    flow.answered(3, 0, "x".to_owned(), Timestamp(1));
    assert_eq!(flow.room(), 0);
    let accepted = SubmitOutcome::Accepted { segment: 1, segments: 1, message_id: "x".to_owned() };
    assert_eq!(outcomes(&mut flow), [(3, accepted)]);
    assert_eq!(flow.room(), 0);
    flow.handed_over();
    assert_eq!(flow.room(), 1);
}

#[test]
fn throttling_halves_the_window_and_success_opens_it_again() {
    let mut flow = written(8, "a");
    let now = Timestamp(0);
    assert_eq!(flow.answered(1, 0x58, String::new(), now), Answer::Throttled);
    assert_eq!(flow.answered(2, 0x14, String::new(), now), Answer::Throttled);
    // six open, two may be: nothing is due but the answers
    assert_eq!(flow.due(true), Some(Timestamp(0).plus(Span::secs(30))));
    (3..=7).for_each(|seq| assert_eq!(flow.answered(seq, 0, String::new(), now), Answer::Accepted));
    // a line that is down wakes nobody for it
    assert!(flow.due(false).unwrap() > flow.due(true).unwrap());
    let again = flow.due(true).unwrap();
    assert!((Span::millis(100)..Span::millis(200)).contains(&again.since(now)), "{again}");
    assert!(flow.pop(now).is_none());
    let later = now.plus(Span::millis(200));
    let task = flow.pop(later).unwrap();
    assert_eq!(task.segment, 1);
    flow.written(9, task, later);
    // 2 grew to 4 over five accepted, one of which is open, one new
    assert!(flow.pop(later).is_some());
    assert!(outcomes(&mut flow).iter().all(|(n, _)| (3..=7).contains(n)));
}

#[test]
fn back_off_doubles_up_to_its_limit_and_is_the_contacts_own() {
    let mut flow = written(1, "a");
    let (mut seq, mut now, mut waits) = (1, Timestamp(0), Vec::new());
    for _ in 0..9 {
        flow.answered(seq, 0x58, String::new(), now);
        let due = flow.due(true).unwrap();
        waits.push(due.since(now).0 as f64 / 1e6);
        now = due;
        seq += 1;
        let task = flow.pop(now).unwrap();
        flow.written(seq, task, now);
    }
    for (n, wait) in waits.iter().enumerate() {
        let full = (0.2 * f64::from(1 << n)).min(10.0);
        assert!(*wait >= full / 2.0 && *wait < full, "{waits:?}");
    }
}

#[test]
fn silence_is_unknown_and_a_late_answer_settles_it() {
    let mut flow = written(3, "a");
    let late = Timestamp(0).plus(Span::secs(30));
    flow.answered(2, 0, "b".to_owned(), Timestamp(5));
    outcomes(&mut flow);
    assert_eq!((flow.expire(late.minus(Span(1))), flow.expire(late), flow.expire(late)), (0, 2, 0));
    assert_eq!(outcomes(&mut flow), [(1, UNKNOWN), (3, UNKNOWN)]);
    assert_eq!(flow.answered(3, 0, "c".to_owned(), late), Answer::Accepted);
    assert_eq!(flow.answered(1, 0x58, String::new(), late), Answer::Refused);
    assert_eq!(flow.answered(1, 0, String::new(), late), Answer::Stray);
    let accepted = SubmitOutcome::Accepted { segment: 1, segments: 1, message_id: "c".to_owned() };
    let refused = SubmitOutcome::Refused { segment: 1, status: RefusalStatus::Centre(0x58) };
    assert_eq!(outcomes(&mut flow), [(3, accepted), (1, refused)]);
    assert!(flow.is_idle());
}

#[test]
fn a_lost_connection_leaves_unknown_what_was_open_and_keeps_the_rest() {
    let long = "a".repeat(200);
    let mut flow = written(3, &long);
    flow.answered(1, 0, "x".to_owned(), Timestamp(1));
    assert_eq!(flow.lost(), 2);
    let first = SubmitOutcome::Accepted { segment: 1, segments: 2, message_id: "x".to_owned() };
    assert_eq!(outcomes(&mut flow), [(1, first), (2, UNKNOWN), (3, UNKNOWN)]);
    // the second half of contact 1 goes out on the next connection
    let task = flow.pop(Timestamp(2)).unwrap();
    assert_eq!((task.dispatch.contact.0, task.segment, task.segments()), (1, 2, 2));
}

#[test]
fn what_is_begun_is_finished_unless_time_is_up() {
    let config = config();
    let mut flow = written(2, &"a".repeat(200));
    flow.answered(1, 0, String::new(), Timestamp(1));
    flow.answered(2, 0x58, String::new(), Timestamp(1));
    flow.offer(contacts(3, "b").split_off(2), &config);
    outcomes(&mut flow);
    flow.give_back(false);
    assert_eq!(outcomes(&mut flow), [(3, NONE), (2, NONE)]);
    flow.give_back(true);
    let stopped = SubmitOutcome::Cancelled { segment: 2, reason: Reason::Stopped };
    assert_eq!(outcomes(&mut flow), [(1, stopped)]);
    assert!(flow.is_idle());
}

#[test]
fn what_left_no_octet_is_first_in_line_again() {
    let mut flow = written(4, "a");
    [4, 3].into_iter().for_each(|seq| flow.unwritten(seq));
    let order: Vec<_> = std::iter::from_fn(|| flow.pop(Timestamp(0))).map(|t| t.dispatch.contact.0).collect();
    assert_eq!((order, flow.lost()), (vec![3, 4], 2));
}
