// Places a barcode on its marker by a cross-correlation with the marker's profile. As tokenization/reference_frame.py,
// but sums are taken directly: for one barcode at a time, this is as quick as an FFT, and sums of integers are the same.

import { IndelFinder } from "./indels.js";
import { layOut } from "./placement.js";
import { reverseComplement } from "./sequences.js";

const TETRAHEDRON = [[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]];

// A start is given up when the remaining bases cannot make it the best: that is checked after so many pairs of bases.
const PAIRS = 24;
// A first guess of the best start is by each so many-th pair.
const SAMPLED = 12;

/**
 * The placement of a sequence on the frame: coordinate of its first base as read on its strand, the strand (+1 or -1),
 * the score, and the parts of which the bases have no coordinate.
 * @typedef {{start: number, strand: number, score: number, parts: import("./indels.js").UnplacedPart[]}} Placement
 */

export class ReferenceFrame {
  /**
   * @param {Float32Array} profile `[length, 4]`, frequencies of A, C, G and T at each coordinate.
   * @param {number} minScore minimum score of a sequence that is accepted as the marker.
   * @param {{frame: {weight_scale: number}, indels: object}} settings
   */
  constructor(profile, minScore, settings) {
    this.length = profile.length / 4;
    this.minScore = Math.fround(minScore);
    this.indelFinder = new IndelFinder(profile, settings.indels);
    this.weights = new Int32Array(4 * this.length);
    this.largestSums = new Int32Array(this.length + 1);
    for (let c = 0; c < this.length; c++) {
      const signal = [0, 1, 2].map((channel) =>
        rint(TETRAHEDRON.reduce((sum, corner, base) => sum + profile[4 * c + base] * corner[channel], 0) * settings.frame.weight_scale));
      for (let base = 0; base < 4; base++) {
        this.weights[4 * c + base] = signal.reduce((sum, one, channel) => sum + one * TETRAHEDRON[base][channel], 0);
      }
      this.largestSums[c + 1] = this.largestSums[c] + Math.max(0, ...this.weights.subarray(4 * c, 4 * c + 4));
    }
    this.#sumWeights();
    this.pairWeights = pairWeights(this.weights, this.length);
  }

