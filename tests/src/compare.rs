//! Pictures of pages, compared with those that were reviewed.
//!
//! A picture is made smaller and grey first: what is compared is where things stand and how bright they are, not how a font's
//! edges were drawn that day. Then it is cut into blocks of [`BLOCK`] pixels; a block differs when its mean difference is more
//! than [`TOLERANCE`] of 255 shades, and a picture does when more than [`FEW`] blocks do. A moved button is a dozen blocks, an
//! edge that another version of the browser rounds otherwise is none.

use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::path::{Path, PathBuf};

use crate::place;

/// Side of a block, in pixels of the small picture.
pub const BLOCK: usize = 8;

/// Mean difference that a block may have.
pub const TOLERANCE: u32 = 14;

/// Blocks that may differ more.
pub const FEW: usize = 2;

/// Shades are kept in so many steps: half a byte for each pixel.
const STEP: u8 = 17;

/// A small grey picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grey {
    width: usize,
    shades: Vec<u8>,
}

impl Grey {
    /// A picture of shades, line by line.
    #[must_use]
    pub fn new(width: usize, shades: Vec<u8>) -> Self {
        Self { width, shades }
    }

    /// A screenshot, `factor` times smaller.
    ///
    /// # Panics
    /// When it is no PNG.
    #[must_use]
    pub fn of_screenshot(png: &[u8], factor: usize) -> Self {
        let (width, pixels) = read(png);
        let small = width / factor;
        let lines = pixels.len() / width / factor;
        let mean = |x: usize, y: usize| {
            let cell =
                (0..factor).flat_map(|dy| (0..factor).map(move |dx| (y * factor + dy) * width + x * factor + dx));
            let sum: u32 = cell.filter_map(|at| pixels.get(at)).map(|[r, g, b]| luma(*r, *g, *b)).sum();
            u8::try_from(sum / u32::try_from(factor * factor).unwrap_or(1)).unwrap_or(u8::MAX)
        };
        let shades =
            (0..lines).flat_map(|y| (0..small).map(move |x| (x, y))).map(|(x, y)| mean(x, y) / STEP * STEP).collect();
        Self { width: small, shades }
    }

    fn lines(&self) -> usize {
        self.shades.len() / self.width.max(1)
    }

    fn at(&self, x: usize, y: usize) -> u8 {
        if x < self.width { self.shades.get(y * self.width + x).copied().unwrap_or_default() } else { 0 }
    }

    /// The blocks in which another picture differs. One of another size differs everywhere.
    #[must_use]
    pub fn differences(&self, other: &Self) -> Vec<(usize, usize)> {
        let same_size = self.width == other.width && self.shades.len() == other.shades.len();
        let blocks =
            (0..self.lines().div_ceil(BLOCK)).flat_map(|y| (0..self.width.div_ceil(BLOCK)).map(move |x| (x, y)));
        blocks.filter(|block| !same_size || self.difference(other, *block) > TOLERANCE).collect()
    }

    fn difference(&self, other: &Self, (x, y): (usize, usize)) -> u32 {
        let cell = (0..BLOCK).flat_map(|dy| (0..BLOCK).map(move |dx| (x * BLOCK + dx, y * BLOCK + dy)));
        let (sum, count) = cell
            .filter(|(x, y)| *x < self.width && *y < self.lines())
            .fold((0, 0), |(sum, count), (x, y)| (sum + u32::from(self.at(x, y).abs_diff(other.at(x, y))), count + 1));
        sum / count.max(1)
    }

    /// The picture with frames around the blocks that differ.
    fn marked(&self, blocks: &[(usize, usize)]) -> Self {
        let mut marked = self.clone();
        for (x, y) in blocks {
            for edge in 0..BLOCK {
                for (x, y) in [(edge, 0), (edge, BLOCK - 1), (0, edge), (BLOCK - 1, edge)]
                    .map(|(dx, dy)| (x * BLOCK + dx, y * BLOCK + dy))
                {
                    if x < self.width
                        && let Some(shade) = marked.shades.get_mut(y * self.width + x)
                    {
                        *shade = if *shade > 127 { 0 } else { 255 };
                    }
                }
            }
        }
        marked
    }

