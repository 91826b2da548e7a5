//! The JSON form: the query of react-querybuilder.
//!
//! A group is `{"combinator": "and"|"or", "rules": [...], "not"?: true}`, a rule `{"field", "operator", "value"}`.
//! `id`, `path`, `disabled` and `valueSource: "value"` are read over. The root is always a group.

use crate::{
    limits::{self, CLAUSES_MAX, RAW_DEPTH_MAX, VALUES_MAX},
    print,
    problem::{Code, Place, Problem},
    raw::{At, Lit, Op, RawLeaf, RawNode},
    suggest::near_words,
    tree::{Cmp, HasMode, Leaf, Literal, Node, TagLeaf, Test},
};
use serde_json::{Map, Value, json};

/// Every operator of the JSON form.
const OPERATORS: [(&str, Op); 25] = [
    ("=", Op::Compare(Cmp::Eq)),
    ("!=", Op::Compare(Cmp::Ne)),
    ("<", Op::Compare(Cmp::Lt)),
    ("<=", Op::Compare(Cmp::Le)),
    (">", Op::Compare(Cmp::Gt)),
    (">=", Op::Compare(Cmp::Ge)),
    ("null", Op::Unknown),
    ("notNull", Op::Known),
    ("in", Op::In { negated: false }),
    ("notIn", Op::In { negated: true }),
    ("between", Op::Between { negated: false }),
    ("notBetween", Op::Between { negated: true }),
    ("beginsWith", Op::StartsWith { negated: false }),
    ("doesNotBeginWith", Op::StartsWith { negated: true }),
    ("contains", Op::Contains { negated: false }),
    ("doesNotContain", Op::Contains { negated: true }),
    ("has", Op::Has { mode: HasMode::Any, negated: false }),
    ("hasAny", Op::Has { mode: HasMode::Any, negated: false }),
    ("hasNone", Op::Has { mode: HasMode::Any, negated: true }),
    ("hasAll", Op::Has { mode: HasMode::All, negated: false }),
    ("notHasAll", Op::Has { mode: HasMode::All, negated: true }),
    ("inArea", Op::InArea { negated: false }),
    ("notInArea", Op::InArea { negated: true }),
    ("inList", Op::InList { negated: false }),
    ("notInList", Op::InList { negated: true }),
];

pub(crate) fn write(root: &Node) -> Value {
    match root {
        Node::And(all) if all.is_empty() => group(true, Vec::new(), false),
        _ => {
            let whole = node(root);
            if whole.get("rules").is_some() { whole } else { group(true, vec![whole], false) }
        }
    }
}

fn group(and: bool, rules: Vec<Value>, not: bool) -> Value {
    let mut g = Map::new();
    g.insert("combinator".into(), json!(if and { "and" } else { "or" }));
    g.insert("rules".into(), Value::Array(rules));
    if not {
        g.insert("not".into(), Value::Bool(true));
    }
    Value::Object(g)
}

fn rule(field: &str, operator: &str, value: Value) -> Value {
    json!({ "field": field, "operator": operator, "value": value })
}

fn node(n: &Node) -> Value {
    match n {
        // an empty group is an unfinished one in a form: these two need rules of their own
        Node::And(all) if all.is_empty() => rule("everyone", "=", Value::Bool(true)),
        Node::Or(all) if all.is_empty() => rule("nobody", "=", Value::Bool(true)),
        Node::And(all) => group(true, all.iter().map(node).collect(), false),
        Node::Or(all) => group(false, all.iter().map(node).collect(), false),
        Node::Not(inner) => match &**inner {
            Node::And(all) if all.len() > 1 => group(true, all.iter().map(node).collect(), true),
            Node::Or(all) if all.len() > 1 => group(false, all.iter().map(node).collect(), true),
            other => group(true, vec![node(other)], true),
        },
        Node::Leaf(Leaf::InList { list, negated }) => {
            rule("subscriber", name_of(Op::InList { negated: *negated }), json!(list))
        }
        Node::Leaf(Leaf::Tag(t)) => tag_rule(t),
    }
}

fn name_of(op: Op) -> &'static str {
    OPERATORS.iter().find(|(_, o)| *o == op).map_or("=", |(name, _)| name)
}

