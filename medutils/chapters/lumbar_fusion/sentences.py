"""What a run of the fusion chapter chooses to say. Each clause takes the numbers of a run."""

import re
from collections.abc import Sequence
from math import isnan

import pandas as pd

from medutils.chapters.lumbar_fusion.finding import AREA
from medutils.data.spider import Spider
from medutils.evaluation import Estimate, number, verdict
from medutils.evidence import Numbers
from medutils.evidence.words import Clause, as_start
from medutils.tables import markdown_safe
from medutils.training.remedies import REFERENCE

LOSS = "log_loss"
NOT_YET = "**The claims of this chapter have not been run on real data yet.** What stands below is of this run."
ARCHITECTURES = {
    "sets": "attention over sets (1.1)",
    "regions": "attention over regions (1.2)",
    "slices": "no fusion (2)",
}
NETWORKS = {
    "nothing": "nothing (training mean)",
    "zero": "vector of zeros",
    "neutral": "learned neutral vector",
    "dynamic": "dynamic weights",
    "modality_dropout": "series removed in training",
    "pseudo": "pseudo-modality (DAE)",
    "pseudo_vae": "pseudo-modality (VAE)",
    "pseudo_attention_vae": "pseudo-modality (attention VAE)",
    "l2": "dynamic with L2 alone",
    "dropout": "dynamic with dropout alone",
    "unregularised": "dynamic with neither",
    "best single series": "best single series",
    "late fusion": "late fusion",
    "prior": "no picture",
}
FINDINGS = {
    "pfirrmann": "worn disc (Pfirrmann 4 or 5)",
    "narrowing": "narrowing",
    "bulging": "bulging",
    "herniation": "herniation",
    "modic": "Modic changes",
    "upper_endplate": "upper end plate",
    "lower_endplate": "lower end plate",
    "spondylolisthesis": "spondylolisthesis",
}
WHOLE_STUDY = "sagittal_t1+sagittal_t2+axial_t2"
LEFT_OF = {  # what is left of a study's series, of patients and of phantom studies
    "spider": {
        "t1+t2": "T1 and T2",
        "t2": "T2 alone",
        "t1": "T1 alone",
        "as it is": "as it is",
        "at random": "at random",
    },
    "phantoms": {
        WHOLE_STUDY: "all three",
        "sagittal_t1+sagittal_t2": "no axial",
        "sagittal_t1+axial_t2": "no sagittal T2",
        "sagittal_t2+axial_t2": "no sagittal T1",
        "sagittal_t1": "sagittal T1",
        "sagittal_t2": "sagittal T2",
        "axial_t2": "axial T2",
        "at random": "at random",
    },
}
CURVES = {"spider": ("patients", "t1+t2"), "phantoms": ("phantom studies", WHOLE_STUDY)}
MISSING = "series missing"
MAIN = "sets"  # the architecture that sentences are about where they name none
RANDOM = "at random"
REGULARISED = {"dropout": "dropout alone", "l2": "L2 alone", REFERENCE: "both"}
EMBEDDERS = {
    "lite0": "Lite0",
    "resnet50": "ResNet-50",
    "resnet152": "ResNet-152 and its head",
    "projection": "random projection of the pixels",
    "noise": "noise",
}
COMPARED = re.compile("(spider|embedders)_(?!.*_prior_).*_over_")  # names of differences between two networks
CONDITIONS = {
    "spinal_canal_stenosis": "canal",
    "neural_foraminal_narrowing": "foramina",
    "subarticular_stenosis": "recesses",
}
PARTS_OF_STUDY = {
    "sagittal_t1": "sagittal T1",
    "sagittal_t2": "sagittal T2",
    "axial_t2": "axial T2",
    WHOLE_STUDY: "all three",
}


def key(*words: str) -> str:
    """The name under which a run keeps something."""
    return "_".join(re.sub(r"\W+", "_", word) for word in words)


def area(n: Numbers, *words: str) -> Estimate:
    """AUROC of a finding within its disc or level, the mean over targets."""
    return n.metric(f"{key(*words)}.{AREA}")


def told(change: Estimate) -> str:
    """A difference and what its interval allows to be said."""
    said = {"above": "higher", "below": "lower", "holds 0": "no difference shown", "undefined": "not defined"}
    return f"{change}, {said[verdict(change)]}"


def origin(spider: Spider, on_what: str) -> str:
    """What this run was made from."""
    if on_what == "phantom":
        return (
            "**This run was made from a phantom**: spines computed by a program, as mid-sagittal slices of a T1 and a "
            "T2 series, and as whole DICOM studies. It says nothing about patients."
        )
    return f"This run was made from real data ({markdown_safe(spider.located.name)}), and from phantom studies."


