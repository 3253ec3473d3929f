// The evidence that the nearest references give on a query: how near they are, and for which lineage they vote.
// As library/search/evidence.py, for one query at a time. Numbers are rounded to single precision as there.

import { identity } from "./marker.js";

const { fround } = Math;

/**
 * A reference near a query.
 * @typedef {{record: number, similarity: number, identity: number, score: number}} Neighbour
 *
 * The name that wins the vote at a rank, and how clearly. Its name is -1, and the others are 0, where no voter has one.
 * @typedef {{name: number, identity: number, share: number, margin: number}} Vote
 */

/**
 * Orders candidates by cosine and bases together.
 * @param {import("./nearest.js").Hits} hits
 * @param {Int8Array} bases of the query.
 * @param {Int8Array[]} referenceBases of all references.
 * @returns {Neighbour[]} best first; the first `settings.num_voters` vote.
 */
export function chooseVoters(hits, bases, referenceBases, settings) {
  const neighbours = hits.records.map((record, i) => {
    const similarity = hits.similarities[i], equal = identity(bases, referenceBases[record]);
    return { record, similarity, identity: equal, score: fround(similarity + fround(settings.identity_weight * equal)) };
  });
  return neighbours.sort((a, b) => b.score - a.score);
}

/**
 * The lineage with most votes, from the highest rank down.
 * @param {Neighbour[]} neighbours best first.
 * @param {Object<string, Int32Array>} names rank, from the highest down -> number of each reference's name.
 * @returns {Object<string, Vote>}
 */
export function vote(neighbours, names, settings) {
  const voters = neighbours.slice(0, settings.num_voters);
  const weights = voters.map(({ score }) => fround(Math.exp(fround(fround(score - voters[0].score) / settings.vote_scale))));
  const isInLineage = voters.map(() => true);
  const found = {};
  for (const [rank, numbers] of Object.entries(names)) {
    const atRank = neighbours.map(({ record }) => numbers[record]);
    const won = (found[rank] = voteAtRank(neighbours, weights, atRank, isInLineage, settings));
    voters.forEach((_, i) => (isInLineage[i] &&= atRank[i] === won.name || atRank[i] < 0 || won.name < 0));
  }
  return found;
}

function voteAtRank(neighbours, weights, atRank, isInLineage, settings) {
  const votes = new Map(); // in the order of the voters, so that the nearest decides a tie
  let sum = 0;
  weights.forEach((weight, i) => {
    if (atRank[i] < 0) return;
    sum += weight;
    if (isInLineage[i]) votes.set(atRank[i], (votes.get(atRank[i]) ?? 0) + weight);
  });
  let name = -1;
  for (const [candidate, votesFor] of votes) if (name < 0 || votesFor > votes.get(name)) name = candidate;
  if (name < 0) return { name, identity: 0, share: 0, margin: 0 };
  let share = 0, identity = 0, bestFor = -Infinity, bestAgainst = -Infinity;
  neighbours.forEach((neighbour, i) => {
    if (atRank[i] === name) bestFor = Math.max(bestFor, neighbour.score);
    else if (atRank[i] >= 0) bestAgainst = Math.max(bestAgainst, neighbour.score);
    if (i < weights.length && atRank[i] === name) {
      share += weights[i];
      identity = Math.max(identity, neighbour.identity);
    }
  });
  const margin = fround(Math.min(fround(bestFor - bestAgainst), settings.max_margin));
  return { name, identity, share: fround(share / Math.max(sum, 1e-12)), margin };
}
