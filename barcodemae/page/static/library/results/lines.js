// Results as lines of TSV: the columns of library/results/lines.py, in the same order.

import { describeNotes } from "../checking/notes.js";
import { callName } from "../identification.js";

const BREAKS = /[\p{Cc}\p{Zl}\p{Zp}]/gu;
const FORMULA = /^([\t\r]|[\p{C}\p{Z}]*[=+\-@\uff1d\uff0b\uff0d\uff20])/u;

/**
 * One line for each query.
 * @param {import("../identification.js").Result[]} results
 * @param {import("../store.js").Names} names of the references.
 * @param {number} minConfidence
 * @param {string} marker of the library.
 * @returns {string[]} a header and the lines, without line breaks.
 */
export function tsvLines(results, names, minConfidence, marker) {
  const columns = [
    ["id", ({ id }) => text(id)],
    ["call", (_, called) => called.call],
    ["name", (_, called) => text(called.name)],
    ["confidence", (_, called) => decimals(called.confidence)],
    ["reason", ({ reason }) => reason],
    ...rankColumns(names.ranks, "", (called, rank) => names.ranks.indexOf(rank) <= names.ranks.indexOf(called.call)),
    ["marker", ({ reason }) => (reason ? "" : text(marker))],
    ["novelty", ({ novelty }) => decimals(novelty)],
    ...["strand", "start", "bases", "indels"].map((column) => [column, (result) => result[column] ?? ""]),
    ["query_start", ({ queryStart }) => queryStart ?? ""],
    ["query_end", ({ queryEnd }) => queryEnd ?? ""],
    ["notes", (result, called) => text(describeNotes(result, called))],
    ["file", ({ file }) => text(file)],
    ["size", ({ size }) => size],
    ["sample", ({ sample }) => text(sample)],
    ...rankColumns(names.ranks, "best_", () => true),
    ["hit_ids", listed((hit) => names.ids[hit.record], text)],
    ["hit_names", listed((hit) => names.lowest(hit.record), text)],
    ["hit_bins", listed((hit) => names.of(hit.record, "bin"), text)],
    ["hit_similarities", listed((hit) => decimals(hit.similarity))],
    ["hit_frame_identities", listed((hit) => decimals(hit.identity))],
    ["hit_identities", listed(() => "")], // the page does not align with gaps
  ];
  const line = (result) => {
    const called = callName(result, minConfidence);
    return columns.map(([, value]) => value(result, called)).join("\t");
  };
  return [columns.map(([name]) => name).join("\t"), ...results.map(line)];
}

function rankColumns(ranks, prefix, isShown) {
  return ranks.flatMap((rank) => {
    const named = (result, called) => (result.best?.[rank].name && isShown(called, rank) ? result.best[rank] : null);
    return [
      [`${prefix}${rank}`, (result, called) => text(named(result, called)?.name ?? "")],
      [`${prefix}${rank}_confidence`, (result, called) => decimals(named(result, called)?.confidence ?? null)],
    ];
  });
}

/** The texts of hits, joined by semicolons; within a text, a space replaces them. */
function listed(value, finish = (joined) => joined) {
  return (result) => finish((result.hits ?? []).map((hit) => value(hit).replaceAll(";", " ")).join(";"));
}

/** A text from a file on one line; one that a spreadsheet would run as a formula begins with an apostrophe. */
function text(value) {
  const safe = value.replace(FORMULA, "'$1").replace(BREAKS, " ");
  return safe.includes('"') ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/** A number of single precision with four digits after the point, halves rounded to even; "" for null. */
export function decimals(number) {
  if (number === null || number === undefined) return "";
  const scaled = Math.abs(number) * 1e4; // exact: 24 bits times 14
  const below = Math.floor(scaled);
  const rounded = scaled - below === 0.5 ? below + (below % 2) : Math.round(scaled);
  const digits = String(rounded).padStart(5, "0");
  return `${number < 0 && rounded ? "-" : ""}${digits.slice(0, -4)}.${digits.slice(-4)}`;
}