# --- the first screen -------------------------------------------------------------------------------------------------


def answer(n: Numbers) -> str:
    """The first screen."""
    whole = area(n, "spider", MAIN, REFERENCE, "t1+t2")
    if isnan(whole.value):
        return NOT_YET
    gains = _gains(n)
    return (
        f"A network that fuses T1 and T2 of {number(n.number('spider/patients'), '.0f')} real patients ranks discs by "
        f"whether a finding is there with an AUROC of {whole}; shares by disc, without a picture, have "
        f"{area(n, 'spider', MAIN, 'prior', 't1+t2')}. **{as_start(lost(n))}.** {_with_one_gone(n)}"
        f"{as_start(gains)}{'.' if gains else ''}"
    )


def _with_one_gone(n: Numbers) -> str:
    """What three of the remedies have with one of two series missing, where that was run."""
    parts = []
    for network in (REFERENCE, "modality_dropout", "pseudo"):
        one = area(n, "spider", MAIN, network, "1 missing")
        if isnan(one.value):
            return ""
        parts.append(f"{number(one.value, '.3f')} with {NETWORKS[network]}")
    return f"With one of the two gone it is {', '.join(parts)}. "


def lost(n: Numbers) -> str:
    """What is lost with a series."""
    return (
        f"without T2 AUROC changes by {area(n, 'spider', MAIN, 't1', 'over_all')}, without T1 by "
        f"{area(n, 'spider', MAIN, 't2', 'over_all')}"
    )


def remedy_gains(n: Numbers, start: str = "spider", left: str = RANDOM) -> dict[str, Estimate]:
    """Every remedy and baseline minus dynamic weights where series are missing at random, by architecture and name."""
    found = {
        f"{words}, {name}": area(n, start, architecture, network, left, "over", REFERENCE)
        for architecture, name in ARCHITECTURES.items()
        for network, words in NETWORKS.items()
        if network not in (REFERENCE, "prior")
    }
    return {words: one for words, one in found.items() if not isnan(one.value)}


def _gains(n: Numbers, start: str = "spider") -> str:
    gains = remedy_gains(n, start)
    if not gains:
        return ""
    remedies = {words: one for words, one in gains.items() if not words.startswith(("late", "best", "nothing"))}
    better = [words for words, one in remedies.items() if verdict(one) == "above"]
    worse = [words for words, one in remedies.items() if verdict(one) == "below"]
    alike = len(remedies) - len(better) - len(worse)
    said = (
        f"of {len(remedies)} comparisons of a remedy with dynamic weights, series missing at random, "
        f"{len(better)} came out better and {len(worse)} worse; in the other {alike} no difference could be shown"
    )
    if better:
        said += f". Better: {_by_remedy(better)}"
    if worse:
        said += f". Worse: {_by_remedy(worse)}"
    without = {words.partition(", ")[2]: one for words, one in gains.items() if words.startswith("nothing")}
    lost_so = [f"{words}: {one}" for words, one in without.items() if verdict(one) == "below"]
    if lost_so:
        said += f". Doing nothing costs {'; '.join(lost_so)}"
    return said


def in_short(pair: str) -> str:
    """A name of `remedy_gains` with the number of the architecture alone: `1.1: vector of zeros`."""
    remedy, _, architecture = pair.partition(", ")
    return f"{architecture.rpartition('(')[2].rstrip(')')}: {remedy}"


def _by_remedy(pairs: Sequence[str]) -> str:
    """Remedies, each with the numbers of the architectures, from names as `remedy_gains` gives them."""
    found: dict[str, list[str]] = {}
    for pair in pairs:
        architecture, _, remedy = in_short(pair).partition(": ")
        found.setdefault(remedy, []).append(architecture)
    return "; ".join(f"{remedy} in {', '.join(numbers)}" for remedy, numbers in found.items())


def takeaways(n: Numbers) -> list[str]:
    """What a reader should keep, each with its number; empty without a reference run."""
    if isnan(area(n, "spider", MAIN, REFERENCE, "t1+t2").value):
        return []
    said = [f"{_of_both(n)}.", f"{as_start(regularised(n))}.", f"{as_start(powered(n))}."]
    if not isnan(area(n, "tuned", MAIN, REFERENCE, "t1").value):
        said.append(f"{as_start(tuned(n))}.")
    if not isnan(area(n, "phantoms", MAIN, REFERENCE, "1 missing").value):
        said.append(f"On phantom studies of three series {remedied_on_phantoms(n).partition('. Better')[0]}.")
    asked = n.metric("absent_t1_t2_ridge.relative")
    if not isnan(asked.value):
        said.append(
            "Asked for an absent T2, the write-up's autoencoder has "
            f"{n.metric('absent_t1_t2_dae_as_written.relative')} times the error of the training mean, a linear "
            f"regression {asked}."
        )
    return said


