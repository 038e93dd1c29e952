//! Barcodes as SVG path data, a module being one unit wide.

use rxing::common::BitMatrix;
use rxing::oned::Code128Writer;
use rxing::qrcode::QRCodeWriter;
use rxing::{BarcodeFormat, EncodeHints, Writer};

/// Bars as an area to fill, without the quiet zone that has to be left white around them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Barcode {
    pub path: String,
    /// In modules.
    pub width: u32,
    /// In modules; 1 for a linear code.
    pub height: u32,
}

/// Code 128 (ISO/IEC 15417); needs ten modules of white on both sides. `None` if `text` is empty, too long or not ASCII.
pub fn code128(text: &str) -> Option<Barcode> {
    if text.is_empty() || text.len() > 60 || !text.is_ascii() {
        return None;
    }
    let hints = EncodeHints { Margin: Some("0".to_owned()), ..EncodeHints::default() };
    let bars = Code128Writer.encode_with_hints(text, &BarcodeFormat::CODE_128, 1, 1, &hints).ok()?;
    Some(Barcode { path: path(&bars), width: bars.width(), height: bars.height() })
}

/// QR code (ISO/IEC 18004) of error correction level Q, for paper that gets torn; needs four modules of white around it.
/// `None` if `text` is empty or too long.
pub fn qr(text: &str) -> Option<Barcode> {
    if text.is_empty() || text.len() > 300 {
        return None;
    }
    let hints =
        EncodeHints { Margin: Some("0".to_owned()), ErrorCorrection: Some("Q".to_owned()), ..EncodeHints::default() };
    let modules = QRCodeWriter.encode_with_hints(text, &BarcodeFormat::QR_CODE, 1, 1, &hints).ok()?;
    Some(Barcode { path: path(&modules), width: modules.width(), height: modules.height() })
}

/// A rectangle for each run of dark modules in a row.
fn path(bits: &BitMatrix) -> String {
    let mut path = String::new();
    for y in 0..bits.height() {
        let mut x = 0;
        while x < bits.width() {
            let run = (x..bits.width()).take_while(|x| bits.get(*x, y)).count() as u32;
            if run > 0 {
                path.push_str(&format!("M{x} {y}h{run}v1h-{run}z"));
            }
            x += run.max(1);
        }
    }
    path
}
