//! `evaluation.html`: the evaluation as a page that stands alone, without a script.

use super::super::html::text::{escape, fill};
use super::super::{palette, plot_evaluation as plot, words};
use super::tables::{self, Table};
use super::text::heading;
use crate::error::Result;
use crate::evaluate::metrics::{precision_recall, roc};
use crate::evaluate::select::select;
use crate::evaluate::{Evaluation, MODEL, PairMargin, Reliability, SCORERS, Scope, ScoredCase};

/// The page.
///
/// # Errors
/// [`crate::Error::Internal`]: drawing into memory fails only by a fault of ours.
pub fn page(evaluation: &Evaluation, cases: &[ScoredCase]) -> Result<String> {
    let accuracy = tables::accuracy(evaluation);
    let bold: Vec<usize> =
        evaluation.rows.iter().enumerate().filter(|r| r.1.scope == Scope::All).map(|r| r.0).collect();
    let metrics = tables::metrics(evaluation);
    Ok(fill(
        include_str!("../assets/evaluation.html"),
        &[
            ("css", palette::CSS),
            ("plot_css", &plot::style()),
            ("version", &escape(&evaluation.startle_version)),
            ("title", &escape(&heading(evaluation))),
            ("name", &escape(&words::one_line(&evaluation.dataset))),
            ("lead", &lead(evaluation)),
            ("facts", &facts(evaluation)),
            ("accuracy_note", &escape(&accuracy.note)),
            ("accuracy", &html(&accuracy, &bold)),
            ("bars", &plot::bars(evaluation)?),
            ("legend", &legend(evaluation)),
            ("curves", &curves(evaluation, cases)?),
            ("reliability", &reliability(evaluation)?),
            ("metrics_note", &escape(&metrics.note)),
            ("metrics", &html(&metrics, &[])),
            ("pairs", &pairs(evaluation, cases)?),
            ("settings", &settings(evaluation)),
        ],
    ))
}

/// The result in a sentence.
fn lead(evaluation: &Evaluation) -> String {
    let Some((all, model)) = tables::all(evaluation).and_then(|all| Some((all, all.headline(MODEL)?))) else {
        return "No pair of a possible and an impossible video could be compared.".into();
    };
    let found = format!(
        "<strong>{} %</strong> of {} pairs told apart ({} %)",
        tables::share(Some(model.value)),
        model.n,
        tables::interval(model)
    );
    let Some(best) = &all.best_control else { return format!("{found}; no control was run.") };
    let accuracy = tables::share(Some(best.accuracy));
    format!("{found}. The best control, {}, gets {accuracy} %.", escape(&best.scorer))
}

fn facts(evaluation: &Evaluation) -> String {
    let facts = [
        ("dataset", &evaluation.dataset),
        ("layout", &evaluation.layout),
        ("model", &evaluation.model),
        ("videos", &evaluation.cases.to_string()),
    ];
    let item = |(name, value): &(&str, &String)| format!("<div><dt>{name}</dt><dd>{}</dd></div>", escape(value));
    facts.iter().filter(|f| !f.1.is_empty()).map(item).collect()
}

fn html(table: &Table, bold: &[usize]) -> String {
    let head = |(i, name): (usize, &String)| {
        let class = if i == 0 { "" } else { " class=\"num\"" };
        format!("<th scope=\"col\"{class}>{}</th>", escape(name))
    };
    let cell = |(i, text): (usize, &String)| match i {
        0 => format!("<th scope=\"row\">{}</th>", escape(text)),
        _ if table.columns[i] == MODEL => format!("<td class=\"num own\">{}</td>", escape(text)),
        _ => format!("<td class=\"num\">{}</td>", escape(text)),
    };
    let row = |(i, cells): (usize, &Vec<String>)| {
        let rule = if table.rules.contains(&i) { "rule " } else { "" };
        let strong = if bold.contains(&i) { "strong" } else { "" };
        format!("<tr class=\"{rule}{strong}\">{}</tr>\n", cells.iter().enumerate().map(cell).collect::<String>())
    };
    format!(
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{}\"><table class=\"wide\"><thead><tr>{}</tr></thead>\
         <tbody>\n{}</tbody></table></div>",
        escape(&table.title),
        table.columns.iter().enumerate().map(head).collect::<String>(),
        table.rows.iter().enumerate().map(row).collect::<String>()
    )
}

/// Which colour is which scorer.
fn legend(evaluation: &Evaluation) -> String {
    let item = |scorer: &String| {
        let class = if scorer == MODEL { " class=\"own\"" } else { "" };
        format!("<li{class}><i style=\"background:var({})\"></i>{}</li>", plot::variable(scorer), escape(scorer))
    };
    format!("<ul class=\"legend\">{}</ul>", evaluation.scorers.iter().map(item).collect::<String>())
}

