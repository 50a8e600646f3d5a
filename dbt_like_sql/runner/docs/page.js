"use strict";
// The data is only ever set as text, never parsed as markup.
const data = JSON.parse(document.getElementById("data").textContent);
const tables = new Map(data.tables.map((table) => [table.id, table]));
const readers = new Map(data.tables.map((table) => [table.id, []]));
for (const table of data.tables) for (const read of table.reads) readers.get(read).push(table.id);
const main = document.getElementById("main");
const search = document.getElementById("search");

// Creates an element: el("a", {href: "#"}, "text", otherElement, [more, elements]).
function el(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) if (value != null) node.setAttribute(name, value);
  node.append(...children.flat().filter((child) => child != null && child !== ""));
  return node;
}

function svg(tag, attributes, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

const schemaOf = (id) => id.slice(0, id.indexOf("."));
const nameOf = (id) => id.slice(id.indexOf(".") + 1);
const address = (id, column) => "#" + encodeURIComponent(id) + (column ? "/" + encodeURIComponent(column) : "");
const link = (id, text) => el("a", { href: address(id), class: "name" }, text || id);
const plural = (count, word) => `${count.toLocaleString("en")} ${word}${count === 1 ? "" : "s"}`;
const sentence = (text) => (text.replace(/\s+/g, " ").match(/^.+?[.!?](?= |$)/) || [text])[0];
const SIGNS = { pass: "✓ passed", warn: "! warning", fail: "✕ failed", error: "✕ could not run" };
const state = (status) => el("span", { class: "state " + (status || "none") }, SIGNS[status] || "not run yet");

// The pages.

function home() {
  const answering = data.tables.filter((table) => (table.questions || []).length);
  const tests = data.tables.flatMap((table) => (table.tests || []).map((test) => ({ ...test, table: table.id })));
  const notPassed = tests.filter((test) => test.status && test.status !== "pass");
  const passed = tests.filter((test) => test.status === "pass").length;
  return [
    el("h1", {}, data.title),
    el("p", { class: "lead" }, "Every table of the warehouse: its content, the origin of each column, and its tests."),
    el("p", { class: "soft small" }, data.note + (data.as_of ? `, as of ${data.as_of}.` : /[.]$/.test(data.note) ? "" : ".")),
    data.has_results &&
      el("p", { class: "small" }, el("span", { class: "state pass" }, "✓ " + plural(passed, "test") + " passed"),
        notPassed.length ? `, ${notPassed.length} did not pass:` : "."),
    notPassed.length &&
      el("ul", {}, notPassed.map((test) => el("li", {}, state(test.status), " ", link(test.table), ` ${test.description || test.name} `, el("span", { class: "soft" }, test.message)))),
    answering.length && el("h2", {}, "Questions the warehouse answers"),
    answering.length &&
      el("ul", { class: "plain questions" }, inOrder(answering).flatMap((table) => table.questions.map((question) =>
        el("li", {}, el("a", { href: address(table.id) }, question), el("span", { class: "soft small name" }, "  " + table.id))))),
    el("h2", {}, "Lineage"),
    el("p", { class: "soft small" }, "Data flows from left to right. Point at a table to highlight the tables it is built from and those built from it. Click it to open its page."),
    graph(data.tables.filter((table) => table.reads.length || readers.get(table.id).length).map((table) => table.id)),
    data.schemas.flatMap((schema) => {
      const found = data.tables.filter((table) => schemaOf(table.id) === schema.name);
      return found.length ? [el("h2", {}, schema.name), el("p", { class: "soft" }, schema.about), listing(found)] : [];
    }),
  ];
}

function inOrder(found) {
  const place = (table) => data.schemas.findIndex((schema) => schema.name === schemaOf(table.id));
  return [...found].sort((a, b) => place(a) - place(b));
}

function listing(found) {
  return el("table", { class: "stack" },
    el("thead", {}, el("tr", {}, el("th", {}, "Table"), el("th", { class: "number" }, "Rows"), el("th", {}, "Description"))),
    el("tbody", {}, found.map((table) => el("tr", {},
      el("td", {}, link(table.id, nameOf(table.id))),
      el("td", { class: "number", "data-unit": "rows" }, table.rows == null ? "" : table.rows.toLocaleString("en")),
      el("td", {}, sentence(table.description || "No description."))))));
}

function tablePage(table, column) {
  const facts = [
    ["One row", table.grain && table.grain.length ? "for each " + table.grain.join(", ") : null],
    ["Also called", (table.also_called || []).length ? table.also_called.join(", ") : null],
    ["Each row", table.does ? el("code", {}, table.does) : null],
    ["Key", table.key ? table.key.join(", ") + ": a key is sent once, ever" : null],
    ["Limits", table.limits && table.limits.length ? table.limits.join(", ") : null],
    ["Enabled", table.does ? (table.enabled ? "yes" : "no: it cannot be applied") : null],
    ["Rows", table.does ? null : table.rows == null ? "unknown: the table is not in the warehouse yet" : table.rows.toLocaleString("en") + (data.as_of ? `, as of ${data.as_of}` : "")],
    ["Read from", table.reads.length ? join(table.reads.map((id) => link(id))) : null],
    ["Read by", readers.get(table.id).length ? join(readers.get(table.id).map((id) => link(id))) : null],
    ["Tags", (table.tags || []).length ? table.tags.map((tag) => el("span", { class: "tag" }, tag)) : null],
    ["File", table.file ? el("code", {}, table.file) : null],
  ].filter((fact) => fact[1] != null);
  const around = reach(table.id, (id) => tables.get(id).reads).concat(reach(table.id, (id) => readers.get(id)), [table.id]);
  const broken = table.built && table.built.status !== "success";
  return [
    el("h1", {}, el("small", {}, KINDS[table.kind]), table.id.split(/(?<=[._])/).flatMap((part) => [part, el("wbr")])),
    (table.description || "No description.").split(/\n\s*\n/).map((text) => el("p", { class: "lead" }, text)),
    broken && el("p", { class: "notice" }, `The last build did not update this table. ${table.built.message}`),
    (table.questions || []).length && [el("h2", {}, "Questions it answers"), el("ul", {}, table.questions.map((question) => el("li", {}, question)))],
    table.example && [el("h2", {}, "Example"), el("pre", { tabindex: 0 }, table.example)],
    el("dl", { class: "facts" }, facts.flatMap(([title, text]) => [el("dt", {}, title), el("dd", {}, text)])),
    around.length > 1 && [el("h2", {}, "Lineage"), graph(around, table.id)],
    el("h2", {}, plural(table.columns.length, "column")),
    columns(table, column),
    (table.tests || []).length && [el("h2", {}, plural(table.tests.length, "test")), tests(table)],
    table.code && [el("h2", {}, table.kind === "python" ? "Python" : "SQL"), el("pre", { tabindex: 0 }, table.code.trim())],
  ].flat();
}

const KINDS = { raw: "raw table, as loaded", seed: "seed, a small table maintained by hand", sql: "model", action: "action, calls to Rivo", python: "Python model" };
const join = (nodes) => nodes.flatMap((node, index) => (index ? [", ", node] : [node]));

function columns(table, chosen) {
  return el("table", { class: "stack" },
    el("thead", {}, el("tr", {}, el("th", {}, "Column"), el("th", {}, "Type"), el("th", {}, "Description"))),
    el("tbody", {}, table.columns.map((column) => el("tr", { class: column.name === chosen ? "here" : null },
      el("td", {}, el("a", { href: address(table.id, column.name), class: "name" }, column.name)),
      el("td", { class: "type name" }, column.type || ""),
      el("td", {}, column.description || el("span", { class: "soft" }, "No description."),
        column.from.length ? el("span", { class: "origins" }, "from ", join(origins(column.from))) : null)))));
}

// Each table is named once: rivo_raw.rewards.id, name.
function origins(names) {
  let last = null;
  return names.map((name) => {
    const cut = name.lastIndexOf(".");
    const [table, column] = [name.slice(0, cut), name.slice(cut + 1)];
    const text = table === last ? column : name;
    last = table;
    return el("a", { href: address(table, column), class: "name", title: name }, text);
  });
}

function tests(table) {
  return el("table", { class: "stack" },
    el("thead", {}, el("tr", {}, el("th", {}, "Last result"), el("th", {}, "Test"))),
    el("tbody", {}, table.tests.map((test) => el("tr", {},
      el("td", {}, state(test.status)),
      el("td", {}, test.description || test.name,
        test.status && test.status !== "pass" ? el("p", { class: test.status }, test.message) : null,
        el("details", { class: "small" }, el("summary", {}, test.severity === "error" ? "a failure blocks the new version" : "warns only"),
          el("p", { class: "soft name" }, test.name), el("pre", { tabindex: 0 }, test.sql)))))));
}

// Search: each table with the places where the words occur. Names have the highest weight.

const entries = data.tables.flatMap((table) => [
  { table, weight: 8, what: "", text: table.id },
  ...(table.also_called || []).map((text) => ({ table, weight: 9, what: "also called", text })),
  ...(table.questions || []).map((text) => ({ table, weight: 5, what: "answers", text })),
  { table, weight: 4, what: "", text: table.description },
  ...table.columns.map((column) => ({ table, weight: 3, what: "column", column: column.name, text: `${column.name}: ${column.description}` })),
  ...(table.tests || []).map((test) => ({ table, weight: 1, what: "test", text: test.description || test.name })),
  ...(table.code || "").split("\n").map((text) => ({ table, weight: 1, what: "code", text })),
]);

function results(query) {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  const found = new Map();
  for (const entry of entries) {
    const text = (entry.text || "").toLowerCase();
    const held = words.filter((word) => text.includes(word));
    if (!held.length) continue;
    const hit = found.get(entry.table) || { score: 0, words: new Set(), entries: [] };
    const strength = held.length * entry.weight + (text === words[0] || nameOf(text) === words[0] ? 9 : 0);
    hit.score = Math.max(hit.score, strength);
    held.forEach((word) => hit.words.add(word));
    hit.entries.push({ ...entry, strength });
    found.set(entry.table, hit);
  }
  // Keep tables in which every word occurs; show the places with most of the words first.
  for (const [table, hit] of found) {
    if (hit.words.size < words.length) found.delete(table);
    hit.entries.sort((a, b) => b.strength - a.strength);
  }
  const ranked = inOrder([...found.keys()]).sort((a, b) => found.get(b).score - found.get(a).score);
  return [
    el("h1", {}, el("small", {}, "Search"), query),
    el("p", { class: "soft", role: "status" }, ranked.length ? `Found in ${plural(ranked.length, "table")}.` : "No table matches all of these words. Try fewer words, or part of a word."),
    ranked.map((table) => el("div", { class: "result" },
      el("a", { href: address(table.id), class: "name" }, marked(table.id, words)),
      found.get(table).entries.filter((entry) => entry.what || entry.text !== table.id).slice(0, 4).map((entry) =>
        el("p", { class: "small" }, entry.what && el("span", { class: "soft" }, entry.what + "  "),
          entry.column ? el("a", { href: address(table.id, entry.column) }, marked(excerpt(entry.text, words), words)) : marked(excerpt(entry.text, words), words))))),
  ];
}

function excerpt(text, words) {
  const flat = text.replace(/\s+/g, " ").trim();
  const at = Math.max(0, flat.toLowerCase().indexOf(words[0]) - 60);
  return (at ? "…" : "") + flat.slice(at, at + 180) + (flat.length > at + 180 ? "…" : "");
}

function marked(text, words) {
  const parts = [];
  const lower = text.toLowerCase();
  let at = 0;
  while (at < text.length) {
    const next = words.map((word) => ({ word, index: lower.indexOf(word, at) })).filter((hit) => hit.index >= 0).sort((a, b) => a.index - b.index || b.word.length - a.word.length)[0];
    if (!next) break;
    parts.push(text.slice(at, next.index), el("mark", {}, text.slice(next.index, next.index + next.word.length)));
    at = next.index + next.word.length;
  }
  return [...parts, text.slice(at)];
}

// The graph: layers from left to right; a layer has several columns if its tables read one another.

function reach(id, step) {
  const found = new Set();
  const todo = [...step(id)];
  while (todo.length) {
    const next = todo.pop();
    if (!found.has(next)) { found.add(next); todo.push(...step(next)); }
  }
  return [...found];
}

const LAYERS = ["raw", "seeds", "staging", "intermediate", "marts", "reports"];
const layerOf = (id) => (tables.get(id).kind === "raw" ? "raw" : schemaOf(id));

function layout(ids) {
  const inside = new Set(ids);
  const depth = new Map();
  const depthOf = (id) => {
    if (!depth.has(id)) {
      const below = tables.get(id).reads.filter((read) => inside.has(read) && layerOf(read) === layerOf(id));
      depth.set(id, below.length ? 1 + Math.max(...below.map(depthOf)) : 0);
    }
    return depth.get(id);
  };
  const stacks = [];
  for (const layer of LAYERS) {
    const members = ids.filter((id) => layerOf(id) === layer);
    for (const id of members) {
      const index = depthOf(id);
      const key = layer === "seeds" ? "raw0" : layer + index;
      let stack = stacks.find((one) => one.key === key);
      if (!stack) stacks.push((stack = { key, layer, first: index === 0, ids: [] }));
      stack.ids.push(id);
    }
  }
  stacks.sort((a, b) => LAYERS.indexOf(a.layer === "seeds" ? "raw" : a.layer) - LAYERS.indexOf(b.layer === "seeds" ? "raw" : b.layer) || a.key.localeCompare(b.key, "en", { numeric: true }));
  // Reduce crossings: move each table near the middle of the tables it reads, then of those that read it.
  const rank = new Map();
  const number = () => stacks.forEach((stack) => stack.ids.forEach((id, index) => rank.set(id, index - stack.ids.length / 2)));
  number();
  for (let sweep = 0; sweep < 8; sweep++) {
    const near = sweep % 2 ? (id) => readers.get(id) : (id) => tables.get(id).reads;
    for (const stack of sweep % 2 ? [...stacks].reverse() : stacks) {
      const middle = new Map(stack.ids.map((id) => {
        const neighbours = near(id).filter((other) => inside.has(other));
        return [id, neighbours.length ? neighbours.reduce((sum, other) => sum + rank.get(other), 0) / neighbours.length : rank.get(id)];
      }));
      stack.ids.sort((a, b) => middle.get(a) - middle.get(b));
    }
    number();
  }
  for (const stack of stacks) stack.ids.sort((a, b) => (layerOf(a) === "seeds") - (layerOf(b) === "seeds"));
  return stacks;
}

function graph(ids, self) {
  const ROW = 34, BOX = 24, GAP = 56, TOP = 34, SIDE = 14;
  const stacks = layout([...new Set(ids)]);
  const tallest = Math.max(...stacks.map((stack) => stack.ids.length));
  const place = new Map();
  let x = SIDE;
  const heads = [];
  for (const stack of stacks) {
    const width = Math.max(...stack.ids.map((id) => nameOf(id).length * 7.3 + 20), 70);
    const offset = ((tallest - stack.ids.length) * ROW) / 2;
    if (stack.first) heads.push(svg("text", { x, y: 20, class: "head" }, [...new Set(stack.ids.map(schemaOf))].join(", ")));
    stack.ids.forEach((id, index) => place.set(id, { x, y: TOP + offset + index * ROW, width }));
    x += width + GAP;
  }
  const width = x - GAP + SIDE, height = TOP + tallest * ROW + 4;
  const edges = [];
  for (const id of place.keys()) {
    for (const read of tables.get(id).reads.filter((other) => place.has(other))) {
      const from = place.get(read), to = place.get(id);
      const [x1, y1, x2, y2] = [from.x + from.width, from.y + BOX / 2, to.x, to.y + BOX / 2];
      const bend = Math.min(60, (x2 - x1) / 2);
      edges.push({ from: read, to: id, node: svg("path", { d: `M${x1},${y1}C${x1 + bend},${y1} ${x2 - bend},${y2} ${x2},${y2}` }) });
    }
  }
  const boxes = new Map([...place].map(([id, at]) => [id, svg("a", { href: address(id), class: id === self ? "self" : "" },
    svg("title", {}, `${id}: ${sentence(tables.get(id).description || "no description")}`),
    svg("rect", { x: at.x, y: at.y, width: at.width, height: BOX, rx: 5, class: "l-" + layerOf(id) }),
    svg("text", { x: at.x + 9, y: at.y + 16 }, nameOf(id)))]));
  const picture = svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": "Lineage: tables and what they read" },
    ...heads, ...edges.map((edge) => edge.node), ...boxes.values());
  const frame = el("div", { class: "graph" }, picture);
  const highlight = (id) => {
    const on = id && new Set([id, ...reach(id, (one) => tables.get(one).reads), ...reach(id, (one) => readers.get(one))]);
    frame.classList.toggle("lit", Boolean(id));
    boxes.forEach((box, one) => box.classList.toggle("on", Boolean(on && on.has(one))));
    edges.forEach((edge) => edge.node.classList.toggle("on", Boolean(on && on.has(edge.from) && on.has(edge.to))));
  };
  boxes.forEach((box, id) => {
    box.addEventListener("mouseenter", () => highlight(id));
    box.addEventListener("mouseleave", () => highlight(null));
    box.addEventListener("focus", () => highlight(id));
    box.addEventListener("blur", () => highlight(null));
  });
  if (self) requestAnimationFrame(() => { frame.scrollLeft = place.get(self).x - frame.clientWidth / 2 + place.get(self).width / 2; });
  return frame;
}

