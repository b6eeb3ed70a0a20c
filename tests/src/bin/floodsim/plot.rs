//! Messages and recall against the size of the network.

use std::error::Error;
use std::path::Path;

use feige_tests::floodsim::{Effort, Shape};
use plotters::prelude::*;

/// What was measured on networks of one shape, by number of peers.
pub(crate) struct Series {
    pub(crate) shape: Shape,
    pub(crate) at: Vec<(usize, Effort)>,
}

/// Okabe and Ito's colours, which the colour-blind tell apart.
const COLOURS: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(230, 159, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(213, 94, 0),
    RGBColor(86, 180, 233),
];

pub(crate) fn write(path: &Path, series: &[Series]) -> Result<(), Box<dyn Error>> {
    let area = SVGBackend::new(path, (1100, 480)).into_drawing_area();
    area.fill(&WHITE)?;
    let (left, right) = area.split_horizontally(550);
    let most = series.iter().flat_map(|series| &series.at).map(|(_, effort)| effort.messages).fold(1.0, f64::max);
    let mut messages = ChartBuilder::on(&left)
        .caption("Messages of one search, TTL 7", ("sans-serif", 18))
        .margin(12)
        .margin_right(30)
        .x_label_area_size(42)
        .y_label_area_size(72)
        .build_cartesian_2d((100.0..100_000.0).log_scale(), (50.0..2.0 * most).log_scale())?;
    let whole = |value: &f64| format!("{value}");
    messages
        .configure_mesh()
        .x_desc("peers")
        .y_desc("messages")
        .x_label_formatter(&whole)
        .y_label_formatter(&whole)
        .light_line_style(TRANSPARENT)
        .draw()?;
    let mut recall = ChartBuilder::on(&right)
        .caption("Peers asked: a single copy is found so often", ("sans-serif", 18))
        .margin(12)
        .margin_right(30)
        .x_label_area_size(42)
        .y_label_area_size(56)
        .build_cartesian_2d((100.0..100_000.0).log_scale(), 0.0..100.0)?;
    recall
        .configure_mesh()
        .x_desc("peers")
        .y_desc("% of all peers")
        .x_label_formatter(&whole)
        .y_label_formatter(&whole)
        .light_line_style(TRANSPARENT)
        .draw()?;
    for (Series { shape, at }, colour) in series.iter().zip(COLOURS) {
        let points = |value: fn(&Effort) -> f64| at.iter().map(move |(peers, effort)| (*peers as f64, value(effort)));
        let style = colour.stroke_width(2);
        messages.draw_series(LineSeries::new(points(|effort| effort.messages), style).point_size(3))?;
        recall
            .draw_series(LineSeries::new(points(|effort| 100.0 * effort.recall), style).point_size(3))?
            .label(shape.to_string())
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style));
    }
    recall
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerLeft)
        .background_style(WHITE.mix(0.9))
        .border_style(BLACK.mix(0.3))
        .draw()?;
    area.present()?;
    Ok(())
}
