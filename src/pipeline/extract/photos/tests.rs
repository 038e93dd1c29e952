use std::fs;
use std::io::Cursor;
use std::path::Path;
use std::time::{Duration, Instant};

use image::codecs::jpeg::JpegEncoder;
use image::imageops::{self, FilterType};
use image::{ImageFormat, Rgb, RgbImage};
use proptest::prelude::*;

use super::*;

/// A table of soft colours with things on it, seen by a camera with some noise.
fn scene(width: u32, height: u32) -> RgbImage {
    let mut noise = 0x2545_f491_u32;
    RgbImage::from_fn(width, height, |x, y| {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let grain = (noise >> 29) as i32 - 4;
        let (u, v) = (x as f32 / width as f32, y as f32 / height as f32);
        let watch = (u - 0.4).hypot((v - 0.5) * 0.75);
        let colour = if watch < 0.1 {
            [12, 13, 16]
        } else if watch < 0.16 {
            [90, 92, 96]
        } else if (v - 0.5).abs() < 0.3 && (u - 0.4).abs() < 0.08 {
            [38, 36, 35]
        } else if (u - 0.8).hypot(v - 0.2) < 0.12 {
            [225, 220, 205]
        } else {
            let plank = if ((v * 9.0) as u32).is_multiple_of(2) { 20.0 } else { 0.0 };
            [150.0 + 60.0 * u - plank, 110.0 + 50.0 * v - plank, 70.0 + 40.0 * u].map(|c| c as i32)
        };
        Rgb(colour.map(|c| (c + grain).clamp(0, 255) as u8))
    })
}

fn toned(picture: &RgbImage, tone: impl Fn(f32) -> f32) -> RgbImage {
    let mut picture = picture.clone();
    picture.pixels_mut().for_each(|p| p.0 = p.0.map(|c| tone(f32::from(c)).clamp(0.0, 255.0) as u8));
    picture
}

fn encoded(picture: &RgbImage, format: ImageFormat) -> Vec<u8> {
    let mut data = Cursor::new(Vec::new());
    picture.write_to(&mut data, format).unwrap();
    data.into_inner()
}

fn jpeg(picture: &RgbImage, quality: u8) -> Vec<u8> {
    let mut data = Vec::new();
    JpegEncoder::new_with_quality(&mut data, quality).encode_image(picture).unwrap();
    data
}

fn judged(data: &[u8]) -> Judgement {
    match look(data, Hints::default(), &mut Room::default()) {
        Look::Real { judgement, .. } => judgement,
        other => panic!("{other:?}"),
    }
}

fn codes(picture: &RgbImage) -> Vec<String> {
    match look(&jpeg(picture, 85), Hints::default(), &mut Room::default()) {
        Look::Real { codes, .. } => codes,
        other => panic!("{other:?}"),
    }
}

/// The modules of an EAN-13 (GS1 General Specifications 5.2): true is a bar.
fn ean13(code: &str) -> Vec<bool> {
    const LEFT: [&str; 10] =
        ["0001101", "0011001", "0010011", "0111101", "0100011", "0110001", "0101111", "0111011", "0110111", "0001011"];
    const PARITY: [&str; 10] =
        ["LLLLLL", "LLGLGG", "LLGGLG", "LLGGGL", "LGLLGG", "LGGLLG", "LGGGLL", "LGLGLG", "LGLGGL", "LGGLGL"];
    let turned = |s: &str| s.chars().map(|c| if c == '0' { '1' } else { '0' }).collect::<String>();
    let digits: Vec<usize> = code.bytes().map(|b| usize::from(b - b'0')).collect();
    let mut bits = "101".to_owned();
    for (digit, parity) in digits[1..7].iter().zip(PARITY[digits[0]].chars()) {
        let right: String = turned(LEFT[*digit]);
        bits += &if parity == 'L' { LEFT[*digit].to_owned() } else { right.chars().rev().collect() };
    }
    bits += "01010";
    digits[7..].iter().for_each(|d| bits += &turned(LEFT[*d]));
    (bits + "101").chars().map(|c| c == '1').collect()
}

