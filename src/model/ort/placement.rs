//! Which execution provider really runs the nodes of a graph.
//!
//! The only unsafe code of the model floor: ONNX Runtime tells this through its C API alone.

use ::ort::AsPointer;
use ::ort::session::Session;
use ::ort::sys::{OrtEpAssignedNode, OrtEpAssignedSubgraph, OrtStatusPtr};
use std::ffi::CStr;
use std::ptr;

/// The session option that makes ONNX Runtime keep the assignment (`onnxruntime_session_options_config_keys.h`).
pub(super) const RECORD_KEY: &str = "session.record_ep_graph_assignment_info";

/// Execution providers with the number of nodes that each runs, most first; empty when ONNX Runtime does not tell.
pub(super) fn of(session: &Session) -> Vec<(String, usize)> {
    let mut nodes: Vec<(String, usize)> = Vec::new();
    for (name, count) in assigned(session).unwrap_or_default() {
        match nodes.iter_mut().find(|(known, _)| *known == name) {
            Some((_, total)) => *total += count,
            None => nodes.push((name, count)),
        }
    }
    nodes.sort_by(|left, right| right.1.cmp(&left.1).then_with(|| left.0.cmp(&right.0)));
    nodes
}

/// The placement of several graphs in words: the provider's name, with node counts where there are several.
pub(super) fn describe<'a>(graphs: impl Iterator<Item = &'a [(String, usize)]>) -> String {
    let mut total: Vec<(&str, usize)> = Vec::new();
    for (name, count) in graphs.flatten() {
        match total.iter_mut().find(|(known, _)| known == name) {
            Some((_, nodes)) => *nodes += count,
            None => total.push((name, *count)),
        }
    }
    total.sort_by_key(|&(_, nodes)| std::cmp::Reverse(nodes));
    match &total[..] {
        [] => "unknown (this ONNX Runtime does not tell)".into(),
        [(name, _)] => (*name).into(),
        several => {
            let parts: Vec<String> = several.iter().map(|(name, nodes)| format!("{name} ({nodes} nodes)")).collect();
            parts.join(" + ")
        }
    }
}

#[expect(unsafe_code, reason = "ort has no wrapper for Session_GetEpGraphAssignmentInfo")]
fn assigned(session: &Session) -> ::ort::Result<Vec<(String, usize)>> {
    let api = ::ort::api();
    // SAFETY (of every call below): the function pointers are those of the loaded library at the API level that
    // `ort` checked; the session outlives the calls; the arrays and strings that come back belong to the session and
    // are only read here.
    let check = |status: OrtStatusPtr| unsafe { ::ort::Error::result_from_status(status) };
    let mut parts: *const *const OrtEpAssignedSubgraph = ptr::null();
    let mut count = 0;
    check(unsafe { (api.Session_GetEpGraphAssignmentInfo)(session.ptr(), &raw mut parts, &raw mut count) })?;
    let mut found = Vec::with_capacity(count);
    for index in 0..count {
        let part = unsafe { *parts.add(index) };
        let mut name = ptr::null();
        check(unsafe { (api.EpAssignedSubgraph_GetEpName)(part, &raw mut name) })?;
        let mut nodes: *const *const OrtEpAssignedNode = ptr::null();
        let mut node_count = 0;
        check(unsafe { (api.EpAssignedSubgraph_GetNodes)(part, &raw mut nodes, &raw mut node_count) })?;
        found.push((unsafe { CStr::from_ptr(name) }.to_string_lossy().into_owned(), node_count));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_provider_is_a_name_and_several_have_counts() {
        let cpu = [("CPUExecutionProvider".to_string(), 3)];
        let gpu = [("CUDAExecutionProvider".to_string(), 90), ("CPUExecutionProvider".to_string(), 1)];
        assert_eq!(describe([&cpu[..], &cpu[..]].into_iter()), "CPUExecutionProvider");
        let both = "CUDAExecutionProvider (90 nodes) + CPUExecutionProvider (4 nodes)";
        assert_eq!(describe([&cpu[..], &gpu[..]].into_iter()), both);
        assert!(describe(std::iter::empty()).starts_with("unknown"));
    }
}
