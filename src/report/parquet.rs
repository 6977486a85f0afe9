//! `curve.parquet`: the curve as typed columns, for data frames.
//!
//! Invariants: the columns are those of `curve.csv`; what was computed on (schema, model, input) is in the file's
//! key-value metadata, so that a folder of curves can be told apart.

use crate::error::{Error, Result};
use crate::record::{CurvePoint, Report};
use parquet::basic::Compression;
use parquet::data_type::{DataType, DoubleType, FloatType, Int32Type};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;
use std::sync::Arc;

/// Points in a row group: about 4 MB of columns, some two days of video at 6 points a second.
const ROW_GROUP: usize = 1 << 20;

/// The column types; names as [`super::csv::CURVE_COLUMNS`].
const SCHEMA: &str = "message startle_curve {
    required double t_s;
    required float surprise;
    optional float z;
    optional float p_value;
    required float raw;
    required float motion;
    required int32 peak_row;
    required int32 peak_col;
    required float x0_px;
    required float y0_px;
    required float x1_px;
    required float y1_px;
    required float unadjusted;
}";

/// A row group that is written to memory.
pub(super) type Group<'a> = SerializedRowGroupWriter<'a, Vec<u8>>;

/// `curve.parquet`'s bytes.
///
/// # Errors
/// [`Error::Internal`]: writing to memory fails only by a fault of ours.
pub fn curve(report: &Report) -> Result<Vec<u8>> {
    let write = || -> Result<Vec<u8>, ParquetError> {
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_created_by(format!("startle {}", report.startle_version))
            .set_key_value_metadata(Some(metadata(report)))
            .build();
        let schema = Arc::new(parse_message_type(SCHEMA)?);
        let mut file = SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties))?;
        for points in report.curve.chunks(ROW_GROUP) {
            let mut group = file.next_row_group()?;
            write_group(&mut group, points)?;
            group.close()?;
        }
        file.into_inner()
    };
    write().map_err(|e| Error::Internal { stage: "parquet", reason: e.to_string() })
}

fn metadata(report: &Report) -> Vec<KeyValue> {
    let pair = |key: &str, value: &str| KeyValue::new(key.to_owned(), value.to_owned());
    let mut pairs = vec![
        pair("startle.schema", &report.schema),
        pair("startle.version", &report.startle_version),
        pair("startle.created", &report.created),
        pair("startle.model", &report.model.name),
        pair("startle.model_sha256", &report.model.sha256),
        pair("startle.input", &report.input.path),
    ];
    pairs.extend(report.input.sha256.as_deref().map(|hash| pair("startle.input_sha256", hash)));
    pairs
}

fn write_group(group: &mut Group<'_>, points: &[CurvePoint]) -> Result<(), ParquetError> {
    required::<DoubleType>(group, points, |p| p.t_s)?;
    required::<FloatType>(group, points, |p| p.surprise)?;
    optional(group, points, |p| p.z)?;
    optional(group, points, |p| p.p_value)?;
    required::<FloatType>(group, points, |p| p.raw)?;
    required::<FloatType>(group, points, |p| p.motion)?;
    for axis in 0..2 {
        required::<Int32Type>(group, points, |p| i32::from(p.peak_cell[axis]))?;
    }
    for edge in 0..4 {
        required::<FloatType>(group, points, |p| p.peak_box[edge])?;
    }
    required::<FloatType>(group, points, |p| p.unadjusted)
}

fn required<T: DataType>(
    group: &mut Group<'_>,
    points: &[CurvePoint],
    value: impl Fn(&CurvePoint) -> T::T,
) -> Result<(), ParquetError> {
    let values: Vec<T::T> = points.iter().map(value).collect();
    write_column::<T>(group, &values, None)
}

fn optional(
    group: &mut Group<'_>,
    points: &[CurvePoint],
    value: impl Fn(&CurvePoint) -> Option<f32>,
) -> Result<(), ParquetError> {
    let values: Vec<f32> = points.iter().filter_map(&value).collect();
    let levels: Vec<i16> = points.iter().map(|p| i16::from(value(p).is_some())).collect();
    write_column::<FloatType>(group, &values, Some(&levels))
}

/// Writes the next column; `levels` says which of its values are there.
pub(super) fn write_column<T: DataType>(
    group: &mut Group<'_>,
    values: &[T::T],
    levels: Option<&[i16]>,
) -> Result<(), ParquetError> {
    let Some(mut column) = group.next_column()? else {
        return Err(ParquetError::General("more columns written than the schema has".into()));
    };
    column.typed::<T>().write_batch(values, levels, None)?;
    column.close()
}