/// Puts a white label into the picture, turned by `degrees`; `ink` says where it is black, in modules.
fn labelled(size: (f32, f32), module: f32, degrees: f32, ink: impl Fn(f32, f32) -> bool) -> RgbImage {
    let mut picture = scene(1600, 1200);
    let (sin, cos) = degrees.to_radians().sin_cos();
    for (x, y, pixel) in picture.enumerate_pixels_mut() {
        let mut shade = 0.0;
        let mut inside = false;
        for n in 0..9 {
            let (x, y) = (x as f32 + (n % 3) as f32 / 3.0 - 900.0, y as f32 + (n / 3) as f32 / 3.0 - 600.0);
            let (u, v) = ((x * cos + y * sin) / module + size.0 / 2.0, (y * cos - x * sin) / module + size.1 / 2.0);
            inside |= (-12.0..size.0 + 12.0).contains(&u) && (-12.0..size.1 + 12.0).contains(&v);
            let black = u >= 0.0 && v >= 0.0 && u < size.0 && v < size.1 && ink(u, v);
            shade += if black { 15.0 } else { 240.0 } / 9.0;
        }
        if inside {
            *pixel = Rgb([shade as u8; 3]);
        }
    }
    picture
}

fn screenshot(paper: u8, ink: u8) -> RgbImage {
    RgbImage::from_fn(720, 1600, |x, y| {
        let letter = y % 100 < 30 && y < 700 && (60..600).contains(&x) && (x / 6 + y / 8).is_multiple_of(3);
        Rgb([if letter { ink } else { paper }; 3])
    })
}

fn logo(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        let inside = f64::from(x).hypot(f64::from(y) - f64::from(height) / 2.0) < f64::from(height) / 2.5;
        Rgb(if inside { [0, 82, 155] } else { [255; 3] })
    })
}

#[test]
fn a_picture_that_shows_something_is_usable_in_every_format() {
    let picture = scene(1000, 750);
    for format in [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP, ImageFormat::Gif] {
        assert_eq!(judged(&encoded(&picture, format)), Judgement::Usable, "{format:?}");
    }
    assert_eq!(judged(&jpeg(&picture, 30)), Judgement::Usable);
    assert_eq!(judged(&jpeg(&toned(&picture, |c| c * 0.4), 80)), Judgement::Usable, "dim");
    assert_eq!(judged(&jpeg(&toned(&picture, |c| c * 0.6 + 100.0), 80)), Judgement::Usable, "hazy");
    assert_eq!(judged(&jpeg(&toned(&picture, |c| c * 2.0), 80)), Judgement::Usable, "a glaring table, a dark watch");
    assert_eq!(judged(&jpeg(&imageops::blur(&picture, 1.5), 80)), Judgement::Usable, "slightly soft");
}

#[test]
fn a_picture_that_shows_nothing_is_not_usable() {
    let picture = scene(1000, 750);
    assert_eq!(judged(&jpeg(&toned(&picture, |c| c * 0.12), 80)), Judgement::TooDark);
    assert_eq!(judged(&jpeg(&toned(&picture, |c| c * 0.2 + 204.0), 80)), Judgement::TooBright);
    assert_eq!(judged(&jpeg(&imageops::blur(&picture, 6.0), 80)), Judgement::Blurred);
    let small = imageops::resize(&picture, 360, 270, FilterType::Triangle);
    assert_eq!(judged(&jpeg(&small, 80)), Judgement::TooSmall);
}

#[test]
fn a_screenshot_is_a_photo_whether_white_or_black() {
    for (paper, ink) in [(255, 20), (0, 235)] {
        assert_eq!(judged(&encoded(&screenshot(paper, ink), ImageFormat::Png)), Judgement::Usable);
    }
}

#[test]
fn what_mail_programs_and_letterheads_add_is_decoration() {
    let inline = Hints { inline: true, in_signature: false };
    for (picture, hints) in [
        (RgbImage::new(1, 1), Hints::default()),
        (RgbImage::new(600, 2), Hints::default()),
        (logo(180, 60), Hints::default()),
        (logo(96, 96), Hints::default()),
        (logo(300, 300), inline),
        (logo(1400, 500), inline),
        (scene(600, 120), Hints::default()),
        (scene(120, 120), inline),
    ] {
        let size = picture.dimensions();
        assert_eq!(
            look(&encoded(&picture, ImageFormat::Png), hints, &mut Room::default()),
            Look::Decoration,
            "{size:?}"
        );
    }
    let pasted = look(&jpeg(&scene(800, 600), 80), inline, &mut Room::default());
    assert_eq!(pasted, Look::Real { judgement: Judgement::Usable, codes: Vec::new() });
}

#[test]
fn a_bar_code_is_read_at_every_angle_and_size() {
    let bars = ean13("6973014171018");
    for (degrees, module) in [(0.0, 4.0), (33.0, 4.0), (90.0, 3.0), (134.0, 3.0), (181.0, 8.0), (255.0, 2.5)] {
        let picture = labelled((95.0, 40.0), module, degrees, |u, _| bars[u as usize]);
        assert_eq!(codes(&picture), ["6973014171018"], "{degrees} degrees, {module} pixels a module");
    }
}

