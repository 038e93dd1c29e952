//! What a printer makes of a PDF, read back: with poppler's programs for the paper and rxing for the barcodes.

use std::path::Path;
use std::process::Command;

use image::GrayImage;
use rxing::{BarcodeFormat, DecodeHints};

/// Dots an inch.
const DOTS: u32 = 150;

#[derive(Debug, Clone, Copy)]
pub(crate) enum Code {
    Bars,
    Square,
}

/// A sheet out of the printer, at the page's own size.
pub(crate) struct Sheet {
    picture: GrayImage,
}

impl Sheet {
    /// `paper` as poppler names it: `A4`, `letter`.
    pub(crate) fn print(pdf: &[u8], paper: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let [page, sheet] = ["page.pdf", "sheet.pdf"].map(|name| folder.path().join(name));
        std::fs::write(&page, pdf).unwrap();
        run(Command::new("pdftocairo").args(["-pdf", "-paper", paper, "-noshrink"]).args([&page, &sheet]));
        run(Command::new("pdftoppm")
            .args(["-r", &DOTS.to_string(), "-gray", "-png", "-singlefile"])
            .args([&sheet, &folder.path().join("sheet")]));
        Self { picture: image::open(folder.path().join("sheet.png")).unwrap().to_luma8() }
    }

    pub(crate) fn millimetres(&self) -> (u32, u32) {
        let of = |dots: u32| (f64::from(dots) * 25.4 / f64::from(DOTS)).round() as u32;
        (of(self.picture.width()), of(self.picture.height()))
    }

    /// The narrowest white edge, in millimetres.
    pub(crate) fn margin(&self) -> f64 {
        let dark = self.picture.enumerate_pixels().filter(|(_, _, pixel)| pixel.0[0] < 200);
        let (w, h) = self.picture.dimensions();
        let dots = dark.map(|(x, y, _)| x.min(y).min(w - 1 - x).min(h - 1 - y)).min().unwrap();
        f64::from(dots) * 25.4 / f64::from(DOTS)
    }

    /// The codes that a reader finds in a part of the sheet, given as left, top, right, bottom from 0 to 1.
    pub(crate) fn codes(&self, [left, top, right, bottom]: [f32; 4], code: Code) -> Vec<String> {
        let format = match code {
            Code::Bars => BarcodeFormat::CODE_128,
            Code::Square => BarcodeFormat::QR_CODE,
        };
        let (w, h) = (self.picture.width() as f32, self.picture.height() as f32);
        let [x, y] = [left * w, top * h].map(|n| n as u32);
        let [wide, high] = [(right - left) * w, (bottom - top) * h].map(|n| n as u32);
        let part = image::imageops::crop_imm(&self.picture, x, y, wide, high).to_image();
        let mut hints =
            DecodeHints { PossibleFormats: Some([format].into()), TryHarder: Some(true), ..DecodeHints::default() };
        let found = rxing::helpers::detect_multiple_in_luma_with_hints(part.into_raw(), wide, high, &mut hints);
        found.unwrap_or_default().iter().map(|code| code.getText().to_owned()).collect()
    }
}

/// The words of a PDF, as a reader selects them.
pub(crate) fn words(pdf: &[u8]) -> String {
    let output = piped(Command::new("pdftotext").args(["-layout", "-enc", "UTF-8"]), pdf, &["-"]);
    output.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What `pdfinfo` says of it.
pub(crate) fn about(pdf: &[u8]) -> String {
    piped(&mut Command::new("pdfinfo"), pdf, &[])
}

fn piped(program: &mut Command, pdf: &[u8], behind: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("page.pdf");
    std::fs::write(&path, pdf).unwrap();
    run(program.arg(&path).args(behind))
}

fn run(program: &mut Command) -> String {
    let name = Path::new(program.get_program()).to_owned();
    let output = program.output().unwrap_or_else(|e| panic!("{}: {e}: install poppler-utils", name.display()));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.is_empty(), "{}: {errors}", name.display());
    String::from_utf8(output.stdout).unwrap()
}
