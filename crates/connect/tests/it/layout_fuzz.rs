//! Whatever the bytes, nothing panics and every row is accounted for.

use crate::layout_kit::{options, plain, reader};
use kairos_connect::layout::{Layout, ReadError};
use proptest::prelude::*;

/// Rows mapped, rows rejected; the identity of both with `read` is asserted on the way.
fn account(layout: &Layout, bytes: &[u8], chunk_rows: usize) -> Result<(u64, u64), ReadError> {
    let mut options = options();
    options.chunk_rows = chunk_rows;
    let (mut mapped, mut rejected) = (0, 0);
    for chunk in reader(layout, bytes, &options)? {
        let chunk = chunk?;
        assert_eq!(chunk.read, (chunk.batch.rows() + chunk.rejects.len()) as u64);
        assert!(
            chunk
                .batch
                .columns
                .iter()
                .all(|c| c.values.len() == chunk.batch.rows() && c.valid.len() == chunk.batch.rows())
        );
        mapped += chunk.batch.rows() as u64;
        rejected += chunk.rejects.len() as u64;
    }
    Ok((mapped, rejected))
}

fn any_layout() -> impl Strategy<Value = Layout> {
    let delimiters = prop::sample::select(vec![",", "\\t", "|@|", "||", "、"]);
    let encodings = prop::sample::select(vec!["utf-8", "gbk", "gb18030"]);
    (delimiters, encodings, any::<bool>(), 64usize..200).prop_map(|(delimiter, encoding, quotes, line_max)| {
        let quote = if quotes { "\\\"" } else { "" };
        let file = format!(
            "delimiter = \"{delimiter}\"\nencoding = \"{encoding}\"\nquote = \"{quote}\"\nline_max = {line_max}"
        );
        plain(&file)
    })
}

fn number_layout() -> Layout {
    crate::layout_kit::layout(
        r#"
        id = "n"
        table = "usage"
        mode = "append"
        key = ["peer", "at", "id"]
        [file]
        header = false
        delimiter = "|"
        zone = "America/New_York"
        [[column]]
        to = "subscriber"
        from = 1
        type = "subscriber_number"
        [[column]]
        to = "peer"
        from = 1
        [[column]]
        to = "kind"
        const = "data"
        [[column]]
        to = "at"
        from = 2
        format = "%d.%m.%Y %H:%M:%S%.f"
        [[column]]
        to = "id"
        from = 2
        type = "key"
        [[column]]
        to = "charge"
        from = 3
        unit = "fen"
        round = "nearest"
        [[column]]
        to = "birthday"
        from = 2
        type = "date"
        [[column]]
        to = "seen"
        from = 3
        type = "time"
        format = "epoch_ms"
        [[column]]
        to = "flag"
        from = 3
        type = "bool"
        "#,
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn random_bytes_are_accounted_for(layout in any_layout(), bytes in prop::collection::vec(any::<u8>(), 0..600), rows in 1usize..5) {
        let _read_or_refused = account(&layout, &bytes, rows).is_ok();
    }

    #[test]
    fn rows_of_likely_bytes_are_accounted_for(
        layout in any_layout(),
        body in "([ab1\"\r\n,|@\t、天.:-]|2026-03-02|\"\"){0,120}",
        rows in 1usize..5,
    ) {
        let delimiter = layout.file.delimiter.clone();
        let text = format!("{}\n{body}", ["subscriber", "at", "bytes", "note"].join(&delimiter));
        let bytes = encoding_rs::Encoding::for_label(layout.file.encoding.name().as_bytes()).expect("known").encode(&text).0;
        // neither the size of chunks nor the packing changes what comes out
        let one = account(&layout, &bytes, rows).expect("the header is good");
        let all = account(&layout, &bytes, 1_000).expect("the header is good");
        let packed = account(&layout, &zstd::encode_all(&*bytes, 1).expect("memory"), 1_000).expect("the header is good");
        prop_assert_eq!((one, one), (all, packed));
    }

    #[test]
    fn random_cells_never_panic(cells in "([-0-9 +.:|;=()a-zé年٣\u{a0}]|\\+86|ext|tel:|13800001111|01\\.02\\.2026 |\n){0,60}") {
        prop_assert!(account(&number_layout(), cells.as_bytes(), 100).is_ok() || !cells.contains('|'));
    }

    #[test]
    fn any_text_is_a_layout_or_a_list_of_faults(
        text in "((id|table|mode|key|file|to|from|const|unit|map|zone|\\[\\[column\\]\\]|\\[file\\]|usage|append|[a-z]|=|\"|'|\\[|\\]|\\{|\\}|\\.|,|1|-|\n| |年)){0,60}",
    ) {
        if let Err(e) = Layout::parse(&text, "x.toml") {
            prop_assert!(!e.faults.is_empty() && !e.to_string().is_empty());
        }
    }

    /// The splitter equals the `csv` crate on whatever a CSV writer can write.
    #[test]
    fn fields_equal_those_of_the_csv_crate(
        rows in prop::collection::vec(prop::collection::vec("[ab\",;\r\n天]{0,12}", 2), 1..8),
        always in any::<bool>(),
        crlf in any::<bool>(),
    ) {
        let style = if always { csv::QuoteStyle::Always } else { csv::QuoteStyle::Necessary };
        let end = if crlf { csv::Terminator::CRLF } else { csv::Terminator::Any(b'\n') };
        let mut writer = csv::WriterBuilder::new().quote_style(style).terminator(end).from_writer(Vec::new());
        writer.write_record(["subscriber", "note"]).expect("memory");
        for row in &rows {
            writer.write_record([format!("k{}", row[0]), row[1].clone()]).expect("memory");
        }
        let bytes = writer.into_inner().expect("memory");
        let mut oracle = csv::ReaderBuilder::new().from_reader(&bytes[..]);
        let want: Vec<(String, String)> = oracle.records().map(|r| {
            let r = r.expect("written by the crate");
            (r[0].trim_ascii().to_owned(), r[1].trim_ascii().to_owned())
        }).collect();
        let layout = crate::layout_kit::layout(
            "id = \"c\"\ntable = \"subscriber\"\nmode = \"snapshot\"\n[[column]]\nto = \"subscriber\"\n[[column]]\nto = \"note\"\ntype = \"secret\"\n",
        );
        let mut got = Vec::new();
        for chunk in reader(&layout, &bytes, &options()).expect("opens") {
            let batch = chunk.expect("whole").batch;
            let text = |name: &str, i| match &batch.column(name).expect("a column").values {
                kairos_model::table::Values::Key(t) => t.get(i).to_owned(),
                other => panic!("{other:?}"),
            };
            got.extend((0..batch.rows()).map(|i| (text("subscriber", i), text("note", i))));
        }
        prop_assert_eq!(got, want);
    }
}
