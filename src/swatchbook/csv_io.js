// CSV (RFC 4180) in a browser, guarded as csv_io.py guards it; pages that save a file take this text in.

// Spreadsheets run a cell that begins like a formula; an apostrophe makes it text, in each of its lines.
function guard(text) {
  return text.replace(/^(?='*[\r\n])/, "'").replace(/(^|[\r\n])('*[=+\-@\t＝＋－＠])/g, "$1'$2");
}

function unguard(text) {
  return text.replace(/^'(?='*[\r\n])/, "").replace(/(^|[\r\n])'('*[=+\-@\t＝＋－＠])/g, "$1$2");
}

function cell(text) {
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** Rows of cells; throws where quotes do not close or stand inside a plain cell. */
function parseCsv(text) {
  const cells = /("(?:[^"]|"")*"|[^",\r\n]*)(,|\r\n|\n|\r|$)/y;
  const rows = [[]];
  while (cells.lastIndex < text.length) {
    const found = cells.exec(text);
    if (!found) throw new Error(`line ${rows.length}: not valid CSV`);
    const [, raw, end] = found;
    rows.at(-1).push(raw.startsWith('"') ? raw.slice(1, -1).replaceAll('""', '"') : raw);
    if (end === "," && cells.lastIndex === text.length) rows.at(-1).push("");
    if (end !== "," && cells.lastIndex < text.length) rows.push([]);
  }
  return rows;
}
