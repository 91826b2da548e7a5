//! Why a condition is true, false or unknown for one subscriber.

use crate::{
    eval::{Facts, probe},
    explain::{Lang, explain_clause, seen},
    tree::{Condition, Leaf, Node},
    types::Catalogue,
};
use kairos_model::LocalDay;

/// Every clause with its verdict for one subscriber, and the clause that decided.
#[derive(Clone, Debug, PartialEq)]
pub struct Trace {
    pub root: TraceNode,
}

#[derive(Clone, Debug, PartialEq)]
pub struct TraceNode {
    pub what: What,
    pub verdict: Option<bool>,
    /// Part of the reason for the verdict of the whole: of a false AND its false members, of a true AND all of them,
    /// of an unknown AND its unknown ones; OR the other way round; of a NOT what is under it.
    pub decides: bool,
    pub children: Vec<TraceNode>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// Without children: everyone.
    And,
    /// Without children: nobody.
    Or,
    /// Of a group; a NOT before a clause is part of the clause.
    Not,
    Clause(Clause),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Clause {
    /// From 0, from left to right.
    pub index: usize,
    /// The clause as a phrase; relative days with the day that they mean.
    pub said: String,
    /// The value found: `¥63.2`, `unknown`; for a list `yes` or `no`.
    pub seen: String,
}

/// Evaluates every clause (no short cut) and says which decided. Phrases are in `lang`.
pub fn trace<F: Facts + ?Sized>(
    condition: &Condition,
    catalogue: &dyn Catalogue,
    facts: &F,
    as_of: LocalDay,
    lang: Lang,
) -> Trace {
    let mut tracer = Tracer { condition, catalogue, facts, as_of, lang, next: 0 };
    let mut root = tracer.node(condition.root());
    mark(&mut root);
    Trace { root }
}

struct Tracer<'a, F: ?Sized> {
    condition: &'a Condition,
    catalogue: &'a dyn Catalogue,
    facts: &'a F,
    as_of: LocalDay,
    lang: Lang,
    next: usize,
}

impl<F: Facts + ?Sized> Tracer<'_, F> {
    fn node(&mut self, n: &Node) -> TraceNode {
        let (what, children, verdict) = match n {
            Node::Leaf(l) => {
                let verdict = probe(l, self.condition).eval(self.facts, self.as_of);
                (What::Clause(self.clause(l)), Vec::new(), verdict)
            }
            // said in one breath: "has no ring-back tone"
            Node::Not(inner) if matches!(**inner, Node::Leaf(_)) => match &**inner {
                Node::Leaf(l) => return self.node(&Node::Leaf(l.negate())),
                _ => return self.node(inner),
            },
            Node::Not(inner) => {
                let inner = self.node(inner);
                let verdict = inner.verdict.map(|b| !b);
                (What::Not, vec![inner], verdict)
            }
            Node::And(all) => {
                let children: Vec<_> = all.iter().map(|n| self.node(n)).collect();
                let verdict = join(&children, false);
                (What::And, children, verdict)
            }
            Node::Or(all) => {
                let children: Vec<_> = all.iter().map(|n| self.node(n)).collect();
                let verdict = join(&children, true);
                (What::Or, children, verdict)
            }
        };
        TraceNode { what, verdict, decides: false, children }
    }
    fn clause(&mut self, leaf: &Leaf) -> Clause {
        let index = self.next;
        self.next += 1;
        let said = explain_clause(leaf, self.catalogue, self.lang, Some(self.as_of));
        let seen = match leaf {
            Leaf::InList { list, .. } => {
                let at = self.condition.lists().iter().position(|l| l == list);
                match (at.is_some_and(|i| self.facts.in_list(i)), self.lang) {
                    (true, Lang::Zh) => "是".into(),
                    (false, Lang::Zh) => "否".into(),
                    (true, Lang::En) => "yes".into(),
                    (false, Lang::En) => "no".into(),
                }
            }
            Leaf::Tag(t) => {
                let at = self.condition.tags().iter().position(|u| u.id == t.tag).unwrap_or(usize::MAX);
                seen(&t.tag, &t.ty, self.facts.value(at), self.catalogue, self.lang)
            }
        };
        Clause { index, said, seen }
    }
}

fn join(children: &[TraceNode], decides: bool) -> Option<bool> {
    if children.iter().any(|c| c.verdict == Some(decides)) {
        return Some(decides);
    }
    children.iter().all(|c| c.verdict.is_some()).then_some(!decides)
}

/// What decides a group are its members with the group's own verdict: that holds for both kinds of group and all three
/// verdicts.
fn mark(n: &mut TraceNode) {
    n.decides = true;
    let (not, verdict) = (n.what == What::Not, n.verdict);
    for child in &mut n.children {
        if not || child.verdict == verdict {
            mark(child);
        }
    }
}

impl Trace {
    pub fn verdict(&self) -> Option<bool> {
        self.root.verdict
    }
    /// The first clause, in reading order, of those that decided. `None` for `everyone` and `nobody`.
    pub fn primary(&self) -> Option<&Clause> {
        fn first(n: &TraceNode) -> Option<&Clause> {
            match &n.what {
                What::Clause(c) if n.decides => Some(c),
                _ => n.children.iter().filter(|c| c.decides).find_map(first),
            }
        }
        first(&self.root)
    }
    /// One line a clause: `→` where it decided, ✓ true, ✗ false, ? unknown, and the value seen.
    pub fn render(&self, lang: Lang) -> String {
        let mut out = String::new();
        line(&mut out, &self.root, 0, lang);
        out.pop();
        out
    }
}

fn line(out: &mut String, n: &TraceNode, depth: usize, lang: Lang) {
    let zh = lang == Lang::Zh;
    out.push_str(if n.decides { "→ " } else { "  " });
    out.push_str(&"  ".repeat(depth));
    out.push_str(match n.verdict {
        Some(true) => "✓ ",
        Some(false) => "✗ ",
        None => "? ",
    });
    let said = match &n.what {
        What::And if n.children.is_empty() => if zh { "所有客户" } else { "everyone" }.into(),
        What::Or if n.children.is_empty() => if zh { "没有客户" } else { "nobody" }.into(),
        What::And => if zh { "全部满足" } else { "all of" }.into(),
        What::Or => if zh { "至少满足一项" } else { "at least one of" }.into(),
        What::Not => if zh { "不满足" } else { "not" }.into(),
        What::Clause(c) if zh => format!("{}（实际：{}）", c.said, c.seen),
        What::Clause(c) => format!("{} (seen: {})", c.said, c.seen),
    };
    out.push_str(&said);
    out.push('\n');
    for c in &n.children {
        line(out, c, depth + 1, lang);
    }
}