def _of_both(n: Numbers) -> str:
    late = area(n, "spider", MAIN, "late fusion", "t1+t2", "over", REFERENCE)
    best = area(n, "spider", MAIN, "best single series", "t1+t2", "over", REFERENCE)
    return (
        f"With both series there, late fusion minus the fusing network is {told(late)}; the best single series minus "
        f"it is {told(best)}"
    )


# --- clauses ----------------------------------------------------------------------------------------------------------


def composed(n: Numbers) -> str:
    """Who has which series, and how often each is held out."""
    having = n.results.get("experiments", {}).get("spider", {}).get("having", {})
    parts = [f"{count} have {name.replace('_', ' ').upper()}" for name, count in having.items()]
    given = n.results.get("parameters", {})
    times = f"; divisions into {given['folds']} folds: {given['repeats']}" if given else ""
    return f"of {number(n.number('spider/patients'), '.0f')} patients {', '.join(parts)}{times}"


def subsets_told(n: Numbers) -> str:
    """What each architecture has with both series and with one."""
    parts = []
    for architecture, words in ARCHITECTURES.items():
        both, t2, t1 = (area(n, "spider", architecture, REFERENCE, left) for left in ("t1+t2", "t2", "t1"))
        if not isnan(both.value):
            parts.append(
                f"{words}: {number(both.value, '.3f')} with both, {number(t2.value, '.3f')} with T2 alone and "
                f"{number(t1.value, '.3f')} with T1 alone"
            )
    return f"AUROC is, by architecture, {'; '.join(parts)}" if parts else "no network was trained"


def chosen(n: Numbers) -> str:
    """Which settings the folds took."""
    taken = n.results.get("experiments", {}).get("spider", {}).get("chosen", {})
    if not taken:
        return "no network was trained"
    parts = [f"{name} ({count})" for name, count in taken.items()]
    return (
        "each fold chose for each architecture, on a part of its own training patients, so many components of a token "
        f"and a learning rate (in brackets how often): {'; '.join(parts)}"
    )


def embedder_gains(n: Numbers) -> dict[str, Estimate]:
    """Every other embedder minus ImageNet's Lite0, both series there, by its name and the way to fuse."""
    found = {
        f"{words}; {way}": area(n, "embedders", name, network, "over", "lite0")
        for network, way in {REFERENCE: "fusion", "late fusion": "late fusion"}.items()
        for name, words in EMBEDDERS.items()
    }
    return {words: one for words, one in found.items() if not isnan(one.value)}


def embedded(n: Numbers) -> str:
    """Fusion of other embeddings."""
    gains = {words.partition("; ")[0]: one for words, one in embedder_gains(n).items() if words.endswith("; fusion")}
    if not gains:
        return "no network was trained on other embeddings"
    fresh = [
        EMBEDDERS[name]
        for name, weights in n.results.get("experiments", {}).get("embedders", {}).get("weights", {}).items()
        if "fresh" in weights and "resnet" in weights
    ]
    parts = "; ".join(f"{words} {told(one)}" for words, one in gains.items())
    said = f"fusion minus that of Lite0's embeddings, by embedder: {parts}"
    return f"{said}. Weights that were never trained: {' and '.join(fresh)}" if fresh else said


def remedied(n: Numbers) -> str:
    """Which remedies help."""
    return _gains(n) or "no remedy was compared"


def remedied_on_phantoms(n: Numbers) -> str:
    """Which remedies help on phantom studies, and what a missing series costs there."""
    gains = _gains(n, "phantoms")
    if not gains:
        return "no remedy was compared on phantom studies"
    by_number = [area(n, "phantoms", MAIN, REFERENCE, left) for left in (WHOLE_STUDY, "1 missing", "2 missing")]
    values = ", ".join(number(one.value, ".3f") for one in by_number)
    return f"AUROC with dynamic weights is {values} with none, one and two of three series missing; {gains}"


