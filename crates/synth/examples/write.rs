//! Writes the files of a province: `cargo run -p kairos-synth --example write -- FOLDER SUBSCRIBERS SEED`.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a program at the edge: it writes files")]

use kairos_synth::{Province, SynthConfig};
use std::{error::Error, fs, io::Write, path::Path, time::Instant};

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [folder, subscribers, seed] = args.as_slice() else { return Err("give FOLDER SUBSCRIBERS SEED".into()) };
    let province = Province::new(SynthConfig::china(seed.parse()?, subscribers.parse()?))?;
    fs::create_dir_all(folder)?;
    for file in province.files() {
        let started = Instant::now();
        let mut out = std::io::BufWriter::new(fs::File::create(Path::new(folder).join(province.file_name(file)))?);
        out.write_all(file.header().as_bytes())?;
        let (mut rows, mut chunk) = (0, Vec::new());
        for n in 0..province.chunks(file) {
            chunk.clear();
            rows += province.write_chunk(file, n, &mut chunk);
            out.write_all(&chunk)?;
        }
        out.flush()?;
        println!("{:<24} {rows:>10} rows {:>6.2} s", province.file_name(file), started.elapsed().as_secs_f64());
    }
    Ok(())
}