fn tag_rule(t: &TagLeaf) -> Value {
    let (operator, value) = match &t.test {
        Test::Known => ("notNull", Value::Null),
        Test::Unknown => ("null", Value::Null),
        Test::Compare(cmp, v) => (cmp.symbol(), value(v)),
        Test::Between { low, high, negated } => {
            (name_of(Op::Between { negated: *negated }), json!([value(low), value(high)]))
        }
        Test::In { values, negated } => {
            (name_of(Op::In { negated: *negated }), Value::Array(values.iter().map(value).collect()))
        }
        Test::StartsWith { prefix, negated } => (name_of(Op::StartsWith { negated: *negated }), json!(prefix)),
        Test::Contains { part, negated } => (name_of(Op::Contains { negated: *negated }), json!(part)),
        Test::Has { mode: HasMode::Any, values, negated: false } => match values.as_slice() {
            [one] => ("has", json!(one)),
            many => ("hasAny", json!(many)),
        },
        Test::Has { mode, values, negated } => (name_of(Op::Has { mode: *mode, negated: *negated }), json!(values)),
        Test::InArea { area, negated } => (name_of(Op::InArea { negated: *negated }), json!(area)),
    };
    rule(&t.tag, operator, value)
}

/// Whole numbers and booleans as such, all else as the text of the language (texts without quotes): no float.
fn value(v: &Literal) -> Value {
    match v {
        Literal::Bool(b) => json!(b),
        Literal::Int(n) => json!(n),
        Literal::Cell(c) => json!(c.0),
        Literal::Text(t) | Literal::Enum(t) => json!(t),
        other => json!(print::literal(other)),
    }
}

