"""The spine table: the real file, the phantom, OpenML, the reader's own, and everything that can be wrong with one."""

import gzip
import hashlib
import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from medutils.data import spine
from medutils.data.phantoms.spine import make_spine
from medutils.errors import InputError


@pytest.fixture
def phantom(tmp_path: Path) -> Path:
    make_spine(tmp_path)
    return tmp_path / "Dataset_spine.csv"


@pytest.mark.real
def test_the_real_file_is_read_without_its_14th_column_of_text():
    records, located = spine.open_spine()
    assert located.kind == "real"
    assert records["label"].value_counts().to_dict() == {"Abnormal": 210, "Normal": 100}
    assert spine.features(records) == [f"Col{n}" for n in range(1, 13)]
    assert (records["Col1"] - records["Col2"] - records["Col4"]).abs().max() < 2e-8


def test_the_phantom_has_the_layout_and_the_faults_of_the_real_file(phantom: Path):
    raw = pd.read_csv(phantom)
    assert raw.shape == (310, 14)
    assert raw.iloc[:, 13].dropna().str.startswith("PHANTOM").sum() == 14
    records, located = spine.open_spine(str(phantom))
    assert located.kind == "phantom"
    assert records["label"].tolist() == ["Abnormal"] * 210 + ["Normal"] * 100
    assert (records["Col1"] - records["Col2"] - records["Col4"]).abs().max() < 2e-8


def test_the_phantom_is_the_same_for_a_seed_and_another_for_another(tmp_path: Path):
    texts = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        (tmp_path / name).mkdir()
        make_spine(tmp_path / name, seed)
        texts.append((tmp_path / name / "Dataset_spine.csv").read_text())
    assert texts[0] == texts[1] != texts[2]


@pytest.mark.real
def test_the_phantom_has_the_real_tables_means():
    real, made = (
        spine.open_spine(data)[0].groupby("label")[["Col2", "Col3", "Col4", "Col5"]] for data in ("auto", "phantom")
    )
    gap = (real.mean() - made.mean()).abs() / real.std()
    assert gap.to_numpy().max() < 0.25


def edited(path: Path, change) -> Path:
    table = pd.read_csv(path, dtype=str, keep_default_na=False).rename(columns={"Unnamed: 13": ""})
    table = change(table)
    table.to_csv(path, index=False)
    return path


def put(row: int, column: str, value: str):
    def change(table: pd.DataFrame) -> pd.DataFrame:
        table.loc[row, column] = value
        return table

    return change


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda t: t.drop(columns="Class_att"), "found no column 'Class_att'"),
        (put(6, "Class_att", "Abnromal"), "line 8: Class_att is 'Abnromal'; expected 'Normal' or 'Abnormal'"),
        (put(3, "Col4", "n/a"), "line 5: Col4 is 'n/a'; expected a number from -1e+30 to 1e+30"),
        (put(3, "Col4", ""), "line 5: Col4 is ''; expected a number from -1e+30 to 1e+30"),
        (put(3, "Col4", "inf"), "line 5: Col4 is 'inf'; expected a number from -1e+30 to 1e+30"),
        (put(3, "Col4", "1e308"), "line 5: Col4 is '1e308'; expected a number"),
        (lambda t: t.iloc[:0], "found 0 rows; expected at least 50"),
        (lambda t: pd.concat([t, t.iloc[[4]]]), "lines 6, 312 hold the same row"),
        (lambda t: t[t.Class_att == "Abnormal"], "Class_att is 'Normal' in 0 rows; expected at least 10"),
        (lambda t: t[["Class_att"]], "found no column of measurements"),
    ],
)
def test_a_faulty_table_is_refused_in_one_sentence_that_names_the_fault(phantom: Path, change, sentence: str):
    with pytest.raises(InputError) as caught:
        spine.load_spine(edited(phantom, change))
    assert sentence in str(caught.value)
    assert str(phantom) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_one_name_for_both_classes_is_refused(phantom: Path):
    with pytest.raises(InputError, match="positive and negative are both 'Normal'; expected two classes of Class_att"):
        spine.load_spine(phantom, positive="Normal")


def test_too_few_patients_of_a_class_are_refused(phantom: Path):
    path = edited(phantom, lambda t: t.assign(who=[f"p{row // 80}" for row in range(len(t))]))
    with pytest.raises(InputError, match=r"'Normal' in 2 patients \(who\); expected at least 10 of each class"):
        spine.load_spine(path, patient_column="who")


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00bad", b'a,b\n"open'])
def test_what_is_no_table_is_refused(tmp_path: Path, content: bytes):
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match="expected"):
        spine.load_spine(path)


def test_a_missing_file_and_a_folder_without_the_file_are_named(tmp_path: Path):
    with pytest.raises(InputError, match=r"nowhere\.csv does not exist"):
        spine.open_spine(str(tmp_path / "nowhere.csv"))
    with pytest.raises(InputError, match=r"found no Dataset_spine\.csv"):
        spine.open_spine(str(tmp_path))
    with pytest.raises(InputError, match=r"/dev/null is neither a file nor a folder; expected .* openml"):
        spine.open_spine("/dev/null")


def test_only_a_dataset_of_the_kind_table_is_opened():
    with pytest.raises(InputError, match="dataset: found 'rsna_lumbar', of the kind study; expected one of spine"):
        spine.open_spine(dataset="rsna_lumbar")


