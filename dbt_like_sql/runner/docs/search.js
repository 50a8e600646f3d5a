// Search: a word finds words that begin with it or have the same stem. Every word must occur in a table's entries,
// except words that no table has.

const WORD = /[\p{L}\p{N}]+/gu;
const wordsOf = (text) => text.toLowerCase().match(WORD) || [];
const stems = new Map();

// "expiring", "expires" and "expiry" have one stem, and so have "redeem" and "redemption".
function stem(word) {
  if (!stems.has(word)) {
    let base = word;
    if (base.length > 3) base = base.replace(/ies$/, "y").replace(/([^s])s$/, "$1").replace(/^redempt(ion)?$/, "redeem");
    base = base.replace(/^(.{4,})at(e|ed|ing|ion)$/, "$1").replace(/^(.{3,}?)(ment|ing|ed|ly|al)$/, "$1");
    if (base.length > 4) base = base.replace(/[ey]$/, "");
    stems.set(word, base.length > 3 ? base.replace(/([^aeious])\1$/, "$1") : base);
  }
  return stems.get(word);
}

// From 1, the same word, to 0.
function fit(word, token) {
  if (token === word) return 1;
  const [wanted, held] = [stem(word), stem(token)];
  if (wanted === held) return 0.9;
  if (token.startsWith(word)) return 0.7;
  return wanted.length >= 4 && held.startsWith(wanted) ? 0.6 : 0;
}

const fitOf = (word, tokens) => tokens.reduce((best, token) => Math.max(best, fit(word, token)), 0);
const LAYER_BONUS = { reports: 4, marts: 3 };
const LAST = new Set(["test", "code"]);
const PREFIXES = new Set(["rpt", "fct", "dim", "int", "stg", "rivo"]);

// `phrase` has the words of a name: a query that is the whole name is the best hit. Earlier names of a table weigh more.
let known = null;
function entries() {
  known = known || data.tables.map((table) => ({
    table,
    entries: [
      { what: "", text: table.id, weight: 5, place: 0, phrase: wordsOf(nameOf(table.id)).filter((word) => !PREFIXES.has(word)) },
      ...(table.also_called || []).map((text, place) => ({ what: "also called", text, weight: 6, place, phrase: wordsOf(text) })),
      ...(table.questions || []).map((text) => ({ what: "answers", text, weight: 6 })),
      { what: "", text: table.description, weight: 4 },
      ...table.columns.map((column) => ({ what: "column", column: column.name, text: `${column.name}: ${column.description}`, weight: 3 })),
      ...(table.tests || []).map((test) => ({ what: "test", text: test.description || test.name, weight: 1 })),
      ...(table.code || "").split("\n").map((text) => ({ what: "code", text, weight: 0.5 })),
    ].map((entry) => ({ ...entry, tokens: [...new Set(wordsOf(entry.text || ""))] })).filter((entry) => entry.tokens.length),
  }));
  return known;
}

function strength(entry, fits, words, isForPeople) {
  const held = fits.filter(Boolean).length;
  const quality = fits.reduce((sum, one) => sum + one, 0) / words.length;
  if (entry.phrase && held === words.length) {
    const coverage = Math.min(1, words.length / entry.phrase.length);
    const inOne = words.every((word) => fitOf(word, entry.phrase));
    // Analysts look for marts and reports. The name of a raw table is a hit like others.
    if (inOne) return (isForPeople ? (coverage === 1 ? 30 : 10 + 10 * coverage) : 12) * quality - 0.4 * entry.place;
  }
  return entry.weight * quality * (held === words.length ? 2 : 1);
}

function hitOf({ table, entries: all }, words) {
  const hits = [];
  const best = words.map(() => 0);
  const spoken = words.map(() => false);
  for (const entry of all) {
    const fits = words.map((word) => fitOf(word, entry.tokens));
    if (!fits.some(Boolean)) continue;
    fits.forEach((one, index) => {
      best[index] = Math.max(best[index], one * entry.weight);
      spoken[index] = spoken[index] || (one > 0 && !LAST.has(entry.what));
    });
    hits.push({ ...entry, strength: strength(entry, fits, words, schemaOf(table.id) in LAYER_BONUS) });
  }
  if (!best.every(Boolean)) return null;
  hits.sort((a, b) => b.strength - a.strength);
  const spread = best.reduce((sum, one) => sum + one, 0) / (2 * words.length);
  return { table, hits, isLast: !spoken.every(Boolean), score: hits[0].strength + spread + (LAYER_BONUS[schemaOf(table.id)] || 0) };
}

function results(query) {
  const asked = wordsOf(query);
  const isHeld = (word) => entries().some(({ entries: all }) => all.some((entry) => fitOf(word, entry.tokens)));
  const words = asked.filter(isHeld);
  const missing = asked.filter((word) => !words.includes(word)).map((word) => `“${word}”`).join(", ");
  const found = words.length ? entries().map((one) => hitOf(one, words)).filter(Boolean) : [];
  const place = new Map(inOrder(data.tables).map((table, index) => [table, index]));
  found.sort((a, b) => a.isLast - b.isLast || b.score - a.score || place.get(a.table) - place.get(b.table));
  return [
    el("h1", {}, el("small", {}, "Search"), query),
    el("p", { class: "soft", role: "status" }, found.length ? `${missing ? `No table has ${missing}. Without it: found` : "Found"} in ${plural(found.length, "table")}.` : "No table has all of these words. Try fewer words, or the beginning of a word."),
    found.map(({ table, hits }) => el("div", { class: "result" },
      el("a", { href: address(table.id), class: "name" }, marked(table.id, words)),
      hits.filter((entry) => entry.what || entry.text !== table.id).slice(0, 4).map((entry) =>
        el("p", { class: "small" }, entry.what && el("span", { class: "soft" }, entry.what + "  "),
          entry.column ? el("a", { href: address(table.id, entry.column) }, marked(excerpt(entry.text, words), words)) : marked(excerpt(entry.text, words), words))))),
  ];
}

function excerpt(text, words) {
  const flat = text.replace(/\s+/g, " ").trim();
  const first = [...flat.matchAll(WORD)].find((one) => words.some((word) => fit(word, one[0].toLowerCase())));
  const at = first && first.index > 80 ? flat.lastIndexOf(" ", first.index - 60) + 1 : 0;
  return (at ? "…" : "") + flat.slice(at, at + 180) + (flat.length > at + 180 ? "…" : "");
}

function marked(text, words) {
  const parts = [];
  let at = 0;
  for (const one of text.matchAll(WORD)) {
    if (!words.some((word) => fit(word, one[0].toLowerCase()))) continue;
    parts.push(text.slice(at, one.index), el("mark", {}, one[0]));
    at = one.index + one[0].length;
  }
  return [...parts, text.slice(at)];
}
