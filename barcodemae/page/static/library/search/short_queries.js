// Short queries: they are compared with the same part of each reference. As library/search/short_queries.py.

import { cosine } from "./nearest.js";

const BLOCK = 16;
// The bases of a block, four bits each, fill two words of 32 bits.
const WORDS = BLOCK / 8;
// Vectors of a part of references that are stored; queries of one amplicon all need those of the same part.
const MAX_STORED = 20_000;

/** Searches references by the part of the marker that a query has. */
export class PartSearch {
  /**
   * @param {Int8Array[]} bases of all references on the frame.
   * @param {import("../../embedding/base_map.js").BaseMapEmbedder} baseMap
   * @param {number} frameLength
   * @param {number} numNear number of references with the most equal bases that are compared.
   */
  constructor(bases, baseMap, frameLength, numNear) {
    Object.assign(this, { bases, baseMap, frameLength, numNear });
    this.numWords = Math.ceil(frameLength / BLOCK) * WORDS;
    this.packed = new Uint32Array(bases.length * this.numWords);
    bases.forEach((one, record) => this.packed.set(pack(one, this.numWords, false), record * this.numWords));
    this.stored = new Map();
    this.part = "";
  }

  /**
   * The nearest records of a query by the part of the marker that it has.
   * @param {Int8Array} query bases on the frame, at least one known.
   * @param {number[]} candidates records that are compared in any case.
   * @param {number} numHits
   * @returns {import("./nearest.js").Hits}
   */
  search(query, candidates, numHits) {
    const first = Math.floor(query.findIndex((base) => base >= 0) / BLOCK);
    const last = Math.floor(query.findLastIndex((base) => base >= 0) / BLOCK) + 1;
    const begin = first * BLOCK, end = Math.min(last * BLOCK, this.frameLength);
    if (this.part !== `${first}-${last}` || this.stored.size > MAX_STORED) this.stored.clear();
    this.part = `${first}-${last}`;
    const near = this.#near(pack(query, this.numWords, true), first * WORDS, last * WORDS);
    const records = Uint32Array.from(new Set([...near, ...candidates])).sort();
    const vector = this.baseMap.embedBases(query, begin, end);
    const found = [...records]
      .filter((record) => this.#hasBase(record, first * WORDS, last * WORDS))
      .map((record) => ({ record, similarity: cosine(this.#vector(record, begin, end), vector) }))
      .sort((a, b) => b.similarity - a.similarity)
      .slice(0, numHits);
    return { records: found.map(({ record }) => record), similarities: found.map(({ similarity }) => similarity) };
  }

  #vector(record, begin, end) {
    let vector = this.stored.get(record);
    if (!vector) this.stored.set(record, (vector = this.baseMap.embedBases(this.bases[record], begin, end)));
    return vector;
  }

  #hasBase(record, firstWord, endWord) {
    return this.packed.subarray(record * this.numWords + firstWord, record * this.numWords + endWord).some(Boolean);
  }

  /** The records with the most equal bases; of equal ones the first. */
  #near(packed, firstWord, endWord) {
    const num = this.bases.length, byDistance = [];
    for (let record = 0; record < num; record++) {
      let distance = 0;
      for (let word = firstWord; word < endWord; word++) {
        distance += countBits(packed[word] ^ this.packed[record * this.numWords + word]);
      }
      (byDistance[distance] ??= []).push(record);
    }
    const near = [];
    for (const records of byDistance) {
      if (records) near.push(...records.slice(0, this.numNear - near.length));
      if (near.length >= this.numNear) break;
    }
    return near;
  }
}

/** Bases as bits: one of four for a base; none for one that a reference lacks, all four for one that a query lacks. */
function pack(bases, numWords, isQuery) {
  const words = new Uint32Array(numWords);
  for (let c = 0; c < bases.length; c++) {
    const bits = bases[c] >= 0 ? 1 << bases[c] : isQuery ? 15 : 0;
    words[c >> 3] |= bits << (4 * (c & 7));
  }
  return words;
}

function countBits(word) {
  word -= (word >>> 1) & 0x55555555;
  word = (word & 0x33333333) + ((word >>> 2) & 0x33333333);
  return Math.imul((word + (word >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}
