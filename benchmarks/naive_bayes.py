"""The naive Bayes classifier of QIIME 2, without QIIME 2: as q2-feature-classifier fits and uses it by default.

Counts of 7-mers, hashed to 8,192 features and divided by their Euclidean norm, go into scikit-learn's multinomial naive
Bayes with `alpha=0.001` and equal priors. The name is that of the most probable lineage, its confidence the sum of the
probabilities of all lineages with it. `identification_classifiers.py` runs

    python naive_bayes.py fit references.fasta
    python naive_bayes.py classify queries.fasta

in a folder: `fit` reads lineages from the headers, such as `p0;c3;o7;f12;g40;s51`, and writes `classifier.joblib`;
`classify` writes `names.npz`, the rows, taxa and confidences of queries whose headers are row numbers.
"""

import argparse
from pathlib import Path

import joblib
import numpy as np
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.naive_bayes import MultinomialNB
from sklearn.pipeline import Pipeline, make_pipeline

_CLASSIFIER, _NAMES = "classifier.joblib", "names.npz"
# As many as q2-feature-classifier takes at a time need more memory than it states; results do not depend on it.
_QUERIES = 2000


def read_fasta(path: str) -> tuple[list[str], list[str]]:
    """Headers and sequences of a file with one line for each."""
    lines = Path(path).read_text().splitlines()
    return [line[1:] for line in lines[::2]], lines[1::2]


def fit(lineages: list[str], sequences: list[str]) -> Pipeline:
    """A classifier of sequences; its classes are the lineages."""
    words = HashingVectorizer(analyzer="char_wb", n_features=8192, ngram_range=(7, 7), alternate_sign=False)
    return make_pipeline(words, MultinomialNB(alpha=0.001, fit_prior=False)).fit(sequences, lineages)


def classify(classifier: Pipeline, sequences: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """The most probable lineage of each sequence: numbers of its taxa, and their confidences, each `[n, ranks]`."""
    taxa = np.array([[int(name[1:]) for name in lineage.split(";")] for lineage in classifier.classes_])
    memberships = [np.eye(column.max() + 1)[column] for column in taxa.T]
    found, confidence = [], []
    for begin in range(0, len(sequences), _QUERIES):
        probabilities = classifier.predict_proba(sequences[begin : begin + _QUERIES])
        best = taxa[probabilities.argmax(axis=1)]
        found.append(best)
        sums = (
            np.take_along_axis(probabilities @ columns, taxon[:, None], axis=1)
            for columns, taxon in zip(memberships, best.T, strict=True)
        )
        confidence.append(np.concatenate(list(sums), axis=1))
    return np.concatenate(found), np.concatenate(confidence)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=("fit", "classify"))
    parser.add_argument("file", help="FASTA, each sequence on one line.")
    args = parser.parse_args()
    headers, sequences = read_fasta(args.file)
    if args.verb == "fit":
        joblib.dump(fit(headers, sequences), _CLASSIFIER)
    else:
        taxa, confidence = classify(joblib.load(_CLASSIFIER), sequences)
        np.savez(_NAMES, rows=np.array(headers, np.int64), taxa=taxa, confidence=confidence)


if __name__ == "__main__":
    main()
