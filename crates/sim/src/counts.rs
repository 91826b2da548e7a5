//! What happened in a world, by kind: a kind of fault that never happens is not tested.

macro_rules! counts {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        #[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
        pub struct Counts { $($(#[$doc])* pub $name: u64),* }
        impl Counts {
            pub fn add(&mut self, other: &Self) {
                $(self.$name += other.$name;)*
            }
            /// Name in words, and how often.
            pub fn list(&self) -> Vec<(&'static str, u64)> {
                vec![$(($text, self.$name)),*]
            }
        }
    };
}

counts!(
    steps = "checked steps";
    submits = "submits";
    waves = "waves";
    crashes = "crashes";
    power_loss = "power losses";
    kills = "process killed";
    mid_commit = "crashes inside a disk operation";
    sync_failed = "disk calls that failed";
    full = "disk full";
    slow = "slow disk operations";
    shortened = "unsynced bytes forgotten";
    zeroed = "unsynced sectors zeroed";
    rubbish = "unsynced sectors corrupted";
    reordered = "unsynced sectors kept while others were lost";
    names = "unsynced names reverted";
    failed_starts = "starts on a bad disk";
    clock_forward = "clock set forward";
    clock_back = "clock set back";
    cut = "connections cut";
    away = "centre away";
    bind_refused = "binds refused";
    jammed = "sockets jammed";
    lost_in_pipe = "messages lost in the pipe";
    answer_lost = "answers lost";
    answer_late = "answers after the timeout";
    answer_after_reconnect = "answers after reconnect";
    throttled = "submits throttled";
    refused = "submits refused";
    nacked = "submits nacked";
    receipt_lost_link = "receipts sent again";
    receipt_twice = "receipts duplicated";
    receipt_early = "receipts before the answer";
    receipts = "receipts";
    replies = "replies";
    unbinds = "unbinds by the centre";
    unknown = "contacts unknown after crashes";
    pause = "pauses";
    resume = "resumes";
    edit = "edits (new playbook)";
    stop = "stops";
    kill_switch = "kill switch";
    opt_out = "opt-outs by operators";
    reply_opt_out = "opt-outs by reply";
    opt_in = "opt-ins";
    snapshot = "snapshot swaps";
    events = "events";
    renumbered = "numbers that changed hands";
    erased = "subscribers erased";
    checkpoints = "checkpoints out of turn";
    refused_orders = "orders refused";
);

impl Counts {
    /// Kinds of fault: each must happen in a run of any size.
    pub const FAULTS: &'static [&'static str] = &[
        "power losses",
        "process killed",
        "crashes inside a disk operation",
        "disk calls that failed",
        "disk full",
        "slow disk operations",
        "unsynced bytes forgotten",
        "unsynced sectors zeroed",
        "unsynced sectors corrupted",
        "unsynced sectors kept while others were lost",
        "unsynced names reverted",
        "starts on a bad disk",
        "clock set forward",
        "clock set back",
        "connections cut",
        "centre away",
        "binds refused",
        "sockets jammed",
        "messages lost in the pipe",
        "answers lost",
        "answers after the timeout",
        "answers after reconnect",
        "submits throttled",
        "submits refused",
        "submits nacked",
        "receipts sent again",
        "receipts duplicated",
        "receipts before the answer",
        "unbinds by the centre",
    ];
    pub fn missing(&self) -> Vec<&'static str> {
        let list = self.list();
        let n = |what: &str| list.iter().find(|(name, _)| *name == what).map_or(0, |x| x.1);
        Self::FAULTS.iter().copied().filter(|what| n(what) == 0).collect()
    }
}
