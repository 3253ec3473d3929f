// From queries to results: place, embed, search, compare bases, vote, and estimate how probable each name is.
// As library/identification.py.

import { normaliseNucleotides } from "../data/quality.js";
import { isIndel } from "../tokenization/indels.js";
import { countStops, describeOthers } from "./checking/notes.js";
import { chooseVoters, vote } from "./search/evidence.js";
import { positionsInQuery, readOnMarker, whyUnusable } from "./search/marker.js";

export const NOVEL = "novel";
export const UNRELIABLE = "unreliable";

/**
 * The result of a query. `best` has the most probable name of each rank, "" where unknown, and its probability; `call`,
 * `name` and `confidence` follow from them and the minimum confidence (see `callName`). `hits` are voters, nearest
 * first by identity; `stops`, `shifts` and `others` are what `describeNotes` puts into words. Of an unusable query, only the
 * first five are known.
 * @typedef {{id: string, file: string, size: number, sample: string, reason: string,
 *   best: Object<string, {name: string, confidence: number}>, novelty: ?number, strand: string, start: number,
 *   bases: number, indels: number, queryStart: number, queryEnd: number, stops: number[], shifts: number,
 *   others: string[], hits: {record: number, similarity: number, identity: number}[],
 *   point: number[]}} Result
 */

/** Identifies barcodes by a library. */
export class Identifier {
  /** @param {import("./store.js").StoredLibrary} library */
  constructor(library) {
    this.library = library;
  }

  /**
   * @param {import("../data/records.js").Record} record
   * @returns {{result: Result, bases: ?Int8Array}} with the bases on the frame of a usable query.
   */
  identify(record) {
    const { library } = this, { settings, names } = library;
    const read = readOnMarker(normaliseNucleotides(record.nucleotides), library.frame);
    const { id, file, size, sample } = record;
    const reason = whyUnusable(record.problem, read, settings.min_bases);
    if (reason) return { result: { id, file, size, sample, reason }, bases: null };

    const { bases, numBases, placement } = read;
    const vector = library.baseMap.embedBases(bases);
    let hits = library.search.search(vector, settings.num_candidates);
    if (numBases <= settings.max_short) hits = library.partSearch.search(bases, hits.records, hits.records.length);
    const neighbours = chooseVoters(hits, bases, library.bases, settings);
    const votes = vote(neighbours, names.numbers, settings);
    const probabilities = library.calibration.probabilities(votes, numBases);
    const shown = neighbours
      .slice(0, settings.num_voters)
      .sort((a, b) => b.identity - a.identity || b.similarity - a.similarity);
    const best = Object.fromEntries(
      names.ranks.map((rank) => {
        return [rank, { name: names.decode(rank, votes[rank].name), confidence: probabilities[rank] }];
      }),
    );
    const result = {
      ...{ id, file, size, sample, reason, best },
      novelty: names.of(shown[0].record, "species") ? probabilities.novelty : null,
      strand: placement.strand > 0 ? "+" : "-",
      start: placement.start + 1,
      bases: numBases,
      indels: placement.parts.filter(isIndel).length,
      ...positionsInQuery(read, library.frame.length),
      stops: countStops(bases, library.reading, best),
      shifts: placement.parts.filter((part) => (part.end - part.begin - part.length) % 3 !== 0).length,
      others: describeOthers(neighbours, bases, numBases, library),
      hits: shown.map(({ record, similarity, identity }) => ({ record, similarity, identity })),
      point: library.projection.of(vector),
    };
    return { result, bases };
  }
}

/**
 * The call of a result: its lowest rank with the minimum confidence, the name there, and its confidence.
 * @param {Result} result
 * @param {number} minConfidence
 */
export function callName(result, minConfidence) {
  if (result.reason) return { call: UNRELIABLE, name: "", confidence: null };
  const rank = Object.keys(result.best).findLast((one) => {
    return result.best[one].name && result.best[one].confidence >= minConfidence;
  });
  return rank ? { call: rank, ...result.best[rank] } : { call: NOVEL, name: "", confidence: null };
}