#[test]
fn a_bar_code_with_a_wrong_check_digit_is_not_read() {
    let bars = ean13("6973014171011");
    assert_eq!(codes(&labelled((95.0, 40.0), 4.0, 10.0, |u, _| bars[u as usize])), [""; 0]);
}

#[test]
fn a_qr_code_is_read_at_every_angle() {
    // "https://example.com/kr", version 2, level M (ISO/IEC 18004).
    const ROWS: [&str; 25] = [
        "#######.###.#.#...#######",
        "#.....#...#.###.#.#.....#",
        "#.###.#.#.####..#.#.###.#",
        "#.###.#..##..##...#.###.#",
        "#.###.#..###..#...#.###.#",
        "#.....#.##.#..#...#.....#",
        "#######.#.#.#.#.#.#######",
        ".........####.###........",
        "#.#...##.#.##.#.#..#..#.#",
        "#.#.##.#.###.#.#.###.#.##",
        ".#..#####.#....#.#..###.#",
        "#.##.#..#.#...#.#..#.#...",
        ".#.##.#####.#..##.##....#",
        "..#....#..#.##.##.##...##",
        "#####.#.#.#.#.#####..##.#",
        "..#.#....####.#.##.###...",
        "##.######.#.....#####..#.",
        "........#.#...#.#...#...#",
        "#######.####..#.#.#.#...#",
        "#.....#........##...#...#",
        "#.###.#....##########...#",
        "#.###.#.....#....#..#.##.",
        "#.###.#.##..######.###.##",
        "#.....#..#.##..######....",
        "#######.###.###.#.#..#..#",
    ];
    for degrees in [0.0, 30.0, 200.0] {
        let ink = |u: f32, v: f32| ROWS[v as usize].as_bytes()[u as usize] == b'#';
        assert_eq!(codes(&labelled((25.0, 25.0), 7.0, degrees, ink)), ["https://example.com/kr"], "{degrees}");
    }
}

#[test]
fn article_numbers_are_told_from_other_codes() {
    for code in ["6973014171018", "96385074", "036000291452"] {
        assert!(is_article_number(code), "{code}");
    }
    for code in ["6973014171019", "697301417101", "KP-TKT3-BK", "", "https://x"] {
        assert!(!is_article_number(code), "{code}");
    }
}

#[test]
fn a_picture_too_large_to_decode_is_not_checked_and_a_bomb_is_unreadable() {
    let mut data = jpeg(&scene(64, 64), 80);
    let frame = data.windows(2).position(|w| w == [0xff, 0xc0]).unwrap();
    data[frame + 5..frame + 9].copy_from_slice(&[0x23, 0x28, 0x2e, 0xe0]); // 9,000 rows of 12,000 pixels
    assert_eq!(look(&data, Hints::default(), &mut Room::default()), Look::Unreadable);
    data.resize(2_000_000, 0);
    assert_eq!(judged(&data), Judgement::NotChecked);
}

#[test]
fn a_jpeg_with_endless_scans_is_not_decoded() {
    let mut data = jpeg(&scene(1600, 1200), 80);
    let whole = data.clone();
    assert_eq!(judged(&whole), Judgement::Usable);
    data.extend([0xff, 0xda].repeat(1000));
    assert_eq!(look(&data, Hints::default(), &mut Room::default()), Look::Unreadable);
}

#[test]
fn the_pictures_of_the_evaluation_are_usable() {
    let assets = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/eval/assets");
    let Ok(entries) = fs::read_dir(&assets) else { return };
    for path in entries.map(|e| e.unwrap().path()).filter(|p| p.extension().is_some_and(|e| e == "jpg")) {
        let found = look(&fs::read(&path).unwrap(), Hints::default(), &mut Room::default());
        assert_eq!(found, Look::Real { judgement: Judgement::Usable, codes: Vec::new() }, "{path:?}");
    }
}

fn sample(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/pipeline/extract/photos/samples").join(name)).unwrap()
}

#[test]
fn what_phones_and_programs_make_of_pictures_is_read() {
    for name in
        ["progressive.jpg", "cmyk.jpg", "turned-by-exif.jpg", "one-bit.png", "moving.webp", "moving.gif", "still.heic"]
    {
        assert_eq!(judged(&sample(name)), Judgement::Usable, "{name}");
    }
    assert_eq!(judged(&sample("dark.heic")), Judgement::TooDark);
}