def powered(n: Numbers) -> str:
    """What these patients could have shown."""
    shown = n.results.get("experiments", {}).get("spider_power", {}).get("detectable", {})
    values = [
        value
        for name, value in shown.items()
        if name.endswith(f"{key(RANDOM)}_over_{REFERENCE}") and "prior" not in name and value is not None
    ]
    if not values:
        return "the power was not computed"
    return (
        f"{number(n.number('spider/patients'), '.0f')} patients would have shown, four times in five, a difference of "
        f"{min(values):.3f} to {max(values):.3f} in AUROC between two remedies"
    )


def regularised(n: Numbers) -> str:
    """What dropout and L2 give back."""
    gains = {
        (architecture, network): area(n, "spider", architecture, network, RANDOM, "over", "unregularised")
        for architecture in ARCHITECTURES
        for network in REGULARISED
    }
    known = {pair: one for pair, one in gains.items() if not isnan(one.value)}
    if not known:
        return "no network was trained without dropout and L2"
    better = sum(verdict(one) == "above" for one in known.values())
    both = [f"{ARCHITECTURES[of]}: {told(one)}" for (of, network), one in known.items() if network == REFERENCE]
    return (
        f"dropout, L2 or both came out better than neither in {better} of {len(known)} comparisons, series missing at "
        f"random; both minus neither is {'; '.join(both)}"
    )


def compared(n: Numbers) -> str:
    """How many comparisons there are on real patients."""
    names = [name.removesuffix(f".{AREA}") for name in n.results.get("metrics", {}) if name.endswith(AREA)]
    pairs = [area(n, name) for name in names if name.startswith("tuned_") or COMPARED.match(name)]
    if not pairs:
        return "no network was compared with another one"
    beyond = sum(verdict(one) in ("above", "below") for one in pairs)
    return (
        f"networks are compared {len(pairs)} times on these patients, without a correction for their number; if no two "
        f"differed, about {len(pairs) / 20:.0f} intervals would miss 0 by chance, and {beyond} do"
    )


def late(n: Numbers) -> str:
    """Fusion against late fusion."""
    parts = []
    for architecture, words in ARCHITECTURES.items():
        gain = area(n, "spider", architecture, "late fusion", "t1+t2", "over", REFERENCE)
        if not isnan(gain.value):
            parts.append(f"{words}: {told(gain)}")
    return f"late fusion minus fusion, both series there, is {'; '.join(parts)}" if parts else "nothing was compared"


def by_finding(n: Numbers) -> str:
    """AUROC of each finding."""
    parts = [
        f"{words} {area(n, 'spider', finding, REFERENCE)}"
        for finding, words in FINDINGS.items()
        if not isnan(area(n, "spider", finding, REFERENCE).value)
    ]
    return f"AUROC within a disc is {', '.join(parts)}" if parts else "no finding was measured"


