// Insertions and deletions: the pieces of a barcode that does not fit its marker's frame in one piece are placed each.
// As tokenization/indels.py, which has the settings and their reasons. Sums are rounded to single precision as there.

const BLOCK = 8;

const { fround } = Math;

/**
 * A part of a sequence of which the bases do not each lie on a coordinate: bases begin to end (exclusive) of the
 * sequence as read on its strand take `length` coordinates.
 * @typedef {{begin: number, end: number, length: number}} UnplacedPart
 */

export const isIndel = (part) => part.end - part.begin !== part.length;

/** Places barcodes with a few insertions and deletions on a marker's profile. */
export class IndelFinder {
  /**
   * @param {Float32Array} profile `[length, 4]`, frequencies of A, C, G and T at each coordinate.
   * @param {object} settings the constants of tokenization/indels.py, in lower case.
   */
  constructor(profile, settings) {
    this.settings = settings;
    this.numShifts = 2 * settings.max_shift + 1;
    this.length = profile.length / 4;
    this.numBlocks = Math.ceil(this.length / BLOCK);
    this.width = this.numBlocks * BLOCK;
    this.scores = new Float32Array(5 * this.width); // the last column is that of an unknown base
    this.consensus = new Int8Array(this.length).fill(-1);
    for (let c = 0; c < this.length; c++) {
      const frequencies = profile.subarray(4 * c, 4 * c + 4);
      const rest = fround(1 - frequencies.reduce((sum, one) => fround(sum + one), 0)) / 4;
      let best = 0;
      for (let base = 0; base < 4; base++) {
        const mixed = fround(fround(4 * (1 - this.settings.uniform_share)) * fround(frequencies[base] + rest));
        this.scores[5 * c + base] = Math.log2(fround(mixed + fround(this.settings.uniform_share)));
        if (frequencies[base] > frequencies[best]) best = base;
      }
      if (frequencies[best] >= fround(this.settings.conserved)) this.consensus[c] = best;
    }
  }

  /** Whether a barcode, laid out by coordinate, differs from the conserved bases as those with an indel do. */
  isSuspect(bases) {
    const compared = new Uint16Array(this.numBlocks);
    const different = new Uint16Array(this.numBlocks);
    for (let c = 0; c < this.length; c++) {
      if (bases[c] < 0 || this.consensus[c] < 0) continue;
      compared[c >> 3]++;
      if (bases[c] !== this.consensus[c]) different[c >> 3]++;
    }
    return this.settings.windows.some(([numBlocks, minimum, share]) => {
      const width = Math.min(numBlocks, this.numBlocks);
      for (let first = 0; first + width <= this.numBlocks; first++) {
        let numDifferent = 0, numCompared = 0;
        for (let block = first; block < first + width; block++) {
          numDifferent += different[block];
          numCompared += compared[block];
        }
        if (numDifferent >= minimum && numDifferent >= share * numCompared) return true;
      }
      return false;
    });
  }

  /**
   * Places the pieces of a barcode.
   * @param {Int8Array} codes as read on its strand.
   * @param {number} start coordinate of the first base if the sequence is placed in one piece.
   * @returns {{start: number, parts: UnplacedPart[]}} the start as given, and no part, if the pieces are not those of
   *   one barcode.
   */
  find(codes, start) {
    const grid = this.#grid(codes, start);
    return this.#placePieces(grid, codes.length, start, this.#bestShifts(grid));
  }