#[test]
fn of_a_cut_photo_what_came_is_judged() {
    let photo = jpeg(&scene(1600, 1200), 80);
    assert_eq!(judged(&photo[..photo.len() * 9 / 10]), Judgement::Usable);
    assert_eq!(judged(&photo[..photo.len() / 5]), Judgement::TooSmall);
    let thumbnail = jpeg(&scene(64, 48), 50);
    let length = (thumbnail.len() as u16 + 2).to_be_bytes();
    let phone = [&photo[..2], &[0xff, 0xe1], &length, &thumbnail, &photo[2..]].concat();
    assert_eq!(judged(&phone), Judgement::Usable);
    assert_eq!(judged(&phone[..phone.len() / 5]), Judgement::TooSmall);
    let progressive = sample("progressive.jpg");
    assert_eq!(judged(&progressive[..progressive.len() * 9 / 10]), Judgement::Usable);
    let screenshot = encoded(&scene(600, 900), ImageFormat::Png);
    assert_eq!(judged(&screenshot[..screenshot.len() / 2]), Judgement::NotChecked);
    let logo = encoded(&logo(300, 100), ImageFormat::Png);
    let cut = look(&logo[..logo.len() / 2], Hints::default(), &mut Room::default());
    assert_eq!(cut, Look::Unreadable);
}

/// At night the lit display is what the photo is about: half a hundredth of the picture is enough to see it.
#[test]
fn a_lit_display_in_the_dark_is_no_dark_photo() {
    let night = |side: u32| {
        RgbImage::from_fn(1600, 1200, |x, y| {
            let (x, y) = (x.wrapping_sub(700), y.wrapping_sub(500));
            let lit = x < side && y < side;
            Rgb(if lit && x.abs_diff(y) < 4 {
                [250; 3]
            } else if lit {
                [30, 200, 90]
            } else {
                [4, 4, 6]
            })
        })
    };
    assert_eq!(judged(&jpeg(&night(100), 80)), Judgement::Usable);
    assert_eq!(judged(&jpeg(&night(40), 80)), Judgement::TooDark);
}

#[test]
fn the_pictures_of_a_letter_share_one_room() {
    let photo = jpeg(&scene(1000, 750), 80);
    let mut room = Room::default();
    assert!(room.take(480_000_000 - 1_000_000));
    let mut judged = || match look(&photo, Hints::default(), &mut room) {
        Look::Real { judgement, .. } => judgement,
        other => panic!("{other:?}"),
    };
    assert_eq!([judged(), judged()], [Judgement::Usable, Judgement::NotChecked]);
}

/// A grid as iPhones write it, every tile the picture of `still.heic` (640 by 480).
fn grid(columns: u8, rows: u8) -> Vec<u8> {
    let still = sample("still.heic");
    let from = |name: &[u8]| {
        let at = still.windows(4).position(|w| w == name).unwrap() - 4;
        let size = u32::from_be_bytes(still[at..at + 4].try_into().unwrap()) as usize;
        still[at..at + size].to_vec()
    };
    let sized = |name: &[u8], content: &[&[u8]]| {
        let content = content.concat();
        [&(content.len() as u32 + 8).to_be_bytes(), name, &content].concat()
    };
    let whole = |width: u32, height: u32| sized(b"ispe", &[&[0; 4], &width.to_be_bytes(), &height.to_be_bytes()]);
    let tiles = usize::from(columns) * usize::from(rows);
    let (width, height) = (u32::from(columns) * 640, u32::from(rows) * 480);
    let shape = [&[0, 1, rows - 1, columns - 1][..], &width.to_be_bytes(), &height.to_be_bytes()].concat();
    let tile = from(b"mdat")[8..].to_vec();
    let item = |id: u8, kind: &[u8]| sized(b"infe", &[&[2, 0, 0, 0, 0, id, 0, 0], kind, &[0]]);
    let place = |id: u8, method: u8, at: u32, length: usize| {
        [&[0, id, 0, method, 0, 0, 0, 1][..], &at.to_be_bytes(), &(length as u32).to_be_bytes()].concat()
    };
    let file = |begin: u32| {
        let named = [0, 2].repeat(tiles);
        let meta = sized(
            b"meta",
            &[
                &[0; 4],
                &sized(b"hdlr", &[&[0; 8], b"pict", &[0; 13]]),
                &sized(b"pitm", &[&[0, 0, 0, 0, 0, 1]]),
                &sized(
                    b"iloc",
                    &[&[1, 0, 0, 0, 0x44, 0, 0, 2], &place(1, 1, 0, shape.len()), &place(2, 0, begin, tile.len())],
                ),
                &sized(b"iinf", &[&[0, 0, 0, 0, 0, 2], &item(1, b"grid"), &item(2, b"hvc1")]),
                &sized(b"iref", &[&[0; 4], &sized(b"dimg", &[&[0, 1], &(tiles as u16).to_be_bytes(), &named])]),
                &sized(
                    b"iprp",
                    &[
                        &sized(
                            b"ipco",
                            &[&from(b"hvcC"), &whole(640, 480), &whole(width, height), &sized(b"irot", &[&[1]])],
                        ),
                        &sized(b"ipma", &[&[0, 0, 0, 0, 0, 0, 0, 2], &[0, 1, 2, 3, 0x84], &[0, 2, 2, 0x81, 2]]),
                    ],
                ),
                &sized(b"idat", &[&shape]),
            ],
        );
        let head = [sized(b"ftyp", &[b"heic", &[0; 4], b"mif1heic"]), meta].concat();
        (head.len() as u32 + 8, [head, sized(b"mdat", &[&tile])].concat())
    };
    file(file(0).0).1
}

