//! Shapes → PDF 1.7 (ISO 32000-1), one page.

use std::collections::BTreeMap;

use miniz_oxide::deflate::compress_to_vec_zlib;
use pdf_writer::types::{CidFontType, FontFlags, SystemInfo, UnicodeCmap};
use pdf_writer::{Content, Filter, Finish, Name, Pdf, Rect, Ref, Str, TextStr};
use sha2::{Digest, Sha256};
use subsetter::GlyphRemapper;
use svgtypes::{SimplePathSegment, Transform};
use ttf_parser::GlyphId;

use super::Undrawable;
use super::drawing::{Colour, Drawing, Paint, Shape};
use super::typeface::Weight;

const IDENTITY: SystemInfo<'static> = SystemInfo { registry: Str(b"Adobe"), ordering: Str(b"Identity"), supplement: 0 };

/// The glyphs that a page uses of one weight: new number → what it says.
struct Used {
    glyphs: GlyphRemapper,
    says: BTreeMap<u16, (GlyphId, char)>,
}

struct Making {
    pdf: Pdf,
    last: Ref,
    used: BTreeMap<Weight, Used>,
    pictures: Vec<Ref>,
}

pub(super) fn write(drawing: &Drawing, title: &str, language: &str) -> Result<Vec<u8>, Undrawable> {
    let mut making = Making { pdf: Pdf::new(), last: Ref::new(1), used: BTreeMap::new(), pictures: Vec::new() };
    let [catalog, pages, page, content, info] = [(); 5].map(|()| making.next());
    let painted = making.paint(drawing);
    let fonts = making.used.keys().copied().collect::<Vec<_>>();
    let fonts = fonts.into_iter().map(|weight| Ok((weight, making.font(weight)?))).collect::<Result<Vec<_>, _>>()?;
    let Making { mut pdf, pictures, .. } = making;

    pdf.catalog(catalog).pages(pages).lang(TextStr(language)).viewer_preferences().display_doc_title(true);
    pdf.document_info(info).title(TextStr(title));
    pdf.pages(pages).kids([page]).count(1);
    let mut sheet = pdf.page(page);
    sheet.parent(pages).contents(content);
    sheet.media_box(Rect::new(0.0, 0.0, short(drawing.width), short(drawing.height)));
    let mut resources = sheet.resources();
    let mut named = resources.fonts();
    for (weight, font) in &fonts {
        named.pair(Name(weight.name().as_bytes()), *font);
    }
    named.finish();
    let mut named = resources.x_objects();
    for (n, picture) in pictures.iter().enumerate() {
        named.pair(Name(format!("P{n}").as_bytes()), *picture);
    }
    named.finish();
    resources.finish();
    sheet.finish();
    pdf.stream(content, &compressed(&painted)).filter(Filter::FlateDecode);
    let id = Sha256::digest(&painted).iter().take(16).copied().collect::<Vec<u8>>();
    pdf.set_file_id((id.clone(), id));
    Ok(pdf.finish())
}

impl Making {
    fn next(&mut self) -> Ref {
        let free = self.last;
        self.last = Ref::new(free.get() + 1);
        free
    }

    /// The page's content stream; takes down the glyphs and writes the pictures that it needs.
    fn paint(&mut self, drawing: &Drawing) -> Vec<u8> {
        let mut content = Content::new();
        // SVG counts from above.
        content.transform([1.0, 0.0, 0.0, -1.0, 0.0, short(drawing.height)]);
        for shape in &drawing.shapes {
            content.save_state();
            match shape {
                Shape::Outline { segments, paint, place } => outline(&mut content, segments, paint, *place),
                Shape::Text { text, size, weight, colour, place } => {
                    let codes = self.encoded(text, *weight);
                    fill(&mut content, *colour);
                    content.transform(matrix(*place)).begin_text();
                    content.set_font(Name(weight.name().as_bytes()), short(*size));
                    content.set_text_matrix([1.0, 0.0, 0.0, -1.0, 0.0, 0.0]).show(Str(&codes)).end_text();
                }
                Shape::Picture { size, colours, opacity, place } => {
                    let name = format!("P{}", self.pictures.len());
                    let picture = self.picture(*size, colours, opacity.as_deref());
                    self.pictures.push(picture);
                    // The unit square of a picture counts from below.
                    content.transform(matrix(*place)).transform([1.0, 0.0, 0.0, -1.0, 0.0, 1.0]);
                    content.x_object(Name(name.as_bytes()));
                }
            }
            content.restore_state();
        }
        content.finish().to_vec()
    }

