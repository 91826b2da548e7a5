//! The catalogue as a page: `docs/reference/tag-catalogue.md`, made from the demo province's files.

use super::File;
use std::{collections::BTreeMap, fmt::Write};

const ASPECTS: [(&str, &str); 4] = [
    ("basic", "Basic attributes 基本属性"),
    ("social", "Social attributes 社会属性"),
    ("interest", "Interests and preferences 兴趣偏好"),
    ("communication", "Communication traits 通信特征"),
];

/// The whole page.
pub(crate) fn page(all: &File) -> String {
    let mut out = "# Tag catalogue of the demo operator\n\n\
        Made by `cargo run -p xtask -- tags write` from `province/tags/*.toml`; do not edit. How tags are written and\n\
        computed: [tags.md](tags.md).\n"
        .to_owned();
    for (aspect, title) in ASPECTS {
        let mut categories: BTreeMap<&str, Vec<&super::Tag>> = BTreeMap::new();
        for t in all.tag.iter().filter(|t| t.aspect == aspect) {
            categories.entry(&t.category).or_default().push(t);
        }
        let n: usize = categories.values().map(Vec::len).sum();
        put(&mut out, format_args!("\n## {title}: {n} tags in {} categories\n", categories.len()));
        for (category, tags) in categories {
            put(&mut out, format_args!("\n### {category}\n\n| tag | | | type | |\n|---|---|---|---|---|\n"));
            for t in tags {
                let of = |text: &str| text.replace('|', "\\|");
                put(
                    &mut out,
                    format_args!(
                        "| `{}` | {} | {} | {} | {} |\n",
                        t.id,
                        of(&t.zh),
                        of(&t.en),
                        t.ty,
                        of(&t.description)
                    ),
                );
            }
        }
    }
    out
}

fn put(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a String takes every text");
}
