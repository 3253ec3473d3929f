// Records of FASTA and FASTQ, also compressed by gzip, read from a stream. As data/fasta.py and data/fastq.py.

import { readAnnotations, readId } from "./headers.js";

/**
 * A record; its problem is "" if it could be read.
 * @typedef {{id: string, nucleotides: string, file: string, size: number, sample: string, problem: string}} Record
 */

/** A file that cannot be read: one line for the user. */
export class UnreadableFileError extends Error {
  constructor(file, problem, line = 0) {
    super(`${file}${line ? `, line ${line}` : ""}: ${problem}`);
  }
}

const NUCLEOTIDES = /^[ACGTUNRYSWKMBDHV.*-]+$/i;
const DAMAGED = "\ufffd";

// First bytes and lines of files that are something else.
const OTHERS = [
  [/^PAR1/, "a Parquet file; use `barcodemae identify`"],
  [/^PK\x03\x04/, "a ZIP archive or an Excel file; unpack it, or save it as FASTA"],
  [/^LOCUS\s/, "a GenBank file; download it as FASTA"],
  [/^ID {3}\S+; /, "an EMBL file; download it as FASTA"],
  [/^@(?:HD|SQ|PG|RG)\t/, "a SAM file; convert it to FASTQ"],
  [/^#NEXUS/, "a NEXUS file; export it as FASTA"],
  [/^<(?:!doctype|html|\?xml)/i, "a web page or XML; save the sequences themselves"],
  [/^[{[]/, "JSON; save the sequences as FASTA"],
  [/^(?:CLUSTAL|MUSCLE)/, "a Clustal alignment; export it as FASTA"],
];

/**
 * The records of a file or of pasted text. Text without a header is sequences, separated by empty lines.
 * @param {Blob} blob
 * @param {string} file its name, for errors and results.
 * @param {number} maxLength maximum number of nucleotides of a record.
 * @param {(bytes: number) => void} onRead called with the number of bytes after each part that was read.
 * @returns {AsyncGenerator<Record>}
 * @throws {UnreadableFileError}
 */
export async function* readRecords(blob, file, maxLength, onRead) {
  const lines = new Lines(await openText(blob, file, onRead), file);
  let first = await lines.next();
  while (first !== null && (!first || first.startsWith("#")) && !OTHERS.some(([form]) => form.test(first))) {
    first = await lines.next();
  }
  if (first === null) throw new UnreadableFileError(file, "expected sequences, got an empty file");
  const other = OTHERS.find(([form]) => form.test(first));
  if (other) throw new UnreadableFileError(file, `expected FASTA or FASTQ, got ${other[1]}`);
  lines.unread(first);
  const read = first.startsWith(">") ? readFasta : first.startsWith("@") ? readFastq : readPlain;
  for await (const { header, nucleotides, problem = "", line } of read(lines, maxLength)) {
    const isDamaged = nucleotides.includes(DAMAGED);
    const isLong = nucleotides.length > maxLength;
    const long = isLong ? `too long: expected at most ${maxLength.toLocaleString("en")} nucleotides, got more` : "";
    yield {
      id: (read === readFasta ? readId(header) : header.split(/\s+/)[0]) || `${file}:${line}`,
      nucleotides: isLong ? nucleotides.slice(0, 100) : nucleotides,
      file,
      ...readAnnotations(header),
      problem: problem || (isDamaged ? "expected UTF-8 text" : long),
    };
  }
}

async function openText(blob, file, onRead) {
  const [first, second] = new Uint8Array(await blob.slice(0, 2).arrayBuffer());
  const counted = blob.stream().pipeThrough(
    new TransformStream({
      transform(chunk, controller) {
        onRead(chunk.byteLength);
        controller.enqueue(chunk);
      },
    }),
  );
  const isGzip = first === 0x1f && second === 0x8b;
  const encoding = first === 0xff && second === 0xfe ? "utf-16le" : first === 0xfe && second === 0xff ? "utf-16be" : "utf-8";
  const content = isGzip ? counted.pipeThrough(new DecompressionStream("gzip")) : counted;
  return content.pipeThrough(new TextDecoderStream(encoding));
}

/** Reads lines, trimmed, and counts them. */
class Lines {
  constructor(stream, file) {
    Object.assign(this, { reader: stream.getReader(), file, number: 0, waiting: [], rest: "", lines: [], at: 0 });
    this.isEnded = false;
  }

  /** The next line, null after the last. */
  async next() {
    if (this.waiting.length) return this.waiting.pop();
    while (this.at === this.lines.length) {
      if (this.isEnded) return null;
      await this.#readPart();
    }
    this.number++;
    return this.lines[this.at++].trim();
  }

  unread(line) {
    this.waiting.push(line);
  }

  async #readPart() {
    let part;
    try {
      part = await this.reader.read();
    } catch {
      throw new UnreadableFileError(this.file, "expected a complete file, got one that is damaged or cut off");
    }
    if (part.value?.includes("\0")) throw new UnreadableFileError(this.file, "expected FASTA or FASTQ, got a file that is not text");
    const text = this.rest + (part.value ?? "");
    this.lines = text.split(/\r\n|\n|\r(?!$)/);
    this.at = 0;
    this.isEnded = part.done;
    this.rest = part.done ? "" : this.lines.pop();
    if (part.done && this.lines[this.lines.length - 1] === "") this.lines.pop();
  }
}

async function* readFasta(lines, maxLength) {
  let record = null, parts = [], length = 0;
  for (let line = await lines.next(); line !== null; line = await lines.next()) {
    if (line.startsWith(">")) {
      if (record) yield { ...record, nucleotides: parts.join("") };
      record = { header: line.slice(1).trim(), line: lines.number };
      parts = [];
      length = 0;
    } else if (line && !line.startsWith("#") && length <= maxLength) {
      parts.push(line);
      length += line.length;
    }
  }
  yield { ...record, nucleotides: parts.join("") };
}

/** Records of FASTQ, of which sequences and qualities may be wrapped; after a damaged one, the next `@` is tried. */
async function* readFastq(lines) {
  let isLost = false;
  for (let header = await lines.next(); header !== null; header = await lines.next()) {
    if (!header || (isLost && !header.startsWith("@"))) continue;
    const line = lines.number;
    const { nucleotides, problem } = await readFastqRecord(header, lines);
    if (!problem || !isLost) yield { header: header.replace(/^@/, "").trim(), nucleotides, problem, line };
    isLost = Boolean(problem);
  }
}

async function readFastqRecord(header, lines) {
  const damaged = (problem) => ({ nucleotides: "", problem });
  if (!header.startsWith("@")) return damaged(`expected a line that starts with '@', got ${header.slice(0, 20)}`);
  const parts = [];
  let line;
  while ((line = await lines.next()) !== null && !(parts.length && line.startsWith("+"))) {
    if (parts.length && !NUCLEOTIDES.test(line)) {
      lines.unread(line);
      return damaged(`expected '+' on the third line of a FASTQ record, got ${line.slice(0, 20)}`);
    }
    parts.push(line);
  }
  const nucleotides = parts.join("");
  let numQualities = 0;
  do {
    line = await lines.next();
    if (line === null) break;
    numQualities += line.length;
  } while (parts.length > 1 && numQualities < nucleotides.length);
  if (numQualities === nucleotides.length) return { nucleotides, problem: "" };
  if (line?.startsWith("@")) lines.unread(line);
  return damaged(`expected as many qualities as nucleotides, got ${numQualities} and ${nucleotides.length}`);
}

/** Sequences without headers, separated by empty lines. */
async function* readPlain(lines) {
  let parts = [], begin = 0, number = 0;
  for (let line = await lines.next(); ; line = await lines.next()) {
    if (line) {
      begin ||= lines.number;
      parts.push(line.replace(/\s+/g, ""));
      const other = /[^A-Z.*-]/i.exec(line.replace(/\s+/g, ""));
      if (other) {
        const problem = `expected FASTA, FASTQ or plain sequences, got ${line.slice(0, 20)}`;
        throw new UnreadableFileError(lines.file, problem, lines.number);
      }
    } else if (parts.length) {
      number++;
      yield { header: `sequence_${number}`, nucleotides: parts.join(""), line: begin };
      [parts, begin] = [[], 0];
    }
    if (line === null) return;
  }
}