  /** Codes by coordinate and shift, 4 where unknown: column c + s has the base that shift s moves to coordinate c. */
  #grid(codes, start) {
    const grid = new Uint8Array(this.width + this.numShifts - 1).fill(4);
    const origin = start + this.settings.max_shift;
    const end = Math.min(origin + codes.length, grid.length);
    for (let column = Math.max(origin, 0); column < end; column++) {
      if (codes[column - origin] >= 0) grid[column] = codes[column - origin];
    }
    return grid;
  }

  /** The shift of each block with which the sequence fits best, by the algorithm of Viterbi (1967). */
  #bestShifts(grid) {
    const { numBlocks, numShifts, scores } = this;
    const previous = new Int8Array(numBlocks * numShifts);
    const total = new Float32Array(numShifts);
    for (let block = 0; block < numBlocks; block++) {
      const best = argmax(total);
      const changed = fround(total[best] - this.settings.cost);
      for (let shift = 0; shift < numShifts; shift++) {
        previous[block * numShifts + shift] = total[shift] >= changed ? shift : best;
        const first = block * BLOCK;
        const at = (offset) => scores[5 * (first + offset) + grid[first + offset + shift]];
        const pair = (offset) => fround(at(offset) + at(offset + 1));
        const score = fround(fround(pair(0) + pair(2)) + fround(pair(4) + pair(6)));
        total[shift] = fround(Math.max(total[shift], changed) + score);
      }
    }
    const shifts = new Int8Array(numBlocks);
    shifts[numBlocks - 1] = argmax(total);
    for (let block = numBlocks - 1; block > 0; block--) {
      shifts[block - 1] = previous[block * numShifts + shifts[block]];
    }
    return shifts;
  }

  #sums(grid, shift) {
    const sums = new Float64Array(this.width + 1);
    for (let c = 0; c < this.width; c++) sums[c + 1] = fround(sums[c] + this.scores[5 * c + grid[shift + c]]);
    return sums;
  }

  #placePieces(grid, numBases, start, shifts) {
    const { max_shift: maxShift, min_end: minEnd, reach, ambiguity, misfit, cost, min_mean: minMean } = this.settings;
    const first = Math.floor(Math.max(start - maxShift, 0) / BLOCK);
    const last = Math.ceil(Math.min(start + numBases + maxShift, this.length) / BLOCK);
    const breaks = [];
    for (let block = first + 1; block < last; block++) if (shifts[block] !== shifts[block - 1]) breaks.push(block);
    const pieces = [first, ...breaks].map((block) => shifts[block]);
    const sums = new Map(pieces.map((shift) => [shift, this.#sums(grid, shift)]));
    const score = (shift, from, to) => sums.get(shift)[to] - sums.get(shift)[from];
    const origin = start + maxShift; // coordinate of the first base at shift 0
    const lastPiece = () => pieces[pieces.length - 1];
    let begin = Math.max(origin - pieces[0], 0);
    let end = Math.min(origin - lastPiece() + numBases, this.length);
    while (breaks.length && score(pieces[0], begin, breaks[0] * BLOCK) < minEnd) {
      breaks.shift();
      pieces.shift();
      begin = Math.max(origin - pieces[0], 0);
    }
    while (breaks.length && score(lastPiece(), breaks[breaks.length - 1] * BLOCK, end) < minEnd) {
      breaks.pop();
      pieces.pop();
      end = Math.min(origin - lastPiece() + numBases, this.length);
    }
    const firstBase = origin - pieces[0], numCompared = end - begin;
    const limits = [...breaks.map((block) => block * BLOCK), end];
    const parts = [];
    let total = 0;
    for (const [number, shift] of pieces.entries()) {
      let pieceEnd = end, nextBegin = end, following = shift;
      if (number < breaks.length) {
        following = pieces[number + 1];
        const numDeleted = Math.max(shift - following, 0);
        const lowest = Math.max(limits[number] - reach, begin);
        const highest = Math.min(limits[number] + reach, limits[number + 1] - numDeleted);
        if (highest < lowest) return { start, parts: [] };
        const scores = [];
        for (let at = lowest; at <= highest; at++) scores.push(sums.get(shift)[at] - sums.get(following)[at + numDeleted]);
        const minimum = Math.max(...scores) - ambiguity;
        pieceEnd = lowest + scores.findIndex((one) => one >= minimum);
        nextBegin = lowest + scores.findLastIndex((one) => one >= minimum) + numDeleted;
      }
      for (const [left, right] of misfits(sums.get(shift).subarray(begin, pieceEnd + 1), misfit)) {
        const firstOfPart = begin + left - origin + shift;
        parts.push({ begin: firstOfPart, end: firstOfPart + right - left, length: right - left });
      }
      total += score(shift, begin, pieceEnd);
      if (number < breaks.length) {
        parts.push({
          begin: pieceEnd - origin + shift,
          end: nextBegin - origin + following,
          length: nextBegin - pieceEnd,
        });
      }
      begin = nextBegin;
    }
    total -= cost * breaks.length;
    return total >= minMean * numCompared ? { start: firstBase, parts } : { start, parts: [] };
  }
}

/** The parts of a piece, of given cumulative scores, in which the score falls by more than a limit. */
function misfits(sums, limit) {
  const found = [];
  for (let begin = 0; ; ) {
    const rest = sums.subarray(begin);
    let low = -1, highest = -Infinity;
    for (let i = 0; i < rest.length && low < 0; i++) {
      highest = Math.max(highest, rest[i]);
      if (highest - rest[i] > limit) low = i;
    }
    if (low < 0) return found;
    const left = argmax(rest.subarray(0, low + 1));
    let right = rest.length - 1, lowest = Infinity; // until it rises by as much again
    for (let i = left; i < rest.length; i++) {
      lowest = Math.min(lowest, rest[i]);
      if (rest[i] - lowest > limit) {
        right = i;
        break;
      }
    }
    let minimum = left;
    for (let i = left; i <= right; i++) if (rest[i] < rest[minimum]) minimum = i;
    found.push([begin + left, begin + minimum]);
    begin += minimum;
  }
}

/** The index of the largest value, the first of equal ones. */
export function argmax(values) {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i] > values[best]) best = i;
  return best;
}
