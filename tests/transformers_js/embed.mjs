// Tokenizes and embeds barcodes with transformers.js: `node embed.mjs FOLDER DTYPE < texts.json > answer.json`.

import { readFileSync } from "node:fs";
import { basename, dirname } from "node:path";
import { AutoModel, AutoTokenizer, env, pipeline } from "@huggingface/transformers";

const [folder, dtype] = process.argv.slice(2);
const texts = JSON.parse(readFileSync(0, "utf8"));

env.allowRemoteModels = false;
env.localModelPath = dirname(folder);
const name = basename(folder);

const tokenizer = await AutoTokenizer.from_pretrained(name);
const model = await AutoModel.from_pretrained(name, { dtype });
const extract = await pipeline("feature-extraction", name, { dtype });

// Alone, so that no padding is among the ids.
const ids = texts.map((text) => tokenizer(text, { truncation: true }).input_ids.tolist()[0].map(Number));
const batch = tokenizer(texts, { padding: true, truncation: true });
const { last_hidden_state, pooler_output } = await model(batch);
const extracted = await extract(texts, { pooling: "mean" });

console.log(
  JSON.stringify({
    ids,
    shape: last_hidden_state.dims,
    pooled: pooler_output.tolist(),
    extracted: extracted.tolist(),
  }),
);
