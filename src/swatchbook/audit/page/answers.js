// What a person answered: functions over one plain object, and that object as a CSV file.
//
// work:  {sample, columns, attributes: [{name, classes}], cannot_tell, several, names: [image_id, …]}
//        and where labels are corrected given: [[label an attribute]], asked: [[whether it is asked about]]
// state: {annotator, at, active, entries: [{labels: [text an attribute], note, seconds}], undo: [step]}
// A label "" means "not judged yet".

const UNDO_STEPS = 300;

/** An item's answers at the start: blank, or where labels are corrected those that nobody asks about. */
function newEntry(work, k) {
  const labels = work.attributes.map((_, a) =>
    (work.given && !work.asked[k][a] ? work.given[k][a] || work.cannot_tell : ""));
  return { labels, note: "", seconds: 0 };
}

function newState(work, annotator) {
  const entries = work.names.map((_, k) => newEntry(work, k));
  return { annotator, at: 0, active: firstUnanswered(entries[0]), entries, undo: [] };
}

/** Whether a stored object is a state of this work, so that a damaged one is not taken for answers. */
function fits(work, state) {
  const whole = (n, end) => Number.isInteger(n) && n >= 0 && n < end;
  return Boolean(state) && typeof state.annotator === "string" && Array.isArray(state.undo)
    && whole(state.at, work.names.length + 1) && whole(state.active, work.attributes.length)
    && Array.isArray(state.entries) && state.entries.length === work.names.length
    && state.entries.every((entry) => entry && typeof entry.note === "string"
      && Number.isFinite(entry.seconds) && Array.isArray(entry.labels)
      && entry.labels.length === work.attributes.length
      && entry.labels.every((label, a) => allowed(work, a).includes(label)));
}

function allowed(work, a) {
  return ["", ...work.attributes[a].classes, work.cannot_tell, work.several];
}

function setLabel(state, k, a, label) {
  state.undo.push({ k, a, before: state.entries[k].labels[a] });
  if (state.undo.length > UNDO_STEPS) state.undo.shift();
  state.entries[k].labels[a] = label;
}

/** Take the last answer back and go to where it was given; the item, or null if there is none. */
function undoLabel(state) {
  const step = state.undo.pop();
  if (!step) return null;
  state.entries[step.k].labels[step.a] = step.before;
  state.at = step.k;
  state.active = step.a;
  return step.k;
}

function isDone(entry) {
  return entry.labels.every((label) => label !== "");
}

function countDone(state) {
  return state.entries.filter(isDone).length;
}

/** The first item that lacks an answer; the number of items if none does. */
function firstOpen(state) {
  const k = state.entries.findIndex((entry) => !isDone(entry));
  return k < 0 ? state.entries.length : k;
}

/** The next item after k that lacks an answer; the number of items if none does. */
function nextOpen(state, k) {
  const next = state.entries.findIndex((entry, each) => each > k && !isDone(entry));
  return next < 0 ? state.entries.length : next;
}

function firstUnanswered(entry) {
  return Math.max(0, entry.labels.indexOf(""));
}

/** Seconds that the rest will take, by the median of the finished items; null before there are five. */
function secondsLeft(state) {
  const spent = state.entries.filter((entry) => isDone(entry) && entry.seconds > 0)
    .map((entry) => entry.seconds).sort((x, y) => x - y);
  if (spent.length < 5) return null;
  const middle = (spent[(spent.length - 1) >> 1] + spent[spent.length >> 1]) / 2;
  return middle * (state.entries.length - countDone(state));
}

// ---- as a file, by csv_io.js --------------------------------------------------------------------------

function toCsv(work, state) {
  const rows = state.entries.map((entry, k) => [
    work.sample, String(k + 1), work.names[k], state.annotator,
    ...entry.labels, entry.note, entry.seconds.toFixed(1),
  ]);
  return [work.columns, ...rows.map((row) => row.map(guard))]
    .map((row) => `${row.map(cell).join(",")}\r\n`).join("");
}

function answersFile(annotator) {
  return `answers-${annotator.normalize("NFC").replace(/[^\p{L}\p{M}\p{N}_-]+/gu, "-")}.csv`;
}

/** Answers from a file of this sample, as a state; throws one error that names the first wrong line. */
function fromCsv(work, text) {
  const plain = text.replace(/^\uFEFF/, "");
  const [header] = parseCsv(plain.split(/[\r\n]/, 1)[0]); // first: other separators also upset the quotes
  if (header.join(",") !== work.columns.join(","))
    throw new Error(`its columns are “${header.join(",").slice(0, 80)}”; needed: ${work.columns.join(",")}`);
  const [, ...rows] = parseCsv(plain);
  if (!rows.length) throw new Error("it has a header and no answers");
  const state = newState(work, unguard(rows[0][3] ?? ""));
  const seen = new Set();
  rows.forEach((row, r) => {
    const problem = readRow(work, state, row.map(unguard), seen);
    if (problem) throw new Error(`line ${r + 2}: ${problem}`);
  });
  state.at = firstOpen(state);
  state.active = state.at < work.names.length ? firstUnanswered(state.entries[state.at]) : 0;
  return state;
}

/** Put one row into the state; what is wrong with it, if anything. */
function readRow(work, state, row, seen) {
  if (row.length !== work.columns.length) return `${row.length} cells; needed: ${work.columns.length}`;
  const [sample, item, imageId, annotator] = row;
  const labels = row.slice(4, -2);
  const [note, seconds] = row.slice(-2);
  const k = Number(item) - 1;
  if (sample !== work.sample) return "it belongs to another sample";
  if (!/^[1-9]\d*$/.test(item) || k >= work.names.length) return `there is no item “${item}”`;
  if (seen.has(k)) return `item ${item} is there twice`;
  if (imageId !== work.names[k]) return `item ${item} is another image`;
  if (annotator !== state.annotator || nameProblem(annotator)) return `annotator “${annotator}”`;
  const wrong = labels.findIndex((label, a) => !allowed(work, a).includes(label));
  if (wrong >= 0) return `${work.attributes[wrong].name} “${labels[wrong]}” is no answer`;
  if (!/^\d*\.?\d*$/.test(seconds)) return `seconds “${seconds}”`;
  seen.add(k);
  state.entries[k] = { labels, note, seconds: Number(seconds) };
  return null;
}

/** What is wrong with a person's name, or null. */
function nameProblem(name) {
  if (!/^[\p{L}\p{N}]/u.test(name)) return "A name starts with a letter or a digit.";
  if (!/^[\p{L}\p{M}\p{N} ._'-]+$/u.test(name)) return "A name has letters, digits, spaces and . _ ' - only.";
  if (name.length > 40) return "A name has at most 40 characters.";
  if (name === "all") return "“all” stands for everybody; take another name.";
  if (name.trim() !== name) return "A name has no spaces around it.";
  return null;
}
