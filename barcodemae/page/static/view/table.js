// The table of results: a row for each query, which opens its evidence.

import { callName } from "../library/identification.js";
import { detail } from "./detail.js";
import { count, element, percent, taxon } from "./elements.js";

const ROWS = 100;
const HEADINGS = ["query", "name", "probability", "novelty", "nearest reference", "identity"];

export class ResultTable {
  /**
   * @param {HTMLElement} container
   * @param {import("../library/store.js").Names} names
   * @param {(query: number) => void} onOpen called with the number of a query whose evidence is shown.
   */
  constructor(container, names, onOpen) {
    Object.assign(this, { names, onOpen, results: [], minConfidence: 0, numShown: 0 });
    this.body = element("tbody");
    const head = HEADINGS.map((text) => element("th", { scope: "col" }, text));
    const table = element("table", { class: "results" }, element("thead", {}, element("tr", {}, ...head)), this.body);
    this.more = element("button", { type: "button", class: "quiet", onclick: () => this.#show(this.numShown + ROWS) });
    container.replaceChildren(table, this.more);
  }

  /** Shows the results of a job from the beginning, or those that have been added to it. */
  update(results, minConfidence) {
    const isNew = results !== this.results || minConfidence !== this.minConfidence;
    Object.assign(this, { results, minConfidence });
    if (isNew) {
      this.body.replaceChildren();
      this.numShown = 0;
    }
    this.#show(Math.max(this.numShown, ROWS));
  }

  #show(end) {
    for (; this.numShown < Math.min(end, this.results.length); this.numShown++) this.body.append(this.#row(this.numShown));
    const numLeft = this.results.length - this.numShown;
    this.more.hidden = numLeft === 0;
    this.more.textContent = `Show ${count(Math.min(ROWS, numLeft))} more of ${count(numLeft)}`;
  }

  #row(query) {
    const result = this.results[query], { call, name, confidence } = callName(result, this.minConfidence);
    const button = element("button", { type: "button", class: "id", "aria-expanded": "false" }, result.id);
    const row = element("tr", { class: result.reason ? "unusable" : null }, element("th", { scope: "row" }, button));
    const cell = (label, ...children) => row.append(element("td", { "data-label": label }, ...children));
    cell("name", ...(name ? [taxon(name, call), element("small", {}, call)] : [element("span", { class: "call" }, result.reason || call)]));
    cell("probability", confidence === null ? "" : percent(confidence));
    cell("novelty", result.novelty === null || result.reason ? "" : percent(result.novelty));
    const [nearest] = result.hits ?? [];
    cell("nearest reference", nearest ? this.names.ids[nearest.record] : "");
    cell("identity", nearest ? percent(nearest.identity) : "");
    button.addEventListener("click", () => this.#toggle(row, button, query));
    return row;
  }

  #toggle(row, button, query) {
    const isOpen = button.getAttribute("aria-expanded") === "true";
    button.setAttribute("aria-expanded", String(!isOpen));
    if (isOpen) {
      row.nextElementSibling.remove();
      return;
    }
    const cell = element("td", { colspan: HEADINGS.length });
    row.after(element("tr", { class: "opened" }, cell));
    cell.append(detail(query, this.results[query], callName(this.results[query], this.minConfidence), this.names));
    this.onOpen(query);
  }
}
