//! Bars with whiskers, as an SVG that reads on light and dark pages.

use std::fmt::Write as _;

use crate::report::{Bar, thousands};

const WIDTH: f64 = 760.0;
const LABELS: f64 = 250.0;
const VALUES: f64 = 80.0;
const ROW: f64 = 26.0;
const TOP: f64 = 36.0;

/// Draws them; `unit` says what a length means.
pub(crate) fn bars(unit: &str, bars: &[Bar]) -> String {
    let most = bars.iter().map(|bar| bar.spread.most).fold(f64::MIN_POSITIVE, f64::max);
    let scale = (WIDTH - LABELS - VALUES) / most;
    let height = TOP + ROW * bars.len() as f64 + 8.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" \
         font-size=\"13\">\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text x=\"8\" y=\"22\" fill=\"#555\">{}</text>\n",
        escape(unit)
    );
    for (index, bar) in bars.iter().enumerate() {
        let y = TOP + ROW * index as f64;
        let (middle, base) = (y + 10.0, y + 14.5);
        let colour = if bar.is_ours { "#2a6fb0" } else { "#b8bec6" };
        let (length, least, reach) =
            (bar.spread.median * scale, LABELS + bar.spread.least * scale, LABELS + bar.spread.most * scale);
        let value = if most >= 100.0 { thousands(bar.spread.median) } else { format!("{:.2}", bar.spread.median) };
        // Writing to a String cannot fail.
        let _ = write!(
            svg,
            "<text x=\"{}\" y=\"{base}\" text-anchor=\"end\" fill=\"#222\">{}</text>\n\
             <rect x=\"{LABELS}\" y=\"{y}\" width=\"{length:.1}\" height=\"20\" fill=\"{colour}\"/>\n\
             <path d=\"M{least:.1} {middle}H{reach:.1}M{least:.1} {}v8M{reach:.1} {}v8\" stroke=\"#222\"/>\n\
             <text x=\"{:.1}\" y=\"{base}\" fill=\"#222\">{value}</text>\n",
            LABELS - 8.0,
            escape(&bar.label),
            middle - 4.0,
            middle - 4.0,
            reach + 6.0
        );
    }
    svg + "</svg>\n"
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::spread;

    #[test]
    fn the_longest_bar_ends_before_its_value() {
        let bar = |label: &str, value| Bar { label: label.to_owned(), spread: spread([value]), is_ours: false };
        let svg = bars("a < b", &[bar("x & y", 200_000.0), bar("z", 50_000.0)]);
        assert!(svg.contains("width=\"430.0\"") && svg.contains("width=\"107.5\""), "{svg}");
        assert!(svg.contains("x &amp; y") && svg.contains("a &lt; b") && svg.contains("200,000"));
    }
}