#[test]
fn a_grid_of_tiles_is_one_picture() {
    assert_eq!(heic::work(&grid(3, 2)), Some(6 * 640 * 480));
    assert_eq!(judged(&grid(3, 2)), Judgement::Usable);
}

#[test]
fn a_heic_that_costs_too_much_is_not_decoded() {
    for bomb in [grid(32, 32), grid(255, 255)] {
        let begun = Instant::now();
        assert_eq!(judged(&bomb), Judgement::NotChecked);
        assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    }
}

#[test]
fn real_heic_files_are_looked_into_or_not_checked() {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared");
    let folders = fs::read_dir(shared.join("corpora/heif/tests/images")).into_iter().flatten();
    for path in folders.flat_map(|f| fs::read_dir(f.unwrap().path()).unwrap()).map(|e| e.unwrap().path()) {
        let data = fs::read(&path).unwrap();
        let found = look(&data, Hints::default(), &mut Room::default());
        let of_no_use = Look::Real { judgement: Judgement::TooSmall, codes: Vec::new() };
        let expected = match path.parent().unwrap().file_name().unwrap().to_str().unwrap() {
            _ if data.is_empty() => vec![Look::Unreadable],
            "heif" => vec![Look::Decoration, of_no_use],
            "heif_truncated" => vec![Look::Decoration],
            _ => vec![not_checked()],
        };
        assert!(expected.contains(&found), "{path:?}: {found:?}");
    }
    if let Ok(photo) = fs::read(shared.join("eval/assets/photo.heic")) {
        assert_eq!(judged(&photo), Judgement::Usable);
    }
}

#[test]
fn damaged_samples_cost_little_and_never_panic() {
    let mut noise = fastrand::Rng::with_seed(11);
    let mut worst = Duration::ZERO;
    let mut whole: Vec<Vec<u8>> =
        ["progressive.jpg", "cmyk.jpg", "one-bit.png", "moving.webp", "moving.gif"].map(sample).into();
    whole.extend([sample("dark.heic"), grid(2, 1)]);
    for data in whole {
        for _ in 0..if heic::is_heic(&data) { 500 } else { 60 } {
            let mut changed = data.clone();
            for _ in 0..noise.usize(1..5) {
                let place = noise.usize(0..changed.len());
                changed[place] = noise.u8(..);
            }
            if noise.u8(..) < 60 {
                changed.truncate(noise.usize(0..changed.len()));
            }
            let begun = Instant::now();
            // Only the decoding; not `look`, which would hide a panic.
            let decoded = decode::decode(&changed, &mut Room::default());
            worst = worst.max(begun.elapsed());
            if let Decoded::Picture(picture) = decoded {
                assert!(u64::from(picture.width()) * u64::from(picture.height()) <= 64 << 20);
            }
        }
    }
    println!("worst: {worst:?}");
    assert!(worst < Duration::from_secs(20), "{worst:?}");
}

fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let formats = [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP, ImageFormat::Gif];
    let whole = formats.map(|f| encoded(&scene(160, 120), f));
    (
        0..whole.len(),
        any::<prop::sample::Index>(),
        prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
    )
        .prop_map(move |(format, end, changes)| {
            let mut data = whole[format].clone();
            for (place, byte) in changes {
                let place = place.index(data.len());
                data[place] = byte;
            }
            data.truncate(end.index(data.len()) + 1);
            data
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_bytes_make_it_panic(noise in prop::collection::vec(any::<u8>(), 0..400), data in damaged()) {
        // Not `look`, which would hide a panic of our own.
        let hints = Hints::default();
        prop_assert!(matches!(examine(&noise, hints, &mut Room::default()), Look::Unreadable | Look::Decoration));
        let _ = examine(&data, hints, &mut Room::default());
    }
}
