// An alignment of a query with a reference on the frame, wrapped to the width of the page.

import { element, some } from "./elements.js";

const SYMBOLS = "ACGT";
const LABEL_WIDTH = 12;
const BLOCK = 10;
const MAX_WIDTH = 90;

/**
 * @param {Int8Array} bases of the query on the frame, -1 where unknown.
 * @param {Int8Array} reference
 * @param {number} columns number of characters that fit beside each other.
 */
export function alignment(bases, reference, columns) {
  const width = Math.max(BLOCK, Math.min(MAX_WIDTH, Math.floor((columns - LABEL_WIDTH) / BLOCK) * BLOCK));
  const first = bases.findIndex((base) => base >= 0), last = bases.findLastIndex((base) => base >= 0);
  let numShared = 0, numDifferent = 0;
  const blocks = [];
  for (let begin = Math.floor(first / width) * width; begin <= last; begin += width) {
    const end = Math.min(begin + width, bases.length);
    const query = [], other = [];
    for (let c = begin; c < end; c++) {
      const isShared = bases[c] >= 0 && reference[c] >= 0;
      const isDifferent = isShared && bases[c] !== reference[c];
      numShared += isShared;
      numDifferent += isDifferent;
      const symbol = SYMBOLS[bases[c]] ?? " ";
      query.push(isDifferent ? element("mark", {}, symbol) : symbol);
      other.push(isDifferent || bases[c] < 0 ? (SYMBOLS[reference[c]] ?? " ") : isShared ? "·" : " ");
    }
    const label = (text, coordinate = "") => `${text}${String(coordinate).padStart(LABEL_WIDTH - 1 - text.length)} `;
    blocks.push(element("pre", {}, label("query", begin + 1), ...query, "\n", label("ref."), other.join("")));
  }
  const summary =
    `${some(numDifferent, "base")} of ${numShared} differ${numDifferent === 1 ? "s" : ""}` +
    (numDifferent ? ", marked in the query. " : ". ") +
    "Positions are coordinates on the marker; a dot is a base that is equal.";
  return element("div", { class: "alignment" }, element("p", { class: "note" }, summary), ...blocks);
}