def needs(n: Numbers) -> pd.DataFrame:
    """Phantoms: AUROC of each condition (rows) by the series that are left (columns); empty where it was not run."""
    rows = {
        words: {shown: area(n, "phantoms_needs", condition, left).value for left, shown in PARTS_OF_STUDY.items()}
        for condition, words in CONDITIONS.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index").dropna(how="all")


def needed(n: Numbers) -> str:
    """Which series shows which condition, on phantom studies."""
    table = needs(n)
    if not len(table):
        return "no phantom study was asked about"
    parts = []
    for name, row in table[[*PARTS_OF_STUDY.values()][:3]].iterrows():
        best = str(row.idxmax())
        others = ", ".join(f"{value:.2f}" for value in row.drop(best))
        parts.append(f"the {name} by the {best} ({row[best]:.2f}; the others {others})")
    return f"of single series one tells most, {', '.join(parts)}"


def looked(n: Numbers) -> str:
    """Whether attention lies near the narrowing, on phantom studies."""
    parts = []
    for series in [*PARTS_OF_STUDY][:3]:
        weight, uniform = (n.metric(f"{key('looks', 'slices', series)}.{end}") for end in ("weight", "uniform"))
        if not isnan(weight.value):
            parts.append(
                f"{PARTS_OF_STUDY[series]} {number(weight.value, '.2f')}, where equal weights have "
                f"{number(uniform.value, '.2f')} (difference "
                f"{n.metric(key('looks', 'slices', series) + '.over_uniform')})"
            )
    if not parts:
        return "no attention was looked at"
    return f"of the attention this much lies within 6 mm of a narrowing: {'; '.join(parts)}"


def tuned(n: Numbers) -> str:
    """Whether features learned on the challenge's T1 slices help."""
    alone, both = (area(n, "tuned", MAIN, REFERENCE, left) for left in ("t1", "t1+t2"))
    return (
        "T1 features learned on the challenge's slices in place of ImageNet's change AUROC by "
        f"{told(alone)}, of T1 alone, and by {told(both)}, of both series"
    )


def three_series(n: Numbers) -> str:
    """The patients with a T2 SPACE series."""
    having = n.results.get("experiments", {}).get("three", {}).get("having", {}).get("t2_space", 0)
    values = [
        f"{words} {area(n, 'three', MAIN, REFERENCE, left)}"
        for words, left in {
            "all three": "t1+t2+t2_space",
            "T1 and T2": "t1+t2",
            "T2 SPACE alone": "t2_space",
        }.items()
    ]
    areas = ", ".join(values)
    return f"{having} patients have a T2 SPACE series too; AUROC is, of the patients who have them, with {areas}"


def decided(n: Numbers) -> str:
    """The decision curve in words."""
    curve = decision_table(n)
    if not len(curve):
        return "no decision curve was drawn"
    gain = curve[curve["strategy"].str.contains("minus")]
    helps = gain.loc[gain["low"] > 0, "threshold"]
    if not len(helps):
        return (
            "at no threshold does reading again the discs that the network names have a net benefit above that of "
            "reading all again, or none"
        )
    return (
        "reading again the discs that the network names is worth more than reading all again, or none, at thresholds "
        f"of {helps.min():.2f} to {helps.max():.2f}"
    )


def decision_table(n: Numbers) -> pd.DataFrame:
    """Net benefit by threshold and strategy; empty where it was not run."""
    return pd.DataFrame(n.results.get("experiments", {}).get("decisions", {}).get("curve", []))


def modelled(n: Numbers) -> str:
    """What the exported model costs without a series."""
    return (
        f"the exported model has a weighted log loss of {n.metric('model.weighted_log_loss')} on "
        f"{number(n.number('model/test'), '.0f')} studies that it did not learn from"
    )


CLAUSES: tuple[Clause, ...] = (
    composed,
    chosen,
    subsets_told,
    embedded,
    remedied,
    remedied_on_phantoms,
    regularised,
    powered,
    late,
    compared,
    by_finding,
    needed,
    looked,
    tuned,
    three_series,
    decided,
    modelled,
)


# --- tables -----------------------------------------------------------------------------------------------------------


def remedy_panels(n: Numbers, start: str = "spider") -> dict[str, pd.DataFrame]:
    """AUROC by remedy (rows) and what is left (columns), a panel an architecture; without those that were not run."""
    panels = {}
    for architecture, name in ARCHITECTURES.items():
        rows = {
            words: {shown: area(n, start, architecture, network, left).value for left, shown in LEFT_OF[start].items()}
            for network, words in NETWORKS.items()
        }
        table = pd.DataFrame.from_dict(rows, orient="index").dropna(how="all")
        if len(table):
            panels[name] = table
    return panels


def phantom_panels(n: Numbers) -> dict[str, pd.DataFrame]:
    """The same of phantom studies."""
    return remedy_panels(n, "phantoms")


def missing_estimates(n: Numbers) -> dict[str, pd.DataFrame]:
    """AUROC by how many series are missing (rows) and remedy (columns), of patients and of phantom studies."""
    panels = {}
    for start, (name, whole) in CURVES.items():
        table = pd.DataFrame(
            {
                words: {gone: area(n, start, MAIN, network, f"{gone} missing" if gone else whole) for gone in range(3)}
                for network, words in NETWORKS.items()
                if network not in ("dropout", "l2", "unregularised")
            }
        )
        known = table.map(lambda one: not isnan(one.value))
        table = table.loc[known.any(axis=1), known.any()].rename_axis(MISSING)
        if len(table):
            panels[name] = table
    return panels


def missing_curves(n: Numbers) -> dict[str, pd.DataFrame]:
    """The values of `missing_estimates`, as curves; what needs no picture would flatten the others."""
    return {
        name: table.drop(columns=NETWORKS["prior"], errors="ignore").map(lambda one: one.value).reset_index()
        for name, table in missing_estimates(n).items()
    }


def missing_table(n: Numbers) -> pd.DataFrame:
    """The same with intervals by patient: a row a remedy."""
    tables = {name: table.map(str).T for name, table in missing_estimates(n).items()}
    if not tables:
        return pd.DataFrame()
    joined = pd.concat(tables, axis=1)
    joined.columns = [f"{name}, {gone} missing" for name, gone in joined.columns]
    return joined.fillna("–")
