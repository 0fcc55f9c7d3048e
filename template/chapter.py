# %% title [markdown]
# # New chapter
#
# **The question of the chapter, put so that the reader can guess.**
#
# *Not for clinical use: research and teaching only.*

# %% parameters tags=["parameters"]
profile: str = "demo"  # smoke, demo or full
data: str = "auto"  # auto, phantom, or the path of your own table
split: str = ""  # split.json of another run; empty for a split of its own
out: str = ""  # folder for the results; empty for none
seed: int = 0  # the one number that all randomness comes from
resamples: int = 2000  # bootstrap resamples behind each interval
held_out: float = 0.3  # share of the patients that are test patients

# %% load
from pathlib import Path

from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from medutils import chapters, evaluation, evidence, plots
from medutils.data.spine import features, open_spine
from medutils.data.splits import given_split, split_by_patient
from medutils.page import Page
from medutils.tables import predictions_table

name, question = "new_chapter", evaluation.binary("Abnormal", "Normal")
p = chapters.read(name, globals())
records, located = open_spine(p.data)
results = evidence.Results(name, p.model_dump(), located, question)
page = Page(results.on_what)
results.experiment("data", rows=len(records))

# %% fit
shares = {"train": 1 - p.held_out, "test": p.held_out}
if p.split:
    results.split = given_split(records, Path(p.split), tuple(shares))
else:
    results.split = split_by_patient(records, shares, p.seed)
train, test = (results.split.query("split == @part") for part in shares)
x, ill = features(records), train["label"] == "Abnormal"
model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
chance = model.fit(train[x], ill).predict_proba(test[x])[:, 1]

# %% judge
guesses = predictions_table(test, chance, "Normal", "Abnormal")
found = results.judge("logistic_regression", guesses, "test")
auroc = {"logistic regression": found["auroc"]}
figure = plots.intervals(auroc, "AUROC", "Ranking of the test patients")
page.show(figure, f"AUROC of logistic regression: {found['auroc']}")
page.say(f"Logistic regression reaches an AUROC of {found['auroc']}.")

# %% claims
claims = evidence.shown(results.ledger(), results.on_what)
page.table(claims, "What the write-up states, beside ours")
results.write(p.out)
