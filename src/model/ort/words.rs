//! What ONNX Runtime's messages mean, for people who did not write it: no operator's C++ and no source path reaches them.

/// Why a graph could not run.
pub(super) fn of_run(message: &str) -> String {
    if has(message, &MEMORY) {
        return "there is not enough memory for so many windows at a time: give a smaller --batch, fewer --sessions, or \
                shorter clips"
            .into();
    }
    let place = operator(message).map_or_else(String::new, |name| format!(" (at {name})"));
    if has(message, &["reshape", "Reshape", "broadcast", "invalid dimensions", "out of data bounds", "out of bounds"]) {
        return format!(
            "the graph does not take clips of this length or size{place}; `startle models info` says what it takes"
        );
    }
    format!("ONNX Runtime could not run the graph{place}; `startle models verify` says whether the bundle is whole")
}

/// Why a graph could not be loaded.
pub(super) fn of_load(message: &str) -> String {
    let reason = if has(message, &MEMORY) {
        "there is not enough memory for its weights"
    } else if has(message, &["Protobuf", "protobuf"]) {
        "it is cut off or no ONNX graph"
    } else if has(message, &["xternal data", "external_data", "memory mapping"]) {
        "its weights lie in a file that is missing or cut off"
    } else if has(
        message,
        &["is not a registered", "opset", "Opset", "NOT_IMPLEMENTED", "No Op registered", "kernel for"],
    ) {
        "it has an operator that this ONNX Runtime does not know: a newer one may (`make setup`)"
    } else {
        "ONNX Runtime refuses it: make the bundle again (models/README.md says how)"
    };
    reason.into()
}

/// Why a device does not work: the runtime's reason (a library that is missing, say) without its own places and codes.
pub(super) fn of_device(message: &str) -> String {
    let own = |word: &&str| {
        !(word.contains("::") || word.contains("/onnxruntime") || word.starts_with("[ONNXRuntime") || *word == ":")
    };
    let words: Vec<&str> = message.split_whitespace().filter(own).collect();
    // "1 FAIL": a status code and its name.
    let code =
        |pair: &[&str]| pair[0].parse::<u32>().is_ok() && pair[1].chars().all(|c| c.is_ascii_uppercase() || c == '_');
    let begin = words.windows(2).rposition(code).map_or(0, |at| at + 2);
    let reason = words[begin..].join(" ");
    let reason = reason.trim_end_matches(['.', ' ']);
    if reason.is_empty() { "ONNX Runtime gives no reason".into() } else { reason.into() }
}

const MEMORY: [&str; 5] = ["ailed to allocate", "bad_alloc", "out of memory", "OUT_OF_MEMORY", "Available memory"];

fn has(message: &str, words: &[&str]) -> bool {
    words.iter().any(|word| message.contains(word))
}

/// The name of the operator at fault, which tells the part of the network.
fn operator(message: &str) -> Option<&str> {
    let name = message.split_once("Name:'")?.1.split_once('\'')?.0;
    (!name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESHAPE: &str = "Non-zero status code returned while running Reshape node. Name:'encoder/Reshape_3' Status \
        Message: /onnxruntime_src/onnxruntime/core/providers/cpu/tensor/reshape_helper.h:44 ReshapeHelper::ReshapeHelper(\
        const TensorShape&, TensorShapeVector&, bool) input_shape_size == size was false.";

    #[test]
    fn a_device_s_reason_is_kept_and_the_runtime_s_places_are_not() {
        let message = "/onnxruntime_src/onnxruntime/core/session/provider_bridge_ort.cc:2251 onnxruntime::Provider& \
            onnxruntime::ProviderLibrary::Get() [ONNXRuntimeError] : 1 : FAIL : Failed to load library \
            libonnxruntime_providers_cuda.so with error: libcublasLt.so.12: cannot open shared object file.";
        let said = of_device(message);
        assert_eq!(
            said,
            "Failed to load library libonnxruntime_providers_cuda.so with error: libcublasLt.so.12: cannot open shared \
             object file"
        );
        assert_eq!(of_device("a::b(c::d)"), "ONNX Runtime gives no reason");
    }

    #[test]
    fn nothing_of_the_runtime_itself_is_told() {
        let said = of_run(RESHAPE);
        assert!(said.contains("length or size (at encoder/Reshape_3)"), "{said}");
        let all = [said, of_run("Failed to allocate memory for requested buffer of size 9"), of_run("what")];
        assert!(all[1].contains("--batch") && all[2].contains("models verify"));
        let loads =
            ["Protobuf parsing failed.", "External data path escapes", "com.x:Y(-1) is not a registered function/op"];
        let loads = loads.map(of_load);
        assert!(loads[0].contains("cut off") && loads[1].contains("weights") && loads[2].contains("does not know"));
        for text in all.iter().chain(&loads) {
            assert!(
                !text.contains("::") && !text.contains("/onnxruntime_src") && !text.contains("status code"),
                "{text}"
            );
        }
    }
}
