// The page: reads what the visitor gives, and shows the results as they come.

import * as client from "./client.js";
import { callName } from "./library/identification.js";
import { tsvLines } from "./library/results/lines.js";
import { fetchFacts, fetchNames } from "./library/store.js";
import { count, element, some } from "./view/elements.js";
import { ReferenceMap } from "./view/map.js";
import { ResultTable } from "./view/table.js";

const PASTED = "pasted sequences";

const find = (id) => document.getElementById(id);
const [facts, names] = await Promise.all([fetchFacts(), fetchNames()]).catch((error) => {
  showError(`The library of this page could not be loaded: ${error.message}`);
  throw error;
});

let results = [];
let map;
const table = new ResultTable(find("table"), names, (query) => map?.update(results, query));

introduce();
client.opened.then(
  (points) => (map = new ReferenceMap(find("map"), find("legend"), points, names)).update(results),
  (error) => showError(`The library of this page could not be opened: ${error.message}`),
);
if ("serviceWorker" in navigator) {
  navigator.serviceWorker.register("service-worker.js").then(
    () => navigator.serviceWorker.ready.then(() => (find("offline").hidden = false)),
    () => {}, // such as in a private window: the page works, but not offline
  );
}

find("form").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = find("sequences").value;
  if (text.trim()) identify([{ blob: new Blob([text]), file: PASTED }]);
  else showError("Paste sequences, or choose a file of sequences.");
});
find("files").addEventListener("change", ({ target }) => {
  identifyFiles(target.files);
  target.value = ""; // so that the same file can be chosen again
});
find("examples").addEventListener("click", async () => {
  find("sequences").value = await (await fetch("files/examples.fasta")).text();
  find("form").requestSubmit();
});
find("stop").addEventListener("click", () => {
  client.stop();
  finish(`Stopped after ${some(results.length, "sequence")}.`);
});
find("minimum").addEventListener("change", show);
find("download").addEventListener("click", download);

const drop = find("drop");
for (const type of ["dragenter", "dragover", "dragleave", "drop"]) {
  document.addEventListener(type, (event) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    drop.classList.toggle("over", type === "dragenter" || type === "dragover");
    if (type === "drop") identifyFiles(event.dataTransfer.files);
  });
}

function introduce() {
  document.title = facts.title;
  find("title").textContent = facts.title;
  const { species } = facts.num_named;
  const of = species ? ` of ${some(species, "species", "species")}` : "";
  find("records").textContent = `${some(facts.num_records, "reference barcode")}${of}`;
  for (const one of document.querySelectorAll(".marker")) one.textContent = facts.frame.marker || "the marker";
  find("made").textContent = `Made with ${facts.made_by}, model ${facts.model.name}.`;
  find("minimum").value = facts.settings.min_confidence;
  find("waiting").hidden = true;
  find("main").hidden = false;
}

function identifyFiles(files) {
  if (files.length) identify(Array.from(files, (file) => ({ blob: file, file: file.name })));
}

function identify(sources) {
  results = [];
  find("error").hidden = true;
  find("results").hidden = true;
  find("progress").hidden = false;
  find("bar").value = 0;
  find("status").textContent = "Reading …";
  client.identify(sources, {
    results: ({ results: more, share }) => {
      results.push(...more);
      find("bar").value = share;
      find("status").textContent = `${some(results.length, "sequence")} identified …`;
      show();
    },
    done: ({ seconds, numProteins }) => {
      const rate = results.length / Math.max(seconds, 0.001);
      finish(`${some(results.length, "sequence")} in ${seconds.toFixed(1)} s (${count(Math.round(rate))} a second).`);
      if (numProteins > results.length / 2) showError("These look like protein sequences: expected DNA of the marker.");
    },
    failed: ({ message }) => {
      finish("");
      showError(message);
    },
  });
}

function finish(text) {
  find("progress").hidden = true;
  find("finished").textContent = text;
  document.body.dataset.state = "finished";
}

function showError(message) {
  find("error").textContent = message;
  find("error").hidden = false;
  find("waiting").hidden = true;
}

function minConfidence() {
  const value = Number(find("minimum").value);
  return value >= 0 && value <= 1 ? value : facts.settings.min_confidence;
}

function show() {
  if (!results.length) return;
  find("results").hidden = false;
  table.update(results, minConfidence());
  map?.update(results, -1);
  const counts = new Map([...names.ranks.toReversed(), "novel", "unreliable"].map((call) => [call, 0]));
  for (const result of results) {
    const { call } = callName(result, minConfidence());
    counts.set(call, counts.get(call) + 1);
  }
  const shown = [...counts].filter(([, number]) => number);
  find("calls").replaceChildren(
    ...shown.map(([call, number]) => element("div", {}, element("dt", {}, LABELS[call] ?? `named to ${call}`), element("dd", {}, count(number)))),
  );
}

const LABELS = { novel: "without a name", unreliable: "not a usable barcode" };

function download() {
  const text = `${tsvLines(results, names, minConfidence(), facts.frame.marker).join("\n")}\n`;
  const address = URL.createObjectURL(new Blob([text], { type: "text/tab-separated-values" }));
  element("a", { href: address, download: "names.tsv" }).click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}
