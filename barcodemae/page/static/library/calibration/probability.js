// From evidence to probability: how often names with such evidence are right. As library/calibration/probability.py.

import { nearness } from "../search/evidence.js";

const NOVELTY = "novelty";

/** The features of a vote, in the order of the weights. */
const FEATURES = [
  (vote, settings) => nearness(vote.identity, settings.nearness),
  (vote) => vote.share,
  (vote, settings) => vote.margin / settings.margin_scale,
  (vote, settings) => vote.support / settings.margin_scale,
  (vote) => vote.gap,
  () => 1,
];

/** All probabilities of a result. */
export class Calibration {
  /**
   * @param {object} data content of the library's calibration file.
   * @param {object} settings no name has a lower probability than `min_probability`, and none is more certain than 1
   *   minus it; the prior counts as `prior_queries`; and the scales of the features.
   */
  constructor(data, settings) {
    const { weights, lengths, num_species: numSpecies } = data;
    Object.assign(this, { weights, lengths, numSpecies, settings });
  }

  /** The highest probability that the queries can show. */
  #limit(target, length) {
    const numQueries = this.numSpecies[target][length] + this.settings.prior_queries;
    return (numQueries + 1) / (numQueries + 2);
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
    let lineage = 1, limit = 1;
    for (const [rank, vote] of Object.entries(votes)) {
      if (vote.name >= 0) {
        lineage *= logistic(vote, this.weights[rank][length], this.settings);
        limit = Math.min(limit, this.#limit(rank, length));
      }
      found[rank] = Math.min(lineage, limit);
    }
    const isNew = 1 - logistic(votes.species, this.weights[NOVELTY][length], this.settings);
    found[NOVELTY] = votes.species.name >= 0 ? Math.min(isNew, 1 - found.species) : isNew;
    found[NOVELTY] = Math.min(found[NOVELTY], this.#limit(NOVELTY, length));
    const { min_probability: minimum } = this.settings;
    for (const target of Object.keys(found)) {
      const bounded = Math.min(Math.max(found[target], minimum), 1 - minimum);
      found[target] = Math.fround(bounded);
    }
    return found;
  }
}

function nearestLength(numBases, lengths) {
  const distances = lengths.map((length) => Math.abs(Math.log(Math.max(numBases, 1)) - Math.log(length)));
  return distances.indexOf(Math.min(...distances));
}

function logistic(vote, weights, settings) {
  if (weights.length !== FEATURES.length) throw new Error(`expected ${FEATURES.length} weights, got ${weights.length}`);
  return 1 / (1 + Math.exp(-FEATURES.reduce((sum, feature, i) => sum + feature(vote, settings) * weights[i], 0)));
}