/// ROC and precision–recall curves of every scorer over all violations.
fn curves(evaluation: &Evaluation, cases: &[ScoredCase]) -> Result<String> {
    let all = select(cases, |_| true);
    if all.possible.is_empty() || all.impossible.is_empty() {
        return Ok("<p class=\"quiet\">There is nothing to tell apart: all videos are of one sort.</p>".into());
    }
    let scorers = || SCORERS.into_iter().filter(|s| evaluation.scorers.iter().any(|e| e == s));
    let rocs: Vec<_> = scorers().map(|s| (s, all.scores(s))).map(|(s, (p, n))| (s, roc(&p, &n))).collect();
    let steps: Vec<_> = scorers().map(|s| (s, all.scores(s))).map(|(s, (p, n))| (s, staircase(&p, &n))).collect();
    let positive = all.impossible.len() as f64 / (all.impossible.len() + all.possible.len()) as f64;
    let roc = plot::square(["possible videos called impossible", "impossible videos found"], &rocs, [0.0, 1.0])?;
    let recall = plot::square(["recall", "precision"], &steps, [positive, positive])?;
    Ok(figure("ROC over videos; dashed: chance", &roc)
        + &figure("Precision and recall over videos; dashed: chance", &recall))
}

/// Promised rates against those that came; nothing where no baseline promised any.
fn reliability(evaluation: &Evaluation) -> Result<String> {
    let Some(first) = evaluation.reliability.first() else { return Ok(String::new()) };
    let hours = first.hours;
    let row = |r: &Reliability| {
        let cells =
            [r.promised_per_hour, r.seen_per_hour].map(words::number).map(|n| format!("<td class=\"num\">{n}</td>"));
        format!("<tr>{}<td class=\"num\">{}</td></tr>", cells.concat(), r.spikes)
    };
    let rows: String = evaluation.reliability.iter().map(row).collect();
    let svg = plot::reliability(&evaluation.reliability)?;
    Ok(format!(
        "<section aria-labelledby=\"promises\"><h2 id=\"promises\">Promised rates</h2>\
         <p class=\"note\">Spikes an hour in the possible videos ({} minutes) where the baseline promised so many. On the dashed \
         line the promise is kept; between the grey ones it is off by less than a factor of two.</p><div class=\"plots\">{}\
         <table><thead><tr><th scope=\"col\" class=\"num\">promised an hour</th><th scope=\"col\" class=\"num\">seen an hour</th>\
         <th scope=\"col\" class=\"num\">spikes</th></tr></thead><tbody>{rows}</tbody></table></div></section>",
        words::number(hours * 60.0),
        figure("Promised and seen rates, both logarithmic", &svg)
    ))
}

/// The precision–recall curve as the steps whose area is the average precision.
fn staircase(positives: &[f64], negatives: &[f64]) -> Vec<(f64, f64)> {
    let points = precision_recall(positives, negatives);
    let before = std::iter::once(0.0).chain(points.iter().map(|p| p.0));
    let rises = points.iter().zip(before).filter(|(point, before)| point.0 > *before);
    rises.flat_map(|(point, before)| [(before, point.1), *point]).collect()
}

fn figure(caption: &str, svg: &str) -> String {
    format!("<figure class=\"plot\">{}<figcaption>{caption}</figcaption></figure>", labelled(svg, caption))
}

/// The picture with a name for those who do not see it.
fn labelled(svg: &str, name: &str) -> String {
    svg.replacen("<svg ", &format!("<svg role=\"img\" aria-label=\"{name}\" "), 1)
}

/// The curves of the best and of the worst pairs.
fn pairs(evaluation: &Evaluation, cases: &[ScoredCase]) -> Result<String> {
    if evaluation.best.is_empty() {
        return Ok("<p class=\"quiet\">There are no pairs.</p>".into());
    }
    let block = |title: &str, pairs: &[PairMargin]| -> Result<String> {
        let figures = pairs.iter().map(|p| pair(p, cases)).collect::<Result<String>>()?;
        Ok(format!("<h3>{title}</h3><div class=\"plots\">{figures}</div>"))
    };
    Ok(block("Told apart best", &evaluation.best)? + &block("Told apart worst", &evaluation.worst)?)
}

fn pair(pair: &PairMargin, cases: &[ScoredCase]) -> Result<String> {
    let find = |id: &str| cases.iter().find(|c| c.case.id == id);
    let (Some(possible), Some(impossible)) = (find(&pair.possible), find(&pair.impossible)) else {
        return Ok(String::new());
    };
    let curve = |c: &ScoredCase| c.scores.get(MODEL).map(|s| s.curve.clone()).unwrap_or_default();
    let svg = plot::pair(&curve(possible), &curve(impossible), impossible.case.onset_s)?;
    let margin =
        if pair.margin < 0.0 { words::number(pair.margin) } else { format!("+{}", words::number(pair.margin)) };
    let (kind, right, wrong) = (escape(&pair.kind), escape(&pair.possible), escape(&pair.impossible));
    let name = format!("surprise over time of {wrong} and {right}");
    Ok(format!(
        "<figure class=\"plot\"><figcaption><strong>{kind}</strong> {margin}<br><span class=\"hot\">{wrong}</span> \
         <span class=\"quiet\">against {right}</span></figcaption>{}</figure>\n",
        labelled(&svg, &name)
    ))
}

fn settings(evaluation: &Evaluation) -> String {
    let row = |(key, value): (&String, &String)| {
        format!("<tr><th scope=\"row\"><code>{}</code></th><td>{}</td></tr>", escape(key), escape(value))
    };
    format!(
        "<table class=\"fields\"><tbody>{}</tbody></table>",
        evaluation.settings.iter().map(row).collect::<String>()
    )
}
