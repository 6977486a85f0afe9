//! `cases.parquet`: one row for each video and scorer, for data frames.

use super::super::parquet::{Group, write_column};
use crate::error::{Error, Result};
use crate::evaluate::{Case, Evaluation, ScoredCase, Statistic, VideoScores};
use parquet::basic::Compression;
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, DoubleType, Int32Type};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use std::sync::Arc;

/// The columns. Scores are empty where nothing was scored; `events` is 0 for scorers without a baseline.
const SCHEMA: &str = "message startle_cases {
    required binary id (UTF8);
    required binary group (UTF8);
    required binary pair (UTF8);
    required binary kind (UTF8);
    required boolean possible;
    required boolean control;
    required binary scorer (UTF8);
    optional double headline_max;
    optional double headline_mean;
    optional double avg;
    optional double max;
    optional double filtered_avg;
    optional double filtered_max;
    required double duration_s;
    required int32 events;
}";

/// The score columns, in the order of [`SCHEMA`].
const SCORES: [Statistic; 6] = [
    Statistic::HeadlineMax,
    Statistic::HeadlineMean,
    Statistic::Avg,
    Statistic::Max,
    Statistic::FilteredAvg,
    Statistic::FilteredMax,
];

/// A row: the video, the scorer, what it says.
type ScoreRow<'a> = (&'a ScoredCase, &'a str, &'a VideoScores);

/// `cases.parquet`'s bytes.
///
/// # Errors
/// [`Error::Internal`]: writing to memory fails only by a fault of ours.
pub fn cases(evaluation: &Evaluation, cases: &[ScoredCase]) -> Result<Vec<u8>> {
    let of = |case| evaluation.scorers.iter().filter_map(move |s| row(case, s));
    let rows: Vec<ScoreRow<'_>> = cases.iter().flat_map(of).collect();
    let write = || -> Result<Vec<u8>, ParquetError> {
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_created_by(format!("startle {}", evaluation.startle_version))
            .set_key_value_metadata(Some(metadata(evaluation)))
            .build();
        let schema = Arc::new(parse_message_type(SCHEMA)?);
        let mut file = SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties))?;
        let mut group = file.next_row_group()?;
        write_rows(&mut group, &rows)?;
        group.close()?;
        file.into_inner()
    };
    write().map_err(|e| Error::Internal { stage: "parquet", reason: e.to_string() })
}

fn row<'a>(scored: &'a ScoredCase, scorer: &'a str) -> Option<ScoreRow<'a>> {
    Some((scored, scorer, scored.scores.get(scorer)?))
}

fn metadata(evaluation: &Evaluation) -> Vec<KeyValue> {
    let pair = |key: &str, value: &str| KeyValue::new(key.to_owned(), value.to_owned());
    vec![
        pair("startle.schema", &evaluation.schema),
        pair("startle.version", &evaluation.startle_version),
        pair("startle.dataset", &evaluation.dataset),
        pair("startle.model", &evaluation.model),
    ]
}

fn write_rows(group: &mut Group<'_>, rows: &[ScoreRow<'_>]) -> Result<(), ParquetError> {
    let texts: [fn(&Case) -> &str; 4] = [|c| &c.id, |c| &c.group, |c| &c.pair, |c| &c.kind];
    for text in texts {
        required::<ByteArrayType>(group, rows, |r| ByteArray::from(text(&r.0.case)))?;
    }
    required::<BoolType>(group, rows, |r| r.0.case.possible)?;
    required::<BoolType>(group, rows, |r| r.0.case.control)?;
    required::<ByteArrayType>(group, rows, |r| ByteArray::from(r.1))?;
    for statistic in SCORES {
        optional(group, rows, |r| statistic.value(r.2))?;
    }
    required::<DoubleType>(group, rows, |r| r.0.duration_s)?;
    required::<Int32Type>(group, rows, |r| i32::try_from(r.2.events.len()).unwrap_or(i32::MAX))
}

fn required<T: DataType>(
    group: &mut Group<'_>,
    rows: &[ScoreRow<'_>],
    value: impl Fn(&ScoreRow<'_>) -> T::T,
) -> Result<(), ParquetError> {
    let values: Vec<T::T> = rows.iter().map(value).collect();
    write_column::<T>(group, &values, None)
}

fn optional(
    group: &mut Group<'_>,
    rows: &[ScoreRow<'_>],
    value: impl Fn(&ScoreRow<'_>) -> Option<f64>,
) -> Result<(), ParquetError> {
    let all: Vec<Option<f64>> = rows.iter().map(value).collect();
    let levels: Vec<i16> = all.iter().map(|v| i16::from(v.is_some())).collect();
    let values: Vec<f64> = all.into_iter().flatten().collect();
    write_column::<DoubleType>(group, &values, Some(&levels))
}