    /// Two bytes a character; a character without a glyph is left out.
    fn encoded(&mut self, text: &str, weight: Weight) -> Vec<u8> {
        let blank = || Used { glyphs: GlyphRemapper::new(), says: BTreeMap::new() };
        let used = self.used.entry(weight).or_insert_with(blank);
        let mut codes = Vec::new();
        for c in text.chars() {
            let Some(glyph) = weight.glyph(c) else { continue };
            let code = used.glyphs.remap(glyph.0);
            used.says.entry(code).or_insert((glyph, c));
            codes.extend(code.to_be_bytes());
        }
        codes
    }

    /// The font with just the glyphs in use (ISO 32000-1, 9.7.4 and 9.9).
    fn font(&mut self, weight: Weight) -> Result<Ref, Undrawable> {
        let damaged = || Undrawable(format!("the typeface {} is damaged", weight.name()));
        let [font, glyphs, about, file, unicode] = [(); 5].map(|()| self.next());
        let (face, used) = weight.face().zip(self.used.get(&weight)).ok_or_else(damaged)?;
        let subset = subsetter::subset(weight.file(), 0, &used.glyphs).map_err(|_| damaged())?;
        let name = format!("{}+{}", tag(used), weight.name());
        let name = Name(name.as_bytes());
        let unit = |units: i16| short(f64::from(units) * 1000.0 / f64::from(face.units_per_em()));

        self.pdf
            .type0_font(font)
            .base_font(name)
            .encoding_predefined(Name(b"Identity-H"))
            .descendant_font(glyphs)
            .to_unicode(unicode);
        let mut cid = self.pdf.cid_font(glyphs);
        cid.subtype(CidFontType::Type2).base_font(name).system_info(IDENTITY).font_descriptor(about);
        cid.default_width(0.0).cid_to_gid_map_predefined(Name(b"Identity"));
        let mut widths = cid.widths();
        for (code, (glyph, _)) in &used.says {
            widths.consecutive(*code, [short(weight.advance(*glyph) * 1000.0)]);
        }
        widths.finish();
        cid.finish();
        let bounds = face.global_bounding_box();
        self.pdf
            .font_descriptor(about)
            .name(name)
            .flags(FontFlags::SYMBOLIC)
            .bbox(Rect::new(unit(bounds.x_min), unit(bounds.y_min), unit(bounds.x_max), unit(bounds.y_max)))
            .italic_angle(0.0)
            .ascent(unit(face.ascender()))
            .descent(unit(face.descender()))
            .cap_height(unit(face.capital_height().unwrap_or(face.ascender())))
            .stem_v(if weight == Weight::Bold { 140.0 } else { 80.0 })
            .font_file2(file);
        self.pdf.stream(file, &compressed(&subset)).filter(Filter::FlateDecode);
        let mut says = UnicodeCmap::new(Name(b"Custom"), IDENTITY);
        for (code, (_, c)) in &used.says {
            says.pair(*code, *c);
        }
        self.pdf.cmap(unicode, &compressed(&says.finish())).filter(Filter::FlateDecode);
        Ok(font)
    }

