//! What happened in a video that should not be possible: `cargo run --release --example analyze clip.mp4`.

use startle::engine::Engine;

fn main() -> startle::Result<()> {
    let mut engine = Engine::open("startle-o1")?;
    for path in std::env::args_os().skip(1) {
        for event in engine.analyze(path.as_ref())?.events {
            let what = event.what.map_or_else(String::new, |what| what.sentence);
            println!("{}: {:.2} s, surprise {:.1}. {what}", path.to_string_lossy(), event.onset_s, event.score);
        }
    }
    Ok(())
}