    fn load(file: &Path) -> Option<Self> {
        let mut decoder = png::Decoder::new(BufReader::new(File::open(file).ok()?));
        decoder.set_transformations(png::Transformations::EXPAND);
        let mut reader = decoder.read_info().ok()?;
        let mut shades = vec![0; reader.output_buffer_size()?];
        let info = reader.next_frame(&mut shades).ok()?;
        (info.color_type == png::ColorType::Grayscale).then_some(Self { width: info.width as usize, shades })
    }

    fn store(&self, file: &Path) {
        let lines = u32::try_from(self.lines()).expect("a small picture");
        let mut packed = Vec::with_capacity(self.shades.len() / 2);
        for line in self.shades.chunks(self.width) {
            packed.extend(
                line.chunks(2).map(|pair| ((pair[0] / STEP) << 4) | pair.get(1).map_or(0, |shade| shade / STEP)),
            );
        }
        write(
            file,
            (u32::try_from(self.width).expect("a small picture"), lines),
            png::ColorType::Grayscale,
            png::BitDepth::Four,
            None,
            &packed,
        );
    }
}

/// Compares a screenshot with the picture of that name in `tests/looks`, or makes it that picture when `FASTFLOW_BLESS` is set.
///
/// # Errors
/// A sentence, when it differs; both pictures lie below `target/screenshots` then.
///
/// # Panics
/// When a picture cannot be written.
pub fn compare(name: &str, screenshot: &[u8], factor: usize) -> Result<(), String> {
    let reviewed = reviewed(name);
    let now = Grey::of_screenshot(screenshot, factor);
    if std::env::var_os("FASTFLOW_BLESS").is_some() {
        now.store(&reviewed);
        return Ok(());
    }
    let Some(then) = Grey::load(&reviewed) else { return Err(format!("{name}: there is no {}", reviewed.display())) };
    let blocks = now.differences(&then);
    if blocks.len() <= FEW {
        return Ok(());
    }
    let folder = place::screenshots();
    std::fs::write(folder.join(format!("{name}-actual.png")), screenshot).expect("written");
    now.marked(&blocks).store(&folder.join(format!("{name}-difference.png")));
    Err(format!(
        "{name}: {} blocks differ, first at {:?}: see {name}-actual.png and {name}-difference.png",
        blocks.len(),
        blocks[0]
    ))
}

fn reviewed(name: &str) -> PathBuf {
    let folder = place::repository().join("tests/looks");
    std::fs::create_dir_all(&folder).expect("the folder of pictures");
    folder.join(format!("{name}.png"))
}

/// Stores a screenshot with at most 256 colours, which makes it a third as large and no worse to look at.
///
/// # Panics
/// When it is no PNG, or cannot be stored.
pub fn store_with_palette(file: &Path, screenshot: &[u8]) {
    let (width, pixels) = read(screenshot);
    // Close colours are one: the edges of letters have thousands.
    let coarse = |[r, g, b]: [u8; 3]| [r & 0xf8, g & 0xf8, b & 0xf8];
    let mut counts = std::collections::HashMap::<[u8; 3], (u32, [u8; 3])>::new();
    for pixel in &pixels {
        counts.entry(coarse(*pixel)).or_insert((0, *pixel)).0 += 1;
    }
    let mut colours: Vec<(u32, [u8; 3])> = counts.into_values().collect();
    colours.sort_unstable_by_key(|(count, colour)| (std::cmp::Reverse(*count), *colour));
    let palette: Vec<[u8; 3]> = colours.iter().take(256).map(|(_, colour)| *colour).collect();
    let mut known = std::collections::HashMap::<[u8; 3], u8>::new();
    let far =
        |a: [u8; 3], b: [u8; 3]| a.iter().zip(b).map(|(a, b)| i32::from(*a) - i32::from(b)).map(|d| d * d).sum::<i32>();
    let nearest = |pixel: [u8; 3]| {
        let at = (0..palette.len()).min_by_key(|at| far(palette[*at], pixel)).unwrap_or_default();
        u8::try_from(at).unwrap_or_default()
    };
    let indices: Vec<u8> = pixels.iter().map(|pixel| *known.entry(*pixel).or_insert_with(|| nearest(*pixel))).collect();
    let size =
        (u32::try_from(width).expect("a screenshot"), u32::try_from(pixels.len() / width).expect("a screenshot"));
    write(file, size, png::ColorType::Indexed, png::BitDepth::Eight, Some(palette.concat()), &indices);
}

