//! What goes wrong with machine, disk, clock and network.

use crate::{
    clock::Moment,
    dice::Dice,
    scene::{Happening, Scene},
};
use kairos_journal::Fault as DiskFault;
use kairos_model::{Clock, Span};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// The machine stops at the n-th operation of the disk from now.
    Halt(u64),
    /// That operation fails; the process must end.
    Error(u64),
    NoSpace(u64),
    /// The disk stays full for so long.
    Full(Moment),
    Roomy,
    /// Each operation takes so long, for a while.
    Slow(Moment),
    Fast,
    /// The process is killed; the machine lives on.
    Kill,
    Power,
    Clock(Span),
    Cut,
    Away(Moment),
    Jam,
    Unjam,
    Unbind,
}

const SECOND: Moment = 1_000_000;

impl Fault {
    pub fn draw(dice: &mut Dice) -> Self {
        let n = 1 + dice.below(40);
        match dice.below(26) {
            0..=4 => Self::Halt(n),
            5 | 6 => Self::Error(n),
            7 => Self::NoSpace(n),
            8 => Self::Full(dice.between(5, 600) * SECOND),
            9 => Self::Slow(dice.between(2_000, 400_000)),
            10..=12 => Self::Kill,
            13 => Self::Power,
            14 | 15 => Self::Clock(Span::secs(dice.between(1, 1_500))),
            16 | 17 => Self::Clock(Span::secs(-dice.between(1, 1_500))),
            18 => Self::Clock(Span::mins(dice.between(-540, 400))),
            19 | 20 => Self::Cut,
            21 => Self::Away(dice.between(1, 900) * SECOND),
            22 | 23 => Self::Jam,
            24 => Self::Unbind,
            _ => Self::Kill,
        }
    }
}

impl Scene {
    /// A bound or open line of this moment.
    fn some_line(&mut self) -> Option<u32> {
        self.lines.iter().rev().find(|(_, l)| l.open && !l.broken).map(|(&n, _)| n)
    }

    pub fn fault(&mut self, fault: Fault) {
        self.say(|| format!("fault {fault:?}"));
        match fault {
            Fault::Halt(n) => self.disk.fail_at(n, DiskFault::Halt),
            Fault::Error(n) => self.disk.fail_at(n, DiskFault::Error),
            Fault::NoSpace(n) => self.disk.fail_at(n, DiskFault::Full),
            Fault::Full(span) => {
                self.disk.set_capacity(Some(self.disk.used() + 300));
                self.after(span, Happening::Fault(Fault::Roomy));
            }
            Fault::Roomy => self.disk.set_capacity(None),
            Fault::Slow(call) => {
                self.slow = call;
                let span = self.dice.between(20, 300) * SECOND;
                self.after(span, Happening::Fault(Fault::Fast));
            }
            Fault::Fast => self.slow = 0,
            Fault::Kill if self.alive() => self.dead = Some("killed".to_owned()),
            Fault::Power if self.alive() => self.dead = Some("power".to_owned()),
            Fault::Kill | Fault::Power => {}
            Fault::Clock(by) => {
                let counter = if by.0 > 0 { &mut self.counts.clock_forward } else { &mut self.counts.clock_back };
                *counter += 1;
                self.clock.jump(by);
                let now = self.clock.now();
                self.say(|| format!("the clock shows {now}"));
            }
            Fault::Cut => {
                if let Some(line) = self.some_line() {
                    self.cut(line);
                }
            }
            Fault::Away(span) => self.go_away(span),
            Fault::Jam => {
                if let Some(line) = self.some_line() {
                    self.counts.jammed += 1;
                    self.lines.get_mut(&line).into_iter().for_each(|l| l.jammed = true);
                    let span = self.dice.between(1, 100) * SECOND;
                    self.after(span, Happening::Fault(Fault::Unjam));
                    self.nudge(span);
                }
            }
            Fault::Unjam => self.lines.values_mut().for_each(|l| l.jammed = false),
            Fault::Unbind => {
                if let Some(line) = self.some_line() {
                    self.counts.unbinds += 1;
                    let bytes = crate::pdu::pdu(crate::pdu::id::UNBIND, 0, 1 << 20, b"");
                    self.send_to_us(line, bytes);
                }
            }
        }
    }
    /// A jammed socket takes a little now and then.
    fn nudge(&mut self, span: Moment) {
        for n in 1..8 {
            self.after(span * n / 8, Happening::Network);
        }
    }
}
