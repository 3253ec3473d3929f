// Identifies queries beside the page, so that it responds meanwhile. Messages are explained in client.js.

import { looksLikeProtein } from "./data/quality.js";
import { UnreadableFileError, readRecords } from "./data/records.js";
import { Identifier } from "./library/identification.js";
import { StoredLibrary } from "./library/store.js";

const BLOCK_MILLISECONDS = 150;

const opened = StoredLibrary.open();
let bases = []; // of the queries of the last job, by their number
let job = 0;

opened.then(
  (library) => postMessage({ type: "opened", points: library.points() }),
  (error) => postMessage({ type: "failed", job, message: error.message }),
);

onmessage = async ({ data }) => {
  if (data.type === "identify") await identify(data);
  else if (data.type === "stop") job++;
  else if (data.type === "align") await align(data);
};

async function identify({ job: number, sources }) {
  job = number;
  bases = [];
  try {
    const library = await opened;
    const identifier = new Identifier(library);
    const numBytes = sources.reduce((sum, { blob }) => sum + blob.size, 0);
    let results = [], numRead = 0, numProteins = 0, since = performance.now();
    const begin = since;
    const send = () => {
      postMessage({ type: "results", job: number, results, share: numRead / Math.max(numBytes, 1) });
      results = [];
      since = performance.now();
    };
    for (const { blob, file } of sources) {
      for await (const record of readRecords(blob, file, library.settings.max_length, (read) => (numRead += read))) {
        const identified = identifier.identify(record);
        results.push(identified.result);
        bases.push(identified.bases);
        numProteins += looksLikeProtein(record.nucleotides);
        if (performance.now() - since < BLOCK_MILLISECONDS) continue;
        send();
        await new Promise((resolve) => setTimeout(resolve)); // for messages
        if (job !== number) return;
      }
    }
    send();
    postMessage({ type: "done", job: number, seconds: (performance.now() - begin) / 1000, numProteins });
  } catch (error) {
    const message = error instanceof UnreadableFileError ? error.message : `This is a defect of the page: ${error.message}`;
    postMessage({ type: "failed", job: number, message });
  }
}

async function align({ query, record }) {
  const library = await opened;
  postMessage({ type: "aligned", query, record, bases: bases[query], reference: library.bases[record] });
}