/// Brightness, as eyes see it.
fn luma(r: u8, g: u8, b: u8) -> u32 {
    (u32::from(r) * 299 + u32::from(g) * 587 + u32::from(b) * 114) / 1000
}

/// Width and pixels of a screenshot.
fn read(bytes: &[u8]) -> (usize, Vec<[u8; 3]>) {
    let mut decoder = png::Decoder::new(std::io::Cursor::new(bytes));
    decoder.set_transformations(png::Transformations::normalize_to_color8());
    let mut reader = decoder.read_info().expect("a PNG");
    let mut buffer = vec![0; reader.output_buffer_size().expect("a PNG of reasonable size")];
    let info = reader.next_frame(&mut buffer).expect("a whole PNG");
    let samples = info.color_type.samples();
    assert!(samples >= 3, "a screenshot has colours");
    (info.width as usize, buffer.chunks_exact(samples).map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect())
}

fn write(
    file: &Path,
    (width, height): (u32, u32),
    colour: png::ColorType,
    depth: png::BitDepth,
    palette: Option<Vec<u8>>,
    data: &[u8],
) {
    let out = File::create(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let mut encoder = png::Encoder::new(BufWriter::new(out), width, height);
    encoder.set_color(colour);
    encoder.set_depth(depth);
    encoder.set_compression(png::Compression::High);
    // Flat surfaces and few colours: filters would only hide that lines repeat.
    encoder.set_filter(png::Filter::NoFilter);
    if let Some(palette) = palette {
        encoder.set_palette(palette);
    }
    let mut writer = encoder.write_header().expect("a PNG begins");
    writer.write_image_data(data).expect("a PNG is written");
    writer.finish().expect("a PNG ends");
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A light page of 160 × 80 with a dark button on it.
    fn page(x: usize, y: usize, (width, height): (usize, usize), paper: u8) -> Grey {
        let dark = |at: usize| (x..x + width).contains(&(at % 160)) && (y..y + height).contains(&(at / 160));
        Grey::new(160, (0..160 * 80).map(|at| if dark(at) { 40 } else { paper }).collect())
    }

    #[test]
    fn a_moved_a_missing_and_a_larger_thing_are_refused() {
        let was = page(20, 20, (24, 9), 240);
        assert!(was.differences(&was).is_empty());
        for (what, is) in [
            ("moved aside", page(40, 20, (24, 9), 240)),
            ("moved down", page(20, 30, (24, 9), 240)),
            ("gone", page(0, 0, (0, 0), 240)),
            ("larger", page(20, 20, (48, 18), 240)),
            ("another theme", page(20, 20, (24, 9), 30)),
        ] {
            assert!(was.differences(&is).len() > FEW, "{what}: {:?}", was.differences(&is));
        }
        assert_eq!(was.differences(&Grey::new(80, vec![240; 80 * 80])).len(), 200, "another size is another picture");
    }

    #[test]
    fn another_version_of_a_browser_is_not() {
        let was = page(20, 20, (24, 9), 240);
        assert!(was.differences(&page(20, 20, (24, 9), 232)).is_empty(), "a shade");
        let mut is = was.clone();
        (0..is.shades.len()).step_by(7).for_each(|at| is.shades[at] -= 34);
        assert!(was.differences(&is).len() <= FEW, "edges of letters");
    }

    #[test]
    fn a_stored_picture_is_the_same_again() {
        let was = page(16, 16, (24, 9), 238);
        let was = Grey { shades: was.shades.iter().map(|shade| shade / STEP * STEP).collect(), ..was };
        let file = std::env::temp_dir().join(format!("{}.png", place::unique()));
        was.store(&file);
        let is = Grey::load(&file);
        let _ = std::fs::remove_file(&file);
        assert_eq!(is, Some(was));
    }
}