pub(crate) fn read(root: &Value) -> (RawNode, Vec<Problem>) {
    let mut reader = Reader { problems: Vec::new(), depth: 0, clauses: 0 };
    let is_group = root.get("rules").is_some();
    if is_group && root["rules"] == json!([]) && root["combinator"] == "and" && root.get("not") != Some(&json!(true)) {
        return (RawNode::Everyone, reader.problems);
    }
    let node = if is_group {
        reader.node(root, "")
    } else {
        reader.wrong("", "the root is no group", r#"{"combinator": "and", "rules": […]}"#);
        Some(RawNode::Hole)
    };
    (node.unwrap_or(RawNode::Hole), reader.problems)
}

struct Reader {
    problems: Vec<Problem>,
    depth: usize,
    clauses: usize,
}

impl Reader {
    fn wrong(&mut self, pointer: &str, message: impl Into<String>, expected: &str) -> RawNode {
        self.problems.push(Problem::new(Code::Syntax, Place::Pointer(pointer.to_owned()), message, expected));
        RawNode::Hole
    }
    /// `None` once a limit is broken: reading stops.
    fn node(&mut self, v: &Value, pointer: &str) -> Option<RawNode> {
        let Value::Object(o) = v else {
            let expected = "a rule or a group (combinators between rules are not read)";
            return Some(self.wrong(pointer, format!("found {}", kind_of(v)), expected));
        };
        if o.get("muted") == Some(&Value::Bool(true)) {
            return Some(self.wrong(pointer, "a muted rule has no meaning here", "a rule that counts, or none"));
        }
        if !o.contains_key("rules") {
            self.clauses += 1;
            if self.clauses > CLAUSES_MAX {
                self.problems.push(limits::too_many_clauses(Place::Pointer(pointer.to_owned())));
                return None;
            }
            return Some(self.rule(o, pointer));
        }
        self.depth += 1;
        if self.depth > RAW_DEPTH_MAX {
            self.problems.push(limits::too_deep(Place::Pointer(pointer.to_owned())));
            return None;
        }
        let node = self.group(o, pointer);
        self.depth -= 1;
        node
    }
    fn group(&mut self, o: &Map<String, Value>, pointer: &str) -> Option<RawNode> {
        let and = match o.get("combinator") {
            Some(Value::String(c)) if c.eq_ignore_ascii_case("and") => true,
            Some(Value::String(c)) if c.eq_ignore_ascii_case("or") => false,
            _ => {
                return Some(self.wrong(&format!("{pointer}/combinator"), "no known combinator", r#""and" or "or""#));
            }
        };
        let Some(Value::Array(rules)) = o.get("rules") else {
            return Some(self.wrong(
                &format!("{pointer}/rules"),
                "`rules` is no array",
                "an array of rules and groups",
            ));
        };
        let not = match o.get("not") {
            None | Some(Value::Null | Value::Bool(false)) => false,
            Some(Value::Bool(true)) => true,
            Some(_) => return Some(self.wrong(&format!("{pointer}/not"), "`not` is no boolean", "true or false")),
        };
        if rules.is_empty() {
            let expected = "at least one rule (a rule on field `everyone` or `nobody` says it openly)";
            return Some(self.wrong(pointer, "the group is empty", expected));
        }
        let mut members = Vec::with_capacity(rules.len());
        for (i, r) in rules.iter().enumerate() {
            members.push(self.node(r, &format!("{pointer}/rules/{i}"))?);
        }
        let group = match members.len() {
            1 => members.remove(0),
            _ if and => RawNode::And(members),
            _ => RawNode::Or(members),
        };
        Some(if not { RawNode::Not(Box::new(group)) } else { group })
    }
    fn rule(&mut self, o: &Map<String, Value>, pointer: &str) -> RawNode {
        let text = |key: &str| o.get(key).and_then(Value::as_str);
        let Some(field) = text("field") else {
            return self.wrong(pointer, "neither a rule nor a group", "`field`, `operator` and `value`, or `rules`");
        };
        if !matches!(o.get("valueSource"), None | Some(Value::Null)) && text("valueSource") != Some("value") {
            return self.wrong(&format!("{pointer}/valueSource"), "a tag is compared with values only", r#""value""#);
        }
        let at = |key: &str| Place::Pointer(format!("{pointer}/{key}"));
        let Some(operator) = text("operator") else {
            return self.wrong(&format!("{pointer}/operator"), "the rule has no operator", "a text such as \">=\"");
        };
        let Some((_, op)) = OPERATORS.iter().find(|(name, _)| *name == operator) else {
            let names: Vec<&str> = OPERATORS.iter().map(|(name, _)| *name).collect();
            let message = format!("unknown operator `{}`", print::shortened(operator));
            let near = near_words(operator, &names);
            self.problems
                .push(Problem::new(Code::WrongOperator, at("operator"), message, names.join(" ")).suggest(near));
            return RawNode::Hole;
        };
        let value = o.get("value").unwrap_or(&Value::Null);
        if matches!(field, "everyone" | "nobody") {
            let everyone = field == "everyone";
            return match (op, value) {
                (Op::Compare(Cmp::Eq), Value::Bool(true)) if everyone => RawNode::Everyone,
                (Op::Compare(Cmp::Eq), Value::Bool(true)) => RawNode::Nobody,
                _ => self.wrong(pointer, format!("`{field}` is no tag"), "operator `=` and value true"),
            };
        }
        match self.args(*op, value, &format!("{pointer}/value")) {
            None => RawNode::Hole,
            Some(args) => {
                let subject = At { place: at("field"), it: field.to_owned() };
                RawNode::Leaf(RawLeaf { subject, op: At { place: at("operator"), it: *op }, args })
            }
        }
    }
    fn args(&mut self, op: Op, value: &Value, pointer: &str) -> Option<Vec<At<Lit>>> {
        let count = match op {
            Op::Known | Op::Unknown | Op::Truth => return Some(Vec::new()),
            Op::Between { .. } => Some(2),
            Op::In { .. } => None,
            Op::Has { .. } if value.is_array() => None,
            _ => Some(1),
        };
        if count == Some(1) {
            return Some(vec![self.scalar(value, pointer)?]);
        }
        // react-querybuilder writes "a,b" unless told to write arrays
        let split;
        let items = match value {
            Value::Array(items) => items,
            Value::String(s) => {
                split = s.split(',').map(|x| json!(x.trim())).filter(|x| x != "").collect();
                &split
            }
            _ => {
                self.wrong(pointer, format!("found {}", kind_of(value)), "an array of values");
                return None;
            }
        };
        if count.is_some_and(|n| n != items.len()) {
            self.wrong(pointer, format!("{} values", items.len()), "two values: the lower and the upper end");
            return None;
        }
        if items.len() > VALUES_MAX {
            let place = Place::Pointer(format!("{pointer}/{VALUES_MAX}"));
            let message = format!("{} values, at most {VALUES_MAX}", items.len());
            self.problems.push(Problem::new(Code::TooManyValues, place, message, "a list or an area for so many"));
            return None;
        }
        let mut args = Vec::with_capacity(items.len());
        for (i, item) in items.iter().enumerate() {
            args.push(self.scalar(item, &format!("{pointer}/{i}"))?);
        }
        Some(args)
    }
    fn scalar(&mut self, v: &Value, pointer: &str) -> Option<At<Lit>> {
        let it = match v {
            Value::Bool(b) => Lit::Bool(*b),
            Value::Number(n) => Lit::Number(n.to_string()),
            Value::String(s) if s.chars().count() > limits::TEXT_MAX => {
                let message = format!("a text of more than {} characters", limits::TEXT_MAX);
                let place = Place::Pointer(pointer.to_owned());
                self.problems.push(Problem::new(Code::TooLong, place, message, "a shorter one"));
                return None;
            }
            Value::String(s) => Lit::Loose(s.clone()),
            _ => {
                self.wrong(pointer, format!("found {}", kind_of(v)), "a text, a number or a boolean");
                return None;
            }
        };
        Some(At { place: Place::Pointer(pointer.to_owned()), it })
    }
}

fn kind_of(v: &Value) -> &'static str {
    match v {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}