    fn picture(&mut self, (width, height): (u32, u32), colours: &[u8], opacity: Option<&[u8]>) -> Ref {
        let [picture, mask] = [(); 2].map(|()| self.next());
        let size = [width, height].map(|pixels| i32::try_from(pixels).unwrap_or(i32::MAX));
        let packed = compressed(colours);
        let mut object = self.pdf.image_xobject(picture, &packed);
        object.width(size[0]).height(size[1]).bits_per_component(8).filter(Filter::FlateDecode);
        object.color_space().device_rgb();
        if opacity.is_some() {
            object.s_mask(mask);
        }
        object.finish();
        if let Some(opacity) = opacity {
            let packed = compressed(opacity);
            let mut object = self.pdf.image_xobject(mask, &packed);
            object.width(size[0]).height(size[1]).bits_per_component(8).filter(Filter::FlateDecode);
            object.color_space().device_gray();
        }
        picture
    }
}

fn outline(content: &mut Content, segments: &[SimplePathSegment], paint: &Paint, place: Transform) {
    content.transform(matrix(place));
    if let Some(colour) = paint.fill {
        fill(content, colour);
    }
    if let Some([red, green, blue]) = paint.stroke.map(|colour| colour.map(|part| f32::from(part) / 255.0)) {
        content.set_stroke_rgb(red, green, blue).set_line_width(short(paint.stroke_width));
        content.set_dash_pattern(paint.dashes.iter().map(|dash| short(*dash)), 0.0);
    }
    let mut from = (0.0, 0.0);
    for segment in segments {
        match *segment {
            SimplePathSegment::MoveTo { x, y } => _ = content.move_to(short(x), short(y)),
            SimplePathSegment::LineTo { x, y } => _ = content.line_to(short(x), short(y)),
            SimplePathSegment::CurveTo { x1, y1, x2, y2, x, y } => {
                content.cubic_to(short(x1), short(y1), short(x2), short(y2), short(x), short(y));
            }
            SimplePathSegment::Quadratic { x1, y1, x, y } => {
                let toward = |end: f64, via: f64| short(end + (via - end) * 2.0 / 3.0);
                let first = (toward(from.0, x1), toward(from.1, y1));
                content.cubic_to(first.0, first.1, toward(x, x1), toward(y, y1), short(x), short(y));
            }
            SimplePathSegment::ClosePath => _ = content.close_path(),
        }
        if let SimplePathSegment::MoveTo { x, y }
        | SimplePathSegment::LineTo { x, y }
        | SimplePathSegment::CurveTo { x, y, .. }
        | SimplePathSegment::Quadratic { x, y, .. } = *segment
        {
            from = (x, y);
        }
    }
    match (paint.fill.is_some(), paint.stroke.is_some(), paint.even_odd) {
        (true, true, false) => content.fill_nonzero_and_stroke(),
        (true, true, true) => content.fill_even_odd_and_stroke(),
        (true, false, false) => content.fill_nonzero(),
        (true, false, true) => content.fill_even_odd(),
        (false, true, _) => content.stroke(),
        (false, false, _) => content.end_path(),
    };
}

/// Black in grey, so that printers take no colours for it.
fn fill(content: &mut Content, colour: Colour) {
    let [red, green, blue] = colour.map(|part| short(f64::from(part) / 255.0));
    if colour == [0; 3] {
        content.set_fill_gray(0.0);
    } else {
        content.set_fill_rgb(red, green, blue);
    }
}

/// Six letters that name the subset (ISO 32000-1, 9.6.4).
fn tag(used: &Used) -> String {
    let mut digest = Sha256::new();
    for (_, c) in used.says.values() {
        digest.update(u32::from(*c).to_be_bytes());
    }
    digest.finalize().iter().take(6).map(|byte| char::from(b'A' + byte % 26)).collect()
}

fn matrix(t: Transform) -> [f32; 6] {
    [t.a, t.b, t.c, t.d, t.e, t.f].map(short)
}

/// No more digits than paper shows.
fn short(number: f64) -> f32 {
    ((number * 10_000.0).round() / 10_000.0) as f32
}

fn compressed(data: &[u8]) -> Vec<u8> {
    compress_to_vec_zlib(data, 9)
}
