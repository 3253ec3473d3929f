// The evidence that the nearest references give on a query: how near they are, and for which lineage they vote.
// As library/search/evidence.py, for one query at a time. Numbers are rounded to single precision as there.

import { identity } from "./marker.js";

const { fround } = Math;

/**
 * A reference near a query; `among` is the identity of the best reference with another one that votes, otherwise 0.
 * @typedef {{record: number, similarity: number, identity: number, score: number, among: number}} Neighbour
 *
 * The name that wins the vote at a rank, and how clearly. Its name is -1, and the others are 0, where no voter has one.
 * @typedef {{name: number, identity: number, share: number, margin: number, support: number, gap: number}} Vote
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
    const score = fround(similarity + fround(settings.identity_weight * equal));
    return { record, similarity, identity: equal, score, among: 0 };
  });
  neighbours.sort((a, b) => b.score - a.score);
  for (const other of neighbours.slice(1, settings.num_voters)) {
    other.among = identity(referenceBases[neighbours[0].record], referenceBases[other.record]);
  }
  return neighbours;
}

/**
 * Log odds of an equal base beyond chance, as the first differing base matters more than the 30th.
 * @param {number} identity
 * @param {{chance: number, min_beyond_chance: number, min_difference: number}} limits
 * @param {function(number): number} round
 */
export function nearness(identity, limits, round = (value) => value) {
  const beyondChance = Math.max(round(identity - limits.chance), round(limits.min_beyond_chance));
  return round(Math.log(round(beyondChance / round(round(1 + limits.min_difference) - identity))));
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
    if (rank === "species") won.gap = gap(voters, won.name, atRank, settings);
    else won.support = support(neighbours, won.name, atRank, names.species, settings);
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
  if (name < 0) return { name, identity: 0, share: 0, margin: 0, support: 0, gap: 0 };
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
  return { name, identity, share: fround(share / Math.max(sum, 1e-12)), margin, support: 0, gap: 0 };
}

/** The margin of a name without the species of the best reference with the name. */
function support(neighbours, name, atRank, species, settings) {
  if (name < 0) return 0;
  const nearest = species[neighbours[atRank.indexOf(name)].record];
  if (nearest < 0) return 0;
  // A name of which there is no other candidate can be no nearer than the last one.
  let bestFor = Math.min(...neighbours.map(({ score }) => score)), bestAgainst = bestFor;
  neighbours.forEach(({ record, score }, i) => {
    if (atRank[i] === name && species[record] !== nearest) bestFor = Math.max(bestFor, score);
    if (atRank[i] !== name && atRank[i] >= 0) bestAgainst = Math.max(bestAgainst, score);
  });
  return fround(Math.min(Math.max(fround(bestFor - bestAgainst), -settings.max_margin), settings.max_margin));
}

/** How much nearer the query is to the references of a species than these are to each other, on average. */
function gap(voters, name, atRank, settings) {
  if (name < 0 || atRank[0] !== name) return 0;
  const others = voters.filter((_, i) => i > 0 && atRank[i] === name);
  const near = (identity) => nearness(identity, settings.nearness, fround);
  const sum = others.reduce((sum, one) => sum + near(one.identity) - near(one.among), 0);
  return fround(sum / Math.max(others.length, 1));
}
