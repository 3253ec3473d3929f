// A map of queries among references: the plane in which the vectors of the library vary most.

import { count, element } from "./elements.js";

const RANK = "order";
const NUM_COLOURS = 6;
const MARGIN = 14;
const MAX_QUERIES = 5000;

export class ReferenceMap {
  /**
   * @param {HTMLCanvasElement} canvas
   * @param {HTMLElement} legend
   * @param {Float32Array} points of the references, `[2 n]`.
   * @param {import("../library/store.js").Names} names
   */
  constructor(canvas, legend, points, names) {
    Object.assign(this, { canvas, points, results: [], chosen: -1 });
    this.colours = colourNumbers(names);
    const items = this.colours.names.map((name, i) => element("li", { class: `colour-${i}` }, name));
    const query = element("li", { class: "query" }, "your sequences");
    legend.replaceChildren(...items, query);
    new ResizeObserver(() => this.draw()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  update(results, chosen = this.chosen) {
    Object.assign(this, { results, chosen });
    this.draw();
  }

  draw() {
    const { canvas, points } = this, scale = devicePixelRatio || 1;
    const width = canvas.clientWidth, height = canvas.clientHeight;
    if (!width) return;
    canvas.width = width * scale;
    canvas.height = height * scale;
    const context = canvas.getContext("2d"), style = getComputedStyle(canvas);
    context.scale(scale, scale);
    const queries = this.results.slice(0, MAX_QUERIES).flatMap((result, query) => (result.point ? [{ query, point: result.point }] : []));
    const at = transform([points, ...queries.map(({ point }) => point)], width, height);
    for (let record = 0; 2 * record < points.length; record++) {
      const [x, y] = at(points[2 * record], points[2 * record + 1]);
      context.fillStyle = style.getPropertyValue(`--colour-${this.colours.numbers[record]}`);
      context.globalAlpha = 0.5;
      context.fillRect(x - 1.25, y - 1.25, 2.5, 2.5);
    }
    context.globalAlpha = 1;
    context.strokeStyle = style.getPropertyValue("--ink");
    context.fillStyle = style.getPropertyValue("--accent");
    for (const { query, point } of queries.sort((a, b) => (a.query === this.chosen) - (b.query === this.chosen))) {
      context.beginPath();
      context.arc(...at(...point), query === this.chosen ? 6 : 3, 0, 2 * Math.PI);
      context.lineWidth = query === this.chosen ? 2 : 1.2;
      if (query === this.chosen) context.fill();
      context.stroke();
    }
    const shown = queries.length < MAX_QUERIES ? "" : `, the first ${count(MAX_QUERIES)} of them`;
    canvas.setAttribute("aria-label", `${count(queries.length)} sequences${shown} among ${count(points.length / 2)} references`);
  }
}

/** The function from coordinates to pixels, of equal scale in both directions. */
function transform(groups, width, height) {
  const low = [Infinity, Infinity], high = [-Infinity, -Infinity];
  for (const points of groups) {
    for (let i = 0; i < points.length; i++) {
      low[i % 2] = Math.min(low[i % 2], points[i]);
      high[i % 2] = Math.max(high[i % 2], points[i]);
    }
  }
  const scale = Math.min((width - 2 * MARGIN) / (high[0] - low[0] || 1), (height - 2 * MARGIN) / (high[1] - low[1] || 1));
  return (x, y) => [
    width / 2 + (x - (low[0] + high[0]) / 2) * scale,
    height / 2 - (y - (low[1] + high[1]) / 2) * scale,
  ];
}

/** The number of the colour of each reference: one for each of the largest orders, and the last for all others. */
function colourNumbers(names) {
  const { values, numbers } = names.columns[RANK], counts = new Map();
  for (const number of numbers) if (number >= 0) counts.set(number, (counts.get(number) ?? 0) + 1);
  const largest = [...counts.keys()].sort((a, b) => counts.get(b) - counts.get(a)).slice(0, NUM_COLOURS);
  const colours = new Map(largest.map((number, i) => [number, i]));
  const hasOthers = numbers.some((number) => !colours.has(number));
  return {
    numbers: numbers.map((number) => colours.get(number) ?? NUM_COLOURS),
    names: [...largest.map((number) => values[number]), ...(hasOthers ? ["others"] : [])],
  };
}
