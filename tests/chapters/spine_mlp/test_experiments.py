"""Write-up 000's shortcuts: rebuilt as it describes them, against scikit-learn and its own published digits."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score
from sklearn.preprocessing import StandardScaler

from medutils.chapters.spine_mlp import experiments as spine
from medutils.chapters.spine_mlp import sentences
from medutils.data.spine import open_spine
from medutils.data.splits import save_split
from medutils.errors import InputError
from medutils.evaluation import binary, choose_threshold, evaluate, values
from medutils.evidence import reported_values
from medutils.export import load_model, save_model
from medutils.models.mlp import SpineMLP
from medutils.training.loop import Settings


@pytest.fixture(scope="module")
def task() -> spine.Task:
    return spine.Task(open_spine("phantom")[0], "Normal", "Abnormal")


def test_the_writeups_batch_average_is_what_scikit_learn_gives_batch_by_batch():
    rng = np.random.default_rng(0)
    y, logits = (rng.random(62) < 0.68).astype(float), rng.normal(1, 1, 62)
    batches = [slice(0, 16), slice(16, 32), slice(32, 48), slice(48, 62)]
    expected = np.mean([round(100 * f1_score(y[part], logits[part] >= 0)) for part in batches])
    found = spine.scores_as_written(y, logits)
    assert found["f1"] == expected
    assert found["precision"] == 0.0
    assert spine.scores(y, logits)["f1"] == pytest.approx(f1_score(y, logits >= 0))


def test_the_split_is_by_row_as_written_and_by_patient_when_patients_have_several_rows(task: spine.Task):
    train, held = spine.writeup_split(task)
    assert (len(train), len(held)) == (248, 62)
    twins = task.records.assign(patient=[f"p{row // 3}" for row in range(len(task.records))])
    for stratified in (False, True):
        train, held = spine.writeup_split(spine.Task(twins, "Normal", "Abnormal"), stratified=stratified)
        assert sorted([*train, *held]) == list(range(len(twins)))
        assert not set(twins["patient"].iloc[train]) & set(twins["patient"].iloc[held])


def saved(task: spine.Task, folder: Path, held: object) -> str:
    sides = np.where(np.isin(np.arange(len(task.y)), held), "validation", "train")
    save_split(task.records.assign(split=sides), folder / "split.json")
    return str(folder / "split.json")


def test_a_split_that_was_saved_is_taken_row_by_row_and_another_one_too(task: spine.Task, tmp_path: Path):
    train, held = spine.own_split(task.divided(""))
    again = task.divided(saved(task, tmp_path, held))
    for one, two in zip(spine.own_split(again), (train, held), strict=True):
        assert one.tolist() == two.tolist()
    assert again.columns == task.columns
    other = task.divided(saved(task, tmp_path, np.arange(0, 310, 7)))
    train, held = spine.own_split(other)
    assert sorted(held) == list(range(0, 310, 7)) and sorted([*train, *held]) == list(range(310))
    for taken in (spine.writeup_split(other), spine.writeup_split(task)):
        assert len(taken[1]) == 62  # other splits are drawn as ever


def test_all_seeds_train_on_the_split_that_was_given(task: spine.Task, tmp_path: Path):
    settings = Settings(epochs=2)
    own, given = (
        spine.many_seeds(part, range(2), settings).validation_loss
        for part in (task, task.divided(saved(task, tmp_path, spine.writeup_split(task)[1])))
    )
    np.testing.assert_array_equal(own, given)
    other = task.divided(saved(task, tmp_path, np.arange(0, 310, 7)))
    assert (spine.many_seeds(other, range(2), settings).validation_loss != own).any()


@pytest.mark.parametrize(
    ("held", "words"),
    [([], "found no record in validation"), (range(210), "found a training part of 100 patients and 1 classes")],
)
def test_a_split_that_cannot_train_is_refused(task: spine.Task, tmp_path: Path, held: object, words: str):
    with pytest.raises(InputError, match=words):
        task.divided(saved(task, tmp_path, [*held]))


def test_other_splits_are_decided_at_the_threshold_of_the_run(task: spine.Task):
    train, held = spine.writeup_split(task, seed=0)
    table = task.predictions(held, spine.logistic_regression(task, train, held))
    for threshold in (0.5, 0.8):
        of_splits = spine.split_effect(task, threshold, splits=1)
        assert of_splits["not stratified"] == pytest.approx([values(table, binary("Abnormal"), threshold)["f1"]])


def test_a_training_part_of_too_few_patients_is_refused(task: spine.Task):
    clumped = task.records.assign(patient=[f"p{row % 5}" for row in range(len(task.records))])
    with pytest.raises(InputError, match="training part of 4 patients and 2 classes"):
        spine.nested_folds(spine.Task(clumped, "Normal", "Abnormal"), repeats=1, seed=0)


def test_a_network_from_its_file_decides_as_before(task: spine.Task, tmp_path: Path):
    scaler, settings = StandardScaler().fit(task.x), Settings(hidden=8)
    network = SpineMLP(len(task.columns), settings.hidden).eval()
    data = {"name": "spine", "kind": "phantom", "sha256": "0" * 64}
    model = spine.exportable(task, network, scaler, settings, 0.3, data, {})
    save_model(tmp_path / "model.pt", network, model.about)
    loaded = load_model(tmp_path)
    with torch.inference_mode():
        before = torch.sigmoid(network(torch.tensor(scaler.transform(task.x)).float())).squeeze(1)
    after = loaded.probabilities(loaded.about.reads.tensor(task.records))
    np.testing.assert_allclose(after[:, 1], before, atol=1e-6)
    assert (loaded.about.classes, loaded.about.threshold) == (("Normal", "Abnormal"), 0.3)
    assert "parameter `threshold`" in loaded.card


@pytest.mark.parametrize(("printed", "batches"), [(89.5, 4), (90.75, 4), (95.688, 16), (96.688, 16)])
def test_the_published_figures_are_means_of_rounded_batches(printed: float, batches: int):
    """62 validation rows make 4 batches and 248 training rows 16; the printed figures are whole numbers over those."""
    assert (printed * batches) == pytest.approx(round(printed * batches), abs=0.01)


def test_the_written_metric_depends_on_the_order_of_the_rows():
    rng = np.random.default_rng(0)
    y, logits = (rng.random(62) < 0.68).astype(float), rng.normal(1, 1, 62)
    effect = spine.order_effect(y, logits, 16, orders=50, seed=0)
    assert 0 < effect["lowest"] < effect["pooled"] < effect["highest"] <= 1


def test_the_writeups_own_digits_are_means_over_its_batches():
    log = reported_values("spine_mlp")["log"]
    assert "25 have a validation F1" in (right := sentences.printed_digits(log, {"train": 16, "validation": 4}))
    assert "25 a training F1" in right
    assert "0 have a validation F1" in sentences.printed_digits(log, {"train": 15, "validation": 3})


def test_the_chance_of_ten_rows_without_error():
    assert spine.chance_of_a_perfect_sample(0, 62, 10) == 1
    assert spine.chance_of_a_perfect_sample(53, 62, 10) == 0
    assert spine.chance_of_a_perfect_sample(1, 62, 10) == pytest.approx(52 / 62)


def test_no_row_and_no_patient_is_on_two_sides_of_a_fold(task: spine.Task):
    twins = task.records.assign(patient=[f"p{row // 2}" for row in range(len(task.records))])
    folds = spine.nested_folds(spine.Task(twins, "Normal", "Abnormal"), repeats=2, seed=0)
    patient = twins["patient"].to_numpy()
    for _, *parts in folds:
        names = [set(patient[rows]) for rows in parts]
        assert not (names[0] & names[1] or names[0] & names[2] or names[1] & names[2])
    tested = np.concatenate(folds.test[:5])
    assert sorted(tested) == list(range(len(twins)))
    assert len({len(rows) for rows in folds.train}) == 1


def test_the_last_six_columns_are_noise_and_the_first_six_are_not(task: spine.Task):
    folds = spine.nested_folds(task, repeats=1, seed=0)
    area = {
        name: evaluate(spine.nested_baseline(task, folds, columns=columns), binary("Abnormal"), "cv", resamples=200)[
            "auroc"
        ]
        for name, columns in spine.feature_sets(task.columns).items()
    }
    assert area["last_six"].high < 0.65
    assert area["first_six"].value > 0.85
    report = spine.column_report(task).set_index("column")
    assert (report.loc[["Col1", "Col2", "Col4"], "explained"] > 0.9999).all()
    assert (report.loc["Col7":"Col12", "uniform_p"] > 0.001).all()
    assert (report.loc[["Col3", "Col6"], "uniform_p"] < 0.001).all()


def test_the_threshold_of_a_nested_network_is_chosen_on_its_inner_validation_part(task: spine.Task):
    folds = spine.nested_folds(task, repeats=1, seed=0)
    table, fitted = spine.nested_mlp(task, folds, Settings(epochs=3), seed=0)
    probability = fitted.predict(task.x)
    for replica, (_, train, validation, test) in enumerate(folds):
        assert not set(test) & {*train, *validation} and not set(train) & set(validation)
        part = table[table["record_id"].isin(task.records["record_id"].iloc[test])]
        assert part["threshold"].unique() == choose_threshold(task.y[validation], probability[replica, validation])


def test_importance_tells_the_columns_that_matter_from_noise(task: spine.Task):
    folds = spine.nested_folds(task, repeats=1, seed=0)
    _, fitted = spine.nested_mlp(task, folds, Settings(epochs=30, learning_rate=1e-3), seed=0)
    importance = spine.permutation_importance(task, folds, fitted, seed=0)
    lost = importance.set_index("column")["lost"]
    assert lost[["Col2", "Col5", "Col6"]].min() > lost[[f"Col{n}" for n in range(7, 13)]].max() + 0.03


@pytest.mark.real
def test_the_real_split_and_its_baselines_are_those_recomputed_from_the_published_data():
    task = spine.Task(open_spine()[0], "Normal", "Abnormal")
    train, held = spine.writeup_split(task)
    assert (task.y[held].sum(), (1 - task.y[held]).sum()) == (42, 20)
    assert task.y[held][:10].tolist() == [0, 1, 1, 0, 0, 1, 1, 1, 0, 1]
    line, most = (
        evaluate(task.predictions(held, guess(task, train, held)), binary("Abnormal"), "validation", resamples=10)
        for guess in (spine.logistic_regression, spine.majority)
    )
    assert (round(line["f1"].value, 3), round(line["accuracy"].value, 3)) == (0.902, 0.871)
    assert round(most["f1"].value, 3) == 0.808
