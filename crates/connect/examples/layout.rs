//! Reads a file by a layout and prints what came of it, or measures the reader on a synthetic file.
//!
//! `cargo run --profile ci -p kairos-connect --example layout -- read LAYOUT FILE`
//! `cargo run --profile ci -p kairos-connect --example layout -- speed [ROWS]`

use kairos_connect::layout::{Layout, ReadOptions, Reader};
use kairos_model::{Currency, NumberPlan, Zone, hash::mix};
use std::{collections::BTreeMap, error::Error, fmt::Write as _, fs, path::Path, sync::Arc};

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["read", layout, file] => read(layout, file, Currency::CNY),
        ["speed"] => speed(1_000_000),
        ["speed", rows] => speed(rows.parse()?),
        _ => Err("usage: layout read LAYOUT FILE | layout speed [ROWS]".into()),
    }
}

fn read(layout: &str, file: &str, currency: Currency) -> Result<(), Box<dyn Error>> {
    let layout = Layout::parse(&fs::read_to_string(layout)?, layout)?;
    let options = ReadOptions::new(Arc::new(NumberPlan::china()), currency, [7; 32]);
    let before = cpu_seconds()?;
    let mut reader = Reader::open(file, &layout, &options)?;
    let (mut read, mut rows, mut shown) = (0, 0, 0);
    let mut reasons = BTreeMap::<String, u64>::new();
    for chunk in reader.by_ref() {
        let chunk = chunk?;
        read += chunk.read;
        rows += chunk.batch.rows() as u64;
        for reject in &chunk.rejects {
            let field = reject.field.clone().unwrap_or_else(|| "-".to_owned());
            *reasons.entry(format!("{} {field}", reject.reason.code())).or_default() += 1;
            if shown < 5 {
                println!("{reject:?}");
                shown += 1;
            }
        }
        if rows == chunk.batch.rows() as u64 {
            for column in &chunk.batch.columns {
                let nulls = column.valid.iter().filter(|v| !**v).count();
                println!("  {} {} nulls {nulls}", column.name, column.kind.name());
            }
        }
    }
    let cpu = cpu_seconds()? - before;
    let hash = reader.content_hash().map(|h| h.iter().take(4).map(|b| format!("{b:02x}")).collect::<String>());
    println!("{file}: read {read}, mapped {rows}, quarantined {reasons:?}, hash {hash:?}");
    println!("  {cpu:.3} CPU-s, {:.2} M rows per CPU-second", read as f64 / cpu / 1e6);
    Ok(())
}

/// Twelve columns of a call record, as an operator writes them.
fn speed(rows: u64) -> Result<(), Box<dyn Error>> {
    let zone = Zone::named("Asia/Shanghai")?;
    let mut text = String::from("id,msisdn,peer,kind,start_time,duration,bytes,cell,distance,roaming,on_net,charge\n");
    for i in 0..rows {
        let h = mix(i);
        let at = zone.civil(kairos_model::Timestamp::from_secs(1_764_518_400 + (h >> 20) as i64 % 7_776_000));
        let (own, peer) = (13_800_000_000 + h % 1_000_000, 13_900_000_000 + (h >> 9) % 90_000_000);
        let kind = ["voice_out", "voice_in", "sms_out", "data"][(h % 4) as usize];
        let distance = ["local", "long_distance"][(h >> 8 & 1) as usize];
        writeln!(
            text,
            "{i:012},{own},{peer},{kind},{},{},{},{},{distance},home,{},{}.{:02}",
            at.strftime("%Y-%m-%d %H:%M:%S"),
            h % 3_600,
            h >> 30 & 0xff_ffff,
            60_000 + (h >> 12) % 9_000,
            h >> 11 & 1,
            (h >> 5) % 10,
            (h >> 7) % 100,
        )?;
    }
    let folder = std::env::temp_dir().join(format!("kairos-layout-speed-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let done = measure(&folder, &text);
    fs::remove_dir_all(&folder)?;
    done
}

fn measure(folder: &Path, text: &str) -> Result<(), Box<dyn Error>> {
    let layout = folder.join("usage.toml");
    fs::write(&layout, SPEED_LAYOUT)?;
    let quoted: String = text.lines().fold(String::with_capacity(text.len() * 2), |mut out, line| {
        out.push('"');
        out.push_str(&line.replace(',', "\",\""));
        out.push_str("\"\n");
        out
    });
    let files: [(&str, Vec<u8>); 3] = [
        ("plain.csv", text.as_bytes().to_vec()),
        ("quoted.csv", quoted.into_bytes()),
        ("plain.csv.zst", zstd::encode_all(text.as_bytes(), 3)?),
    ];
    for (name, bytes) in files {
        let path = folder.join(name);
        fs::write(&path, bytes)?;
        read(&layout.to_string_lossy(), &path.to_string_lossy(), Currency::CNY)?;
    }
    Ok(())
}

/// Time of this thread on a CPU (proc(5), schedstat, nanoseconds).
fn cpu_seconds() -> Result<f64, Box<dyn Error>> {
    let stat = fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanoseconds: f64 = stat.split_whitespace().next().ok_or("empty schedstat")?.parse()?;
    Ok(nanoseconds / 1e9)
}

const SPEED_LAYOUT: &str = r#"
id = "speed"
table = "usage"
mode = "append"
key = ["id"]
[file]
zone = "Asia/Shanghai"
null = ["", "NULL", "\\N"]
[[column]]
to = "id"
type = "key"
[[column]]
to = "subscriber"
from = "msisdn"
type = "subscriber_number"
[[column]]
to = "peer"
[[column]]
to = "kind"
[[column]]
to = "at"
from = "start_time"
format = "%Y-%m-%d %H:%M:%S"
[[column]]
to = "duration_s"
from = "duration"
unit = "s"
[[column]]
to = "bytes"
[[column]]
to = "cell"
[[column]]
to = "distance"
[[column]]
to = "roaming"
[[column]]
to = "on_net"
[[column]]
to = "charge"
unit = "yuan"
"#;
