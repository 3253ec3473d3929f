// The library of a page: tensors and names, as barcodemae/page/content.py writes them.

import { BaseMapEmbedder } from "../embedding/base_map.js";
import { ReferenceFrame } from "../tokenization/reference_frame.js";
import { Calibration } from "./calibration/probability.js";
import { readSafetensors } from "./safetensors.js";
import { VectorSearch } from "./search/nearest.js";
import { PartSearch } from "./search/short_queries.js";

const FOLDER = new URL("../files/", import.meta.url);

/** What a library is: its name, size and settings. */
export const fetchFacts = async () => (await fetchFile("library.json")).json();

/** The names of all records. */
export async function fetchNames() {
  return new Names(await (await fetchFile("names.json")).json());
}

async function fetchFile(name) {
  const response = await fetch(new URL(name, FOLDER));
  if (!response.ok) throw new Error(`${name}: expected a file of the library, got status ${response.status}`);
  return response;
}

/** The ids, names and BINs of records. */
export class Names {
  constructor(columns) {
    this.columns = columns;
    this.ids = columns.id;
    this.ranks = Object.keys(columns).filter((column) => column !== "id" && column !== "bin");
    this.numbers = Object.fromEntries(this.ranks.map((rank) => [rank, Int32Array.from(columns[rank].numbers)]));
  }

  /** The text of a number at a rank, "" for -1. */
  decode(rank, number) {
    return number < 0 ? "" : this.columns[rank].values[number];
  }

  /** The name of a record at a rank, or its BIN; "" where unknown. */
  of(record, column) {
    return this.decode(column, this.columns[column].numbers[record]);
  }

  /** The lowest known name of a record. */
  lowest(record) {
    const rank = this.ranks.findLast((one) => this.of(record, one));
    return rank ? this.of(record, rank) : "";
  }
}

/** A library opened to be searched. */
export class StoredLibrary {
  static async open() {
    const [facts, names, tensors, calibration] = await Promise.all([
      fetchFacts(),
      fetchNames(),
      fetchFile("library.safetensors").then((response) => response.arrayBuffer()),
      fetchFile("calibration.json").then((response) => response.json()),
    ]);
    return new StoredLibrary(facts, names, readSafetensors(tensors), calibration);
  }

  constructor(facts, names, tensors, calibration) {
    this.settings = facts.settings;
    this.reading = facts.reading;
    this.names = names;
    this.frame = new ReferenceFrame(tensors.profile.values, facts.frame.min_score, facts.settings);
    this.baseMap = new BaseMapEmbedder(tensors.table.values, tensors.table.shape[2], facts.model.k);
    this.calibration = new Calibration(calibration, facts.settings);
    this.vectors = tensors.vectors.values;
    this.bases = unpackBases(tensors.bases, this.frame.length);
    this.projection = new Projection(tensors.mean.values, tensors.axes.values);
    this.search = new VectorSearch(this.vectors, this.baseMap.dimension);
    this.partSearch = new PartSearch(this.bases, this.baseMap, this.frame.length, facts.settings.num_near);
  }

  /** The coordinates of all records on the map, `[2 n]`. */
  points() {
    const dimension = this.baseMap.dimension, points = new Float32Array(2 * this.bases.length);
    for (let record = 0; record < this.bases.length; record++) {
      points.set(this.projection.of(this.vectors.subarray(record * dimension, (record + 1) * dimension)), 2 * record);
    }
    return points;
  }
}

/** The plane in which the vectors of the library vary most. */
class Projection {
  /** @param {Float32Array} mean `[dimension]`. @param {Float32Array} axes `[2, dimension]`. */
  constructor(mean, axes) {
    Object.assign(this, { mean, axes });
  }

  of(vector) {
    const { mean, axes } = this, point = [0, 0];
    for (let i = 0; i < mean.length; i++) {
      point[0] += (vector[i] - mean[i]) * axes[i];
      point[1] += (vector[i] - mean[i]) * axes[mean.length + i];
    }
    return point;
  }
}

/** Bases `[n][length]` of records, which are packed two to a byte as code plus 1, the first one in the lower bits. */
function unpackBases({ values, shape: [num, width] }, length) {
  const bases = new Int8Array(num * length);
  for (let record = 0; record < num; record++) {
    for (let c = 0; c < length; c++) {
      bases[record * length + c] = ((values[record * width + (c >> 1)] >> (4 * (c & 1))) & 15) - 1;
    }
  }
  return Array.from({ length: num }, (_, record) => bases.subarray(record * length, (record + 1) * length));
}