  /** Cumulative sums of weights, and of their products, give mean and variance for random bases on any interval. */
  #sumWeights() {
    this.weightSums = new Float64Array(4 * (this.length + 1));
    this.productSums = new Float64Array(16 * (this.length + 1));
    for (let c = 0; c < this.length; c++) {
      for (let a = 0; a < 4; a++) {
        this.weightSums[4 * (c + 1) + a] = this.weightSums[4 * c + a] + this.weights[4 * c + a];
        for (let b = 0; b < 4; b++) {
          const product = this.weights[4 * c + a] * this.weights[4 * c + b];
          this.productSums[16 * (c + 1) + 4 * a + b] = this.productSums[16 * c + 4 * a + b] + product;
        }
      }
    }
  }

  accepts(placement) {
    return placement.score >= this.minScore;
  }

  /**
   * Finds start and strand at which a sequence agrees best with the profile, and its insertions and deletions.
   * @param {Int8Array} codes of the sequence.
   * @returns {Placement}
   */
  place(codes) {
    const others = reverseComplement(codes);
    const strands = [
      { strand: 1, read: codes, pairs: pairCodes(codes), starts: forwardOrder(codes.length, this.length) },
      { strand: -1, read: others, pairs: pairCodes(others), starts: reverseOrder(codes.length, this.length) },
    ];
    const [{ read }] = strands;
    let best = { start: 0, strand: 1, read, total: Math.max(0, ...strands.map((one) => this.#guess(one) - 1)) };
    for (const { strand, read, pairs, starts } of strands) {
      for (const start of starts) {
        const total = this.#total(pairs, start, best.total);
        if (total > best.total) best = { start, strand, read, total };
      }
    }
    const score = this.#standardize(best.total, best.start, best.read);
    const placement = { start: best.start, strand: best.strand, score, parts: [] };
    if (this.accepts(placement) && this.indelFinder.isSuspect(layOut(codes, placement, this.length))) {
      Object.assign(placement, this.indelFinder.find(best.read, best.start));
    }
    return placement;
  }

  /** The total at the start that fits a sample of the bases best: nearly always the largest one. */
  #guess({ pairs, starts }) {
    let best = { start: 0, total: -Infinity };
    for (const start of starts) {
      const total = this.#total(pairs, start, -Infinity, SAMPLED);
      if (total > best.total) best = { start, total };
    }
    return this.#total(pairs, best.start, -Infinity);
  }

  /**
   * The sum of weights of a sequence that begins at a start, of each pair of bases or of each `step`-th; or -Infinity
   * as soon as it cannot exceed the minimum.
   */
  #total(pairs, start, minimum, step = 1) {
    const { pairWeights, length } = this;
    // Pair i is at coordinates start + 2 i and the next; coordinate -1 has a row of weights too.
    const end = Math.min(pairs.length, Math.ceil((length - start) / 2));
    const largest = this.largestSums[Math.min(Math.max(start + 2 * end, 0), length)];
    let total = 0;
    for (let i = Math.max(0, Math.ceil((-1 - start) / 2)); i < end; ) {
      if (total + largest - this.largestSums[Math.max(start + 2 * i, 0)] <= minimum) return -Infinity;
      const endOfBlock = Math.min(i + PAIRS * step, end);
      for (let row = 25 * (start + 2 * i + 1); i < endOfBlock; i += step, row += 50 * step) total += pairWeights[row + pairs[i]];
    }
    return total;
  }

  /** A total in standard deviations from that of random bases of the same composition. */
  #standardize(total, start, codes) {
    const shares = new Float64Array(4);
    for (const code of codes) if (code >= 0) shares[code]++;
    for (let base = 0; base < 4; base++) shares[base] /= Math.max(codes.length, 1);
    const begin = clip(start, 0, this.length), end = clip(start + codes.length, 0, this.length);
    let mean = 0, meanSquare = 0, squareMean = 0;
    for (let a = 0; a < 4; a++) {
      mean += (this.weightSums[4 * end + a] - this.weightSums[4 * begin + a]) * shares[a];
      for (let b = 0; b < 4; b++) {
        const products = this.productSums[16 * end + 4 * a + b] - this.productSums[16 * begin + 4 * a + b];
        if (a === b) meanSquare += products * shares[a];
        squareMean += products * shares[a] * shares[b];
      }
    }
    return Math.fround((total - mean) / Math.sqrt(Math.max(meanSquare - squareMean, 1)));
  }
}

/** The weights of two adjacent bases, `[length + 1, 25]`, from coordinate -1 on: half as many to look up. */
function pairWeights(weights, length) {
  const at = (coordinate, code) => (coordinate < 0 || coordinate >= length || code > 3 ? 0 : weights[4 * coordinate + code]);
  const pairs = new Int16Array(25 * (length + 1));
  for (let row = 0; row <= length; row++) {
    for (let pair = 0; pair < 25; pair++) pairs[25 * row + pair] = at(row - 1, Math.floor(pair / 5)) + at(row, pair % 5);
  }
  return pairs;
}

function pairCodes(codes) {
  const pairs = new Uint8Array(Math.ceil(codes.length / 2));
  const known = (i) => (i < codes.length && codes[i] >= 0 ? codes[i] : 4);
  for (let i = 0; i < pairs.length; i++) pairs[i] = 5 * known(2 * i) + known(2 * i + 1);
  return pairs;
}

// The order of starts in the correlations of the Python module, where the first of equal totals is taken.
function forwardOrder(numBases, length) {
  return Int32Array.from({ length: numBases + length - 1 }, (_, i) => (i < numBases ? -i : numBases + length - 1 - i));
}

function reverseOrder(numBases, length) {
  return Int32Array.from({ length: numBases + length - 1 }, (_, i) => i + 1 - numBases);
}

const clip = (value, minimum, maximum) => Math.min(Math.max(value, minimum), maximum);

/** Rounded to the nearest integer, halves to the even one. */
function rint(value) {
  const rounded = Math.round(value);
  return rounded - value === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded;
}
