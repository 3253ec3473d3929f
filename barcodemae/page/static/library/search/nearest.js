// The nearest references by the cosine of vectors: the exact search of library/store/stored.py.

/**
 * References near a query: their records and similarities, nearest first.
 * @typedef {{records: number[], similarities: number[]}} Hits
 */

// After so many numbers of a vector, and again after twice as many and so on, a record is given up that cannot be among
// the nearest whatever its other numbers are; with a margin for rounding.
const PART = 32;
const NUM_PARTS = 3;
const ROUNDING = 1e-6;

/** Searches vectors exactly. */
export class VectorSearch {
  /** @param {Float32Array} vectors `[n, dimension]`, of length 1. @param {number} dimension */
  constructor(vectors, dimension) {
    Object.assign(this, { vectors, dimension, num: vectors.length / dimension });
    this.parts = [];
    for (let end = PART; end < dimension && this.parts.length < NUM_PARTS; end += PART) this.parts.push(end);
    const rests = Array.from({ length: this.num }, (_, record) => this.#rests(this.vectors, record * dimension));
    this.rests = Float64Array.from(rests.flat());
  }

  /**
   * The records with the largest cosines, by the rules of FAISS for equal ones, which decide between copies of a
   * barcode: a record replaces the worst one only if it is nearer, and of equally bad ones the first.
   * @param {Float32Array} vector of length 1.
   * @param {number} numHits
   * @returns {Hits}
   */
  search(vector, numHits) {
    const query = Float64Array.from(vector), rests = this.#rests(vector, 0);
    const records = [], similarities = [];
    let worst = 0;
    for (let record = 0; record < this.num; record++) {
      const similarity = this.#similarity(query, rests, record, records.length < numHits ? -Infinity : similarities[worst]);
      if (records.length < numHits) {
        records.push(record);
        similarities.push(similarity);
      } else if (similarity > similarities[worst]) {
        records[worst] = record;
        similarities[worst] = similarity;
      } else {
        continue;
      }
      if (records.length === numHits) worst = indexOfWorst(records, similarities);
    }
    const order = [...records.keys()].sort((a, b) => similarities[b] - similarities[a] || records[b] - records[a]);
    return { records: order.map((i) => records[i]), similarities: order.map((i) => similarities[i]) };
  }

  /** The cosine of a query and a record; or -Infinity as soon as it cannot exceed the minimum. */
  #similarity(query, rests, record, minimum) {
    const { vectors, dimension, parts } = this, offset = record * dimension;
    let sum = 0, begin = 0;
    for (let part = 0; part < parts.length; part++) {
      sum += innerProduct(query, vectors, offset, begin, parts[part]);
      begin = parts[part];
      if (sum + rests[part] * this.rests[record * parts.length + part] < minimum - ROUNDING) return -Infinity;
    }
    return Math.fround(sum + innerProduct(query, vectors, offset, begin, dimension));
  }

  /** The lengths of what remains of a vector after each part. */
  #rests(vectors, offset) {
    return this.parts.map((begin) => {
      let sum = 0;
      for (let i = begin; i < this.dimension; i++) sum += vectors[offset + i] ** 2;
      return Math.sqrt(sum);
    });
  }
}

/** The inner product of two vectors. */
export const cosine = (vector, other) => Math.fround(innerProduct(vector, other, 0, 0, vector.length));

/** The inner product of two vectors, the second of which begins at an offset, from `begin` up to `end`. */
function innerProduct(vector, others, offset, begin, end) {
  let first = 0, second = 0, third = 0, fourth = 0, i = begin; // four sums, which processors add at the same time
  for (; i < end - 3; i += 4) {
    first += vector[i] * others[offset + i];
    second += vector[i + 1] * others[offset + i + 1];
    third += vector[i + 2] * others[offset + i + 2];
    fourth += vector[i + 3] * others[offset + i + 3];
  }
  for (; i < end; i++) first += vector[i] * others[offset + i];
  return first + second + (third + fourth);
}

function indexOfWorst(records, similarities) {
  let worst = 0;
  for (let i = 1; i < records.length; i++) {
    const difference = similarities[i] - similarities[worst];
    if (difference < 0 || (difference === 0 && records[i] < records[worst])) worst = i;
  }
  return worst;
}