def test_a_table_of_the_users_own_is_named_by_its_file(phantom: Path):
    assert spine.find_spine(str(phantom)).name == "Dataset_spine"
    assert spine.find_spine("phantom").name == "spine"


def test_a_table_that_may_not_be_read_is_named(phantom: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(self: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(InputError, match=r"Dataset_spine\.csv: permission denied"):
        spine.load_spine(phantom)


@pytest.mark.parametrize("style", ["semicolons", "byte-order mark", "own names"])
def test_a_table_of_ones_own_is_read(phantom: Path, style: str):
    table = pd.read_csv(phantom).iloc[:, :13]
    names = {"class_column": "Class_att", "negative": "Normal", "positive": "Abnormal"}
    if style == "own names":
        table = table.assign(case=[f"c{row // 2}" for row in table.index], diagnosis=table.pop("Class_att").str.upper())
        names = {"class_column": "diagnosis", "negative": "NORMAL", "positive": "ABNORMAL", "patient_column": "case"}
    table.to_csv(
        phantom,
        index=False,
        sep=";" if style == "semicolons" else ",",
        encoding="utf-8-sig" if style == "byte-order mark" else "utf-8",
    )
    records, _ = spine.open_spine(str(phantom), **names)
    assert spine.features(records) == [f"Col{n}" for n in range(1, 13)]
    assert records["patient"].nunique() == (155 if style == "own names" else 310)


def test_a_patient_without_a_name_and_a_measurement_named_as_a_records_column_are_refused(phantom: Path):
    table = pd.read_csv(phantom).iloc[:, :13]
    table.assign(case=["", *table.index[1:].astype(str)]).to_csv(phantom, index=False)
    with pytest.raises(InputError, match="line 2: case is empty"):
        spine.load_spine(phantom, patient_column="case")
    table.rename(columns={"Col2": "source"}).to_csv(phantom, index=False)
    with pytest.raises(InputError, match="found a measurement named 'source'"):
        spine.load_spine(phantom)


def openml_response(url: str, swapped: bool) -> bytes:
    """What OpenML answers for data set 1524, in its own format; the rows are the phantom's."""
    columns = [f"V{n}" for n in range(1, 7)]
    rng = np.random.default_rng(0)
    classes = ["2"] * 210 + ["1"] * 100 if swapped else ["1"] * 210 + ["2"] * 100
    lines = [f"{','.join(f'{value:.4f}' for value in rng.normal(size=6))},{label}" for label in classes]
    attributes = "\n".join(f"@ATTRIBUTE {name} REAL" for name in columns)
    arff = f"@RELATION vertebra-column\n{attributes}\n@ATTRIBUTE Class {{1,2}}\n@DATA\n" + "\n".join(lines) + "\n"
    if url.endswith(".arff"):
        return arff.encode()
    if "features" in url:
        feature = {
            "is_target": "false",
            "is_ignore": "false",
            "is_row_identifier": "false",
            "number_of_missing_values": "0",
        }
        features = [
            {"index": str(n), "name": name, "data_type": "numeric", **feature} for n, name in enumerate(columns)
        ]
        target = {
            **feature,
            "index": "6",
            "name": "Class",
            "data_type": "nominal",
            "nominal_value": ["1", "2"],
            "is_target": "true",
        }
        return json.dumps({"data_features": {"feature": [*features, target]}}).encode()
    if "qualities" in url:
        return json.dumps({"data_qualities": {"quality": [{"name": "NumberOfInstances", "value": "310"}]}}).encode()
    description = {
        "id": "1524", "name": "vertebra-column", "version": "1", "description": "", "format": "ARFF",
        "file_id": "1593717", "status": "active",
        "url": "https://api.openml.org/data/v1/download/1593717/vertebra-column.arff",
        "default_target_attribute": "Class", "md5_checksum": hashlib.md5(arff.encode()).hexdigest(),
    }  # fmt: skip
    return json.dumps({"data_set_description": description}).encode()


class Answer(io.BytesIO):
    def info(self) -> dict[str, str]:
        return {"Content-Encoding": "gzip"}


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def use(swapped: bool = False) -> None:
        def urlopen(request, **_):
            return Answer(gzip.compress(openml_response(request.full_url, swapped)))

        monkeypatch.setattr("sklearn.datasets._openml.urlopen", urlopen)

    return use


def test_the_vertebral_table_is_fetched_from_openml_once(answers, monkeypatch: pytest.MonkeyPatch):
    answers()
    records, located = spine.open_spine("openml")
    assert (located.name, located.kind) == ("vertebral", "real")
    assert records["label"].value_counts().to_dict() == {"Abnormal": 210, "Normal": 100}
    assert spine.features(records) == [f"Col{n}" for n in range(1, 7)]
    monkeypatch.setattr("sklearn.datasets._openml.urlopen", None)
    assert spine.open_spine("openml")[0].equals(records)


def test_classes_that_do_not_count_as_they_should_are_refused(answers):
    answers(swapped=True)
    with pytest.raises(InputError, match="1524: found the classes"):
        spine.open_spine("openml")


def test_without_a_network_openml_ends_in_a_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    def urlopen(*_, **__):
        raise OSError("Name or service not known")

    monkeypatch.setattr("sklearn.datasets._openml.urlopen", urlopen)
    with pytest.raises(InputError, match=r"OpenML data set 1524 could not be fetched .* expected a network"):
        spine.open_spine("openml")