// The frame around the pages.

function menu(current) {
  document.getElementById("tables").replaceChildren(...data.schemas.flatMap((schema) => {
    const found = data.tables.filter((table) => schemaOf(table.id) === schema.name);
    if (!found.length) return [];
    return [el("h2", {}, schema.name), el("ul", {}, found.map((table) =>
      el("li", {}, el("a", { href: address(table.id), "aria-current": table.id === current ? "page" : null }, nameOf(table.id)))))];
  }));
}

function decoded(text) {
  // A link that was cut off, for example in an e-mail, is not valid encoding.
  try { return decodeURIComponent(text); } catch { return text; }
}

function show() {
  const [id, column] = location.hash.slice(1).split("/").map(decoded);
  const query = id === "?" ? column || "" : "";
  const table = tables.get(id);
  const page = query ? results(query) : table ? tablePage(table, column) : id && id !== "?" ? [el("h1", {}, "No such table"), el("p", {}, id)] : home();
  if (search.value.trim() !== query) search.value = query;
  menu(table && table.id);
  main.replaceChildren(...page.flat(3).filter((node) => node));
  document.title = (table ? table.id + " · " : "") + data.title;
  document.getElementById("menu").open = wide.matches;
  const row = main.querySelector("tr.here");
  if (row) row.scrollIntoView({ block: "center" }); else window.scrollTo(0, 0);
}

