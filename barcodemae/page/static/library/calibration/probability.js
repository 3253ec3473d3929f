// From evidence to probability: how often names with such evidence are right. As library/calibration/probability.py.

const NOVELTY = "novelty";

const CHANCE = 0.25;
const MIN_BEYOND_CHANCE = 0.01;
const MIN_DIFFERENCE = 0.005;
const MARGIN_SCALE = 0.1;

/** The features of a vote, in the order of the weights. */
const FEATURES = [
  (vote) => Math.log(Math.max(vote.identity - CHANCE, MIN_BEYOND_CHANCE) / (1 + MIN_DIFFERENCE - vote.identity)),
  (vote) => vote.share,
  (vote) => vote.margin / MARGIN_SCALE,
  () => 1,
];

/** All probabilities of a result. */
export class Calibration {
  /**
   * @param {object} data content of the library's calibration file.
   * @param {number} minProbability no name has a lower probability, and none is more certain than 1 minus this.
   */
  constructor(data, minProbability) {
    Object.assign(this, { weights: data.weights, lengths: data.lengths, minProbability });
  }

  /**
   * Probabilities that the names are right, which do not rise from a rank to the next, and that the species is new.
   * @param {Object<string, import("../search/evidence.js").Vote>} votes on one lineage.
   * @param {number} numBases known bases of the query.
   * @returns {Object<string, number>} rank or "novelty" -> probability.
   */
  probabilities(votes, numBases) {
    const length = nearestLength(numBases, this.lengths);
    const found = {};
    let lineage = 1;
    for (const [rank, vote] of Object.entries(votes)) {
      if (vote.name >= 0) lineage *= logistic(vote, this.weights[rank][length]);
      found[rank] = lineage;
    }
    const isNew = 1 - logistic(votes.species, this.weights[NOVELTY][length]);
    found[NOVELTY] = votes.species.name >= 0 ? Math.min(isNew, 1 - lineage) : isNew;
    for (const target of Object.keys(found)) {
      const bounded = Math.min(Math.max(found[target], this.minProbability), 1 - this.minProbability);
      found[target] = Math.fround(bounded);
    }
    return found;
  }
}

function nearestLength(numBases, lengths) {
  const distances = lengths.map((length) => Math.abs(Math.log(Math.max(numBases, 1)) - Math.log(length)));
  return distances.indexOf(Math.min(...distances));
}

function logistic(vote, weights) {
  if (weights.length !== FEATURES.length) throw new Error(`expected ${FEATURES.length} weights, got ${weights.length}`);
  return 1 / (1 + Math.exp(-FEATURES.reduce((sum, feature, i) => sum + feature(vote) * weights[i], 0)));
}
