"""Sealing, verifying and writing manifests."""

from __future__ import annotations

from startle_models import bundle


def test_sealing_takes_a_baseline_in_and_out(exported, capsys):
    assert bundle.main(["verify", str(exported)]) == 0
    for name in ("baseline.json", "baseline-night.json"):
        (exported / name).write_text("{}\n")
    (exported / "README.md").write_text("# Another card\n")
    assert bundle.main(["verify", str(exported)]) == 1
    assert "README.md is not the file that was sealed" in capsys.readouterr().err
    assert bundle.main(["seal", str(exported)]) == 0
    m = bundle.read_manifest(exported)
    assert m["baseline"]["file"] == "baseline.json" and len(m["baseline"]["sha256"]) == 64
    assert m["baselines"] == {"night": bundle.file_entry(exported, "baseline-night.json")}
    (exported / "baseline.json").write_text("{ }\n")
    assert bundle.main(["verify", str(exported)]) == 1
    (exported / "baseline.json").unlink()
    (exported / "baseline-night.json").unlink()
    assert bundle.main(["seal", str(exported)]) == 0
    assert not {"baseline", "baselines"} & bundle.read_manifest(exported).keys()


def test_a_wrong_self_test_value_is_noticed(exported, capsys):
    m = bundle.read_manifest(exported)
    m["self_test"]["surprise"][0]["value"] *= 1.001
    bundle.write_manifest(exported, m)
    assert bundle.main(["verify", str(exported)]) == 1
    assert "self-test, context 2" in capsys.readouterr().err


def test_manifests_survive_writing(exported, tmp_path):
    m = bundle.read_manifest(exported)
    m["description"] = 'quotes ", back\\slash, 日本, tab\t'
    m["extra"] = {"flag": True, "list": [1, 2.5, "x"], "small": 1e-9}
    bundle.write_manifest(tmp_path, m)
    assert bundle.read_manifest(tmp_path) == m