const wide = window.matchMedia("(min-width: 861px)");
wide.addEventListener("change", () => { document.getElementById("menu").open = wide.matches; });
window.addEventListener("hashchange", () => { show(); if (document.activeElement !== search) main.focus({ preventScroll: true }); });
search.addEventListener("input", () => {
  const query = search.value.trim();
  history.replaceState(null, "", query ? "#?/" + encodeURIComponent(query) : "#");
  show();
});
search.addEventListener("keydown", (event) => {
  if (event.key === "Escape") { search.value = ""; search.dispatchEvent(new Event("input")); }
  if (event.key === "ArrowDown" || event.key === "Enter") {
    const first = main.querySelector(".result > a");
    if (first) { event.preventDefault(); event.stopPropagation(); first.focus(); }
  }
});
document.addEventListener("keydown", (event) => {
  if (event.key === "/" && !/input|textarea/i.test(event.target.tagName)) { event.preventDefault(); search.focus(); search.select(); }
  const found = [...main.querySelectorAll(".result > a")];
  const at = found.indexOf(document.activeElement);
  if (at >= 0 && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
    event.preventDefault();
    const next = event.key === "ArrowDown" ? found[at + 1] || found[at] : found[at - 1] || search;
    next.focus();
  }
});

const dark = window.matchMedia("(prefers-color-scheme: dark)");
const button = document.getElementById("theme");
function remembered(value) {
  // A page opened from a file may have no local storage.
  try { return value ? localStorage.setItem("theme", value) : localStorage.getItem("theme"); } catch { return null; }
}
function paint(theme) {
  document.documentElement.dataset.theme = theme;
  button.textContent = theme === "dark" ? "Light" : "Dark";
}
button.addEventListener("click", () => {
  const theme = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
  remembered(theme);
  paint(theme);
});
dark.addEventListener("change", () => { if (!remembered()) paint(dark.matches ? "dark" : "light"); });
paint(remembered() || (dark.matches ? "dark" : "light"));
show();
