// Barcodes of the marker: which sequences are, and how their bases compare. As library/search/marker.py.

import { layOut } from "../../tokenization/placement.js";
import { baseCodes } from "../../tokenization/sequences.js";

export const TOO_LONG = "too long";

/**
 * A sequence on the marker's reference frame.
 * @param {string} sequence as `normaliseNucleotides` returns it.
 * @param {import("../../tokenization/reference_frame.js").ReferenceFrame} frame
 */
export function readOnMarker(sequence, frame) {
  const codes = baseCodes(sequence);
  const placement = frame.place(codes);
  const bases = layOut(codes, placement, frame.length);
  return { sequence, placement, bases, numBases: countKnown(bases), isPlaced: frame.accepts(placement) };
}

/**
 * The first and the last position of a query that lie on the marker, from 1; the first is the larger one on strand -1.
 * @param {{sequence: string, placement: import("../../tokenization/reference_frame.js").Placement}} read
 * @param {number} frameLength
 * @returns {{queryStart: number, queryEnd: number}}
 */
export function positionsInQuery({ sequence, placement }, frameLength) {
  const { start, strand, parts } = placement;
  const numInserted = parts.reduce((sum, part) => sum + part.end - part.begin - part.length, 0);
  const begin = Math.max(-start, 0);
  const end = Math.min(Math.max(frameLength - start + numInserted, 0), sequence.length);
  const queryStart = strand > 0 ? begin + 1 : sequence.length - begin;
  return { queryStart, queryEnd: queryStart + strand * (end - begin - 1) };
}

/** Why a record is not a barcode of the marker, in words for the user; "" for a barcode. */
export function whyUnusable(problem, read, minBases) {
  if (problem.startsWith(TOO_LONG)) return TOO_LONG;
  if (problem) return "damaged";
  const hasFew = read.numBases < minBases;
  const numGiven = hasFew ? (read.sequence.match(/[ACGT]/g)?.length ?? 0) : read.numBases;
  if (numGiven === 0) return "no DNA";
  if (!read.isPlaced) return "not the marker";
  if (hasFew) return numGiven >= minBases ? "outside the region" : "too short";
  return "";
}

/** The share of equal bases, out of those known in both. */
export function identity(bases, others) {
  let numEqual = 0, numShared = 0;
  for (let c = 0; c < bases.length; c++) {
    if (bases[c] < 0 || others[c] < 0) continue;
    numShared++;
    if (bases[c] === others[c]) numEqual++;
  }
  return Math.fround(numEqual / Math.max(numShared, 1));
}

function countKnown(bases) {
  let numKnown = 0;
  for (const base of bases) if (base >= 0) numKnown++;
  return numKnown;
}
