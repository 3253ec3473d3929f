// The evidence for one query: the names at all ranks, the nearest references, and an alignment with one of them.

import { basesOf } from "../client.js";
import { describeNotes } from "../library/checking/notes.js";
import { alignment } from "./alignment.js";
import { element, percent, some, taxon } from "./elements.js";

/**
 * @param {number} query its number in the job.
 * @param {import("../library/identification.js").Result} result
 * @param {{call: string}} called from `callName`.
 * @param {import("../library/store.js").Names} names
 */
export function detail(query, result, called, names) {
  if (result.reason) return element("div", { class: "detail" }, element("p", {}, EXPLANATIONS[result.reason] ?? result.reason));
  const shown = element("div", { "aria-live": "polite" });
  const show = async (record) => {
    const { bases, reference } = await basesOf(query, record);
    shown.replaceChildren(alignment(bases, reference, numColumns(shown)));
  };
  show(result.hits[0].record);
  const notes = describeNotes(result, called);
  return element(
    "div",
    { class: "detail" },
    notes && element("p", {}, `Note: ${notes}.`),
    element("div", { class: "pair" }, lineage(result, names), references(query, result, names, show)),
    element("h3", {}, "Alignment"),
    shown,
  );
}

const EXPLANATIONS = {
  "too long": "This sequence is too long for a barcode; cut the marker out of it.",
  damaged: "This record could not be read: its sequence and its qualities do not fit together, or it has characters that are not text.",
  "no DNA": "This sequence has no A, C, G or T.",
  "not the marker": "This sequence does not fit the marker of this library: another gene, another organism, or not DNA.",
  "outside the region": "Too few bases of this sequence lie on the region of the marker that this library has.",
  "too short": "This sequence has too few bases to name it.",
};

function lineage(result, names) {
  const rows = names.ranks
    .filter((rank) => result.best[rank].name)
    .map((rank) => {
      const { name, confidence } = result.best[rank];
      const cells = [element("td", {}, taxon(name, rank)), element("td", { class: "number" }, percent(confidence))];
      return element("tr", {}, element("th", { scope: "row" }, rank), ...cells);
    });
  const read = `${some(result.bases, "base")} on the marker from position ${Math.max(result.start, 1)}, ` +
    `${result.strand === "+" ? "as given" : "reverse complement"}` +
    `${result.indels ? `, ${some(result.indels, "insertion or deletion", "insertions and deletions")}` : ""}.`;
  return element(
    "div",
    {},
    element("h3", {}, "Most probable names"),
    element("table", {}, element("tbody", {}, ...rows)),
    element("p", { class: "note" }, read),
  );
}

function references(query, result, names, show) {
  const rows = result.hits.map(({ record, identity }, i) => {
    const id = `hit-${query}-${i}`;
    const choice = element("input", {
      ...{ type: "radio", name: `hits-${query}`, id, checked: i === 0, onchange: () => show(record) },
    });
    const bin = names.of(record, "bin");
    const label = element("label", { for: id }, name(record, names), element("small", {}, names.ids[record], bin && ` · ${bin}`));
    return element("tr", {}, element("td", {}, choice), element("td", {}, label), element("td", { class: "number" }, percent(identity)));
  });
  const head = ["", "reference, to align", "identity"].map((text) => element("th", { scope: "col" }, text));
  return element(
    "div",
    {},
    element("h3", {}, "Nearest references"),
    element("table", {}, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...rows)),
  );
}

function name(record, names) {
  const rank = names.ranks.findLast((one) => names.of(record, one));
  return rank ? taxon(names.of(record, rank), rank) : "without a name";
}

function numColumns(container) {
  const probe = element("pre", { style: "position: absolute; visibility: hidden" }, "0".repeat(50));
  container.replaceChildren(probe);
  const width = probe.getBoundingClientRect().width / 50;
  return Math.floor(container.clientWidth / width);
}
