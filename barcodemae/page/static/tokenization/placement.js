// The bases of a placed barcode by coordinate. As tokenization/placement.py.

import { UNKNOWN, reverseComplement } from "./sequences.js";

/**
 * Bases on the frame, Int8Array `[length]`, -1 where a barcode has no known base, or around an indel.
 * @param {Int8Array} codes of the sequence.
 * @param {import("./reference_frame.js").Placement} placement
 * @param {number} length of the frame; bases outside of it are left out.
 */
export function layOut(codes, placement, length) {
  const read = readAlongFrame(codes, placement);
  const bases = new Int8Array(length).fill(UNKNOWN);
  const end = Math.min(placement.start + read.length, length);
  for (let c = Math.max(placement.start, 0); c < end; c++) bases[c] = read[c - placement.start];
  return bases;
}

/** Codes as read on the strand, in which base i lies at coordinate start + i; unknown at the coordinates of parts. */
function readAlongFrame(codes, { strand, parts }) {
  const read = strand > 0 ? codes : reverseComplement(codes);
  if (!parts.length) return read;
  const pieces = [];
  let position = 0;
  for (const part of parts) {
    pieces.push(...read.subarray(position, part.begin), ...new Array(part.length).fill(UNKNOWN));
    position = part.end;
  }
  return Int8Array.from([...pieces, ...read.subarray(position)]);
}
