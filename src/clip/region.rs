//! Parts of the picture: polygons, and the tokens in them.

use super::ClipSpec;

/// A point of the picture: `[x, y]`, both 0..1 from the upper left.
pub type Point = [f32; 2];
/// A polygon: at least three points.
pub type Region = Vec<Point>;

impl ClipSpec {
    /// Which tokens of a `width × height` picture lie in one of the regions, by their centres; row-major. When none does
    /// (a region smaller than a token), the one nearest to a region's middle.
    pub fn tokens_in(&self, regions: &[Region], (width, height): (u32, u32)) -> Vec<bool> {
        let grid = self.grid();
        let centres: Vec<Point> = (0..grid * grid)
            .map(|cell| {
                let (row, col) = (cell / grid, cell % grid);
                let [x0, y0, x1, y1] = self.cell_box((width, height), row..row + 1, col..col + 1);
                [f32::midpoint(x0, x1) / width as f32, f32::midpoint(y0, y1) / height as f32]
            })
            .collect();
        let mut mask: Vec<bool> = centres.iter().map(|c| regions.iter().any(|region| holds(region, *c))).collect();
        if !mask.contains(&true) {
            for region in regions {
                let middle = middle(region);
                let distance = |c: &Point| (c[0] - middle[0]).hypot(c[1] - middle[1]);
                let nearest =
                    (0..centres.len()).min_by(|a, b| distance(&centres[*a]).total_cmp(&distance(&centres[*b])));
                if let Some(cell) = nearest {
                    mask[cell] = true;
                }
            }
        }
        mask
    }
}

/// Whether the polygon holds the point (even-odd rule).
fn holds(region: &Region, [x, y]: Point) -> bool {
    let edges = region.iter().zip(region.iter().cycle().skip(1));
    let crossed =
        edges.filter(|([ax, ay], [bx, by])| (ay > &y) != (by > &y) && x < (bx - ax) * (y - ay) / (by - ay) + ax);
    crossed.count() % 2 == 1
}

fn middle(region: &Region) -> Point {
    let sum = region.iter().fold([0.0, 0.0], |sum, p| [sum[0] + p[0], sum[1] + p[1]]);
    sum.map(|v| v / region.len().max(1) as f32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clip::ResizeRule;

    fn spec(resize: ResizeRule) -> ClipSpec {
        ClipSpec {
            crop_size: 32,
            patch_size: 8,
            tubelet_size: 2,
            frames_per_clip: 8,
            model_fps: 8.0,
            context_lengths: vec![4],
            opening_contexts: Vec::new(),
            horizon: Some(1),
            stride: 2,
            resize,
            resize_size: 32,
        }
    }

    fn drawn(mask: &[bool]) -> Vec<String> {
        mask.chunks(4).map(|row| row.iter().map(|m| if *m { '#' } else { '.' }).collect()).collect()
    }

    #[test]
    fn tokens_are_chosen_by_their_centres() {
        let right = vec![[0.5, 0.0], [1.0, 0.0], [1.0, 1.0], [0.5, 1.0]];
        let squash = spec(ResizeRule::Squash);
        assert_eq!(drawn(&squash.tokens_in(std::slice::from_ref(&right), (640, 360))), ["..##"; 4]);
        let corner = vec![[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]];
        assert_eq!(drawn(&squash.tokens_in(&[corner], (640, 360))), ["###.", "##..", "#...", "...."]);
        let lower = vec![[0.0, 0.75], [1.0, 0.75], [1.0, 1.0], [0.0, 1.0]];
        assert_eq!(drawn(&squash.tokens_in(&[right.clone(), lower], (640, 360))), ["..##", "..##", "..##", "####"]);
        // The model sees the middle half of a picture twice as wide as high: the right half of that is the same.
        assert_eq!(drawn(&spec(ResizeRule::ShorterSide).tokens_in(&[right], (640, 320))), ["..##"; 4]);
    }

    #[test]
    fn a_region_smaller_than_a_token_is_watched_all_the_same() {
        let dot = vec![[0.30, 0.05], [0.32, 0.05], [0.32, 0.07]];
        assert_eq!(drawn(&spec(ResizeRule::Squash).tokens_in(&[dot], (640, 360))), [".#..", "....", "....", "...."]);
    }
}
