//! Events of a camera as they begin: `cargo run --release --example live rtsp://camera/stream` (or a file, as fast as it goes).

use startle::engine::{Choice, Watching, Wishes, stream};
use startle::media::open::{Search, expand_in};
use startle::watch::engine::{News, Phase, Waited};
use std::time::Duration;

fn main() -> startle::Result<()> {
    let names: Vec<_> = std::env::args_os().skip(1).collect();
    let baseline = "bundle".to_owned();
    let watching = Watching { detection: Wishes::default().settings()?, baseline, warm_up_s: 0.0, stall_s: 10.0 };
    for input in expand_in(&names, &Search::default())?.inputs {
        let mut background = stream(&Choice::of("startle-o1"), input, &watching)?;
        loop {
            match background.next(Duration::from_secs(1))? {
                Waited::End => break,
                Waited::News(_, news) => tell(&news),
                Waited::Nothing => {}
            }
        }
    }
    Ok(())
}

fn tell(news: &News) {
    match news {
        News::Incident(incident) if incident.phase == Phase::Begun => {
            let what = incident.event.what.as_ref().map_or("", |what| &what.sentence);
            println!("{:.2} s: surprise {:.1}. {what}", incident.event.onset_s, incident.event.score);
        }
        News::Gap(gap) => println!("{:.2} s: nothing until {:.2} s", gap.start_s, gap.end_s),
        News::Health(health) => eprintln!("{health:?}"),
        _ => {}
    }
}
