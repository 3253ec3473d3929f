// Talks to the worker: jobs with their results, and the bases for alignments.

const worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
const waiting = new Map(); // of bases, by query and record
let number = 0;
let handlers = {};
let open;

/** The coordinates of all references on the map, `[2 n]`, as soon as the library is open. */
export const opened = new Promise((resolve, reject) => (open = { resolve, reject }));

worker.onmessage = ({ data }) => {
  if (data.type === "opened") open.resolve(data.points);
  else if (data.type === "aligned") {
    waiting.get(`${data.query} ${data.record}`)?.(data);
    waiting.delete(`${data.query} ${data.record}`);
  } else if (data.job === 0) open.reject(new Error(data.message));
  else if (data.job === number) handlers[data.type]?.(data);
};
worker.onerror = () => open.reject(new Error("the browser cannot run the page's worker; expected one of the last three years"));

/**
 * Identifies the queries of some sources; an earlier job is stopped.
 * @param {{blob: Blob, file: string}[]} sources
 * @param {object} on `results({results, share})` several times, then `done({seconds, numProteins})` or
 *   `failed({message})`.
 */
export function identify(sources, on) {
  number++;
  handlers = on;
  worker.postMessage({ type: "identify", job: number, sources });
}

/** Stops the job. */
export function stop() {
  number++;
  worker.postMessage({ type: "stop" });
}

/** The bases on the frame of a query of the job, and of a reference. */
export function basesOf(query, record) {
  return new Promise((resolve) => {
    waiting.set(`${query} ${record}`, resolve);
    worker.postMessage({ type: "align", query, record });
  });
}
