// Ids and annotations of reads in headers. As data/headers.py, of which queries need only the ids, and
// data/annotations.py.

const PROCESS_ID = /^[A-Z][A-Z0-9]*-\d{2}$/;

const BEGIN = String.raw`(?:^|[;\s{,])`;
const SIZE = new RegExp(String.raw`${BEGIN}(?:(?:size|count)=|"count":\s*)([1-9][0-9]{0,14})\s*(?:[;,}\s]|$)`);
const SAMPLE = new RegExp(String.raw`${BEGIN}(?:(?:sample|barcodelabel)=["']?|"sample":\s*")([^;\s"',}]+)`);

/** The id in a header of FASTA: its first word, without names of SINTAX and MIDORI2; of BOLD the process id. */
export function readId(header) {
  const tax = /(?:^|[;\s])tax=/.exec(header);
  const first = (tax ? header.slice(0, tax.index) : header).trim().split(/\s+/)[0];
  if (tax) return first.replace(/;+$/, "");
  const process = header.split("|")[0].trim();
  if (header.includes("|") && PROCESS_ID.test(process)) return process;
  return first.split("###")[0];
}

/** The number of reads that a record is for, 1 where a header has none, and their sample, "" where it has none. */
export function readAnnotations(header) {
  return { size: Number(SIZE.exec(header)?.[1] ?? 1), sample: SAMPLE.exec(header)?.[1] ?? "" };
}
