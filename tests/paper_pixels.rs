//! `--pixels paper` against the papers' own loading: `tests/data/golden/paper`, made by
//! `python -m startle_models.golden_pixels`.

mod model_support;

use model_support::{bundle, data, npy_f32, npy_u8};
use startle::clip::{ClipSpec, ResizeRule, Resizer};
use startle::media::ffmpeg::{ColourRule, FfmpegSource, OpenOptions};
use startle::media::open::parse;
use startle::media::{FrameSource, Picture, Step};
use startle::model::tensor::Normalizer;

/// The pictures of a file.
fn pictures(file: &str, colours: ColourRule) -> Vec<Picture> {
    let input = parse(data(file).to_str().unwrap()).unwrap().remove(0);
    let options = OpenOptions { colours, ..OpenOptions::default() };
    let mut source = FfmpegSource::open(&input, &options).unwrap();
    let mut found = Vec::new();
    while let Step::Frame { .. } = source.next_step().unwrap() {
        found.push(source.picture().unwrap());
    }
    found
}

#[test]
fn a_lossless_picture_becomes_the_papers_pixels_to_1e_6() {
    let picture = pictures("golden/paper/frame.png", ColourRule::Plain).remove(0);
    let imagenet = Normalizer::new([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);
    for (name, resize) in [("centre", ResizeRule::PlainCentre), ("squash", ResizeRule::PlainSquash)] {
        let spec = ClipSpec { resize, crop_size: 16, resize_size: 16, ..bundle("tiny-random").spec().clone() };
        let square = Resizer::new(&spec).square(&picture).unwrap();
        let mut found = Vec::new();
        imagenet.append_picture(&square, &mut found);
        let due = npy_f32(&format!("golden/paper/{name}.npy"));
        let worst = found.iter().zip(&due).map(|(f, d)| (f - d).abs()).fold(0.0, f32::max);
        println!("{name}: normalised values differ by at most {worst:.1e}");
        assert!(found.len() == due.len() && worst <= 1e-6, "{name}: {worst:.1e}");
        let mut own = Vec::new();
        imagenet.append(square.rgb(), &mut own);
        assert!(own != found, "rounding to 8 bits would show");
    }
}

/// `decoded.npy` is what FFmpeg's swscale makes by default (`startle_models.golden.read_clip`), as decord does.
#[test]
fn plain_colours_are_those_of_swscale_by_default() {
    let (every, due) = (13, npy_u8("golden/decoded.npy"));
    let difference = |rule: ColourRule| {
        let found: Vec<u8> = pictures("golden/clip.mp4", rule)
            .iter()
            .step_by(every)
            .flat_map(|picture| picture.rgb().to_vec())
            .collect();
        assert_eq!(found.len(), due.len());
        found.iter().zip(&due).map(|(f, d)| f64::from(f.abs_diff(*d))).sum::<f64>() / due.len() as f64
    };
    let (plain, careful) = (difference(ColourRule::Plain), difference(ColourRule::Careful));
    println!("mean difference from swscale's defaults: plain {plain:.4} levels, careful {careful:.4}");
    assert!(plain < 0.05 && plain < careful / 10.0, "plain {plain:.4}, careful {careful:.4}");
}
