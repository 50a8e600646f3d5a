// The page of one table: the questions with their answer, the columns, the lineage, the tests, the SQL.

const KINDS = { raw: "raw table, as loaded", seed: "seed, a small table maintained by hand", sql: "model", action: "action, calls to Rivo", python: "Python model" };
const pictures = new Map([...document.querySelectorAll("template[data-picture]")].map((one) => [one.dataset.picture, one]));

function tablePage(table, column) {
  const around = reach(table.id, (id) => tables.get(id).reads).concat(reach(table.id, (id) => readers.get(id)), [table.id]);
  const broken = table.built && table.built.status !== "success";
  return [
    el("h1", {}, el("small", {}, KINDS[table.kind]), table.id.split(/(?<=[._])/).flatMap((part) => [part, el("wbr")])),
    (table.description || "No description.").split(/\n\s*\n/).map((text) => el("p", { class: "lead" }, prose(text))),
    broken && el("p", { class: "notice" }, `The last build did not update this table. ${table.built.message}`),
    (table.questions || []).length && [el("h2", {}, "Questions it answers"), el("ul", {}, table.questions.map((question) => el("li", {}, question)))],
    (table.example || pictures.has(table.id)) && answer(table),
    el("dl", { class: "facts" }, facts(table).flatMap(([title, text]) => [el("dt", {}, title), el("dd", {}, text)])),
    el("h2", {}, plural(table.columns.length, "column")),
    columns(table, column),
    around.length > 1 && [el("h2", {}, "Lineage"), graph(around, table.id)],
    (table.tests || []).length && tests(table),
    table.code && [el("h2", {}, table.kind === "python" ? "Python" : "SQL"), el("pre", { tabindex: 0 }, table.code.trim())],
  ].flat();
}

function facts(table) {
  return [
    ["One row", table.grain && table.grain.length ? "for each " + table.grain.join(", ") : null],
    ["Also called", (table.also_called || []).length ? table.also_called.join(", ") : null],
    ["Each row", table.does ? el("code", {}, table.does) : null],
    ["Key", table.key ? table.key.join(", ") + ": a key is sent once, ever" : null],
    ["Limits", (table.limits || []).length ? table.limits.join(", ") : null],
    ["Enabled", table.does ? (table.enabled ? "yes" : "no: it cannot be applied") : null],
    ["Rows", table.does ? null : table.rows == null ? "unknown: the table is not in the warehouse yet" : table.rows.toLocaleString("en") + (data.as_of ? `, as of ${data.as_of}` : "")],
    ["Read from", table.reads.length ? join(table.reads.map((id) => link(id))) : null],
    ["Read by", readers.get(table.id).length ? join(readers.get(table.id).map((id) => link(id))) : null],
    ["Tags", (table.tags || []).length ? table.tags.map((tag) => el("span", { class: "tag" }, tag)) : null],
    ["File", table.file ? el("code", {}, table.file) : null],
  ].filter((fact) => fact[1] != null);
}

// The picture, the first rows of the example query, and the query.

function answer(table) {
  const found = table.answer;
  const picture = pictures.get(table.id);
  return [
    el("h2", {}, found || picture ? "Answer" : "Example"),
    picture && el("figure", { class: "picture" }, picture.content.cloneNode(true)),
    found && (found.columns.length ? answerRows(found) : el("p", { class: "notice" }, found.note)),
    table.example && el("pre", { tabindex: 0, class: "wrap" }, table.example),
  ].flat();
}

function answerRows(found) {
  const side = (index) => (found.numeric[index] ? "number" : null);
  const count = found.is_all ? plural(found.rows.length, "row") : `The first ${found.rows.length} rows`;
  if (!found.rows.length) return el("p", {}, "This query returns no rows at the moment.");
  return [
    el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Rows that the example query returns" }, el("table", { class: "answer" },
      el("thead", {}, el("tr", {}, found.columns.map((name, index) => el("th", { class: side(index) }, name)))),
      el("tbody", {}, found.rows.map((row) => el("tr", {}, row.map((value, index) =>
        el("td", { class: value.length > 40 ? "text" : side(index) }, value))))))),
    el("p", { class: "soft small" }, `${count} of this query${data.as_of ? `, as of ${data.as_of}` : ""}:`),
  ];
}

function columns(table, chosen) {
  return el("table", { class: "stack" },
    el("thead", {}, el("tr", {}, el("th", {}, "Column"), el("th", {}, "Type"), el("th", {}, "Description"))),
    el("tbody", {}, table.columns.map((column) => el("tr", { class: column.name === chosen ? "here" : null },
      el("td", {}, el("a", { href: address(table.id, column.name), class: "name" }, column.name)),
      el("td", { class: "type name" }, column.type || ""),
      el("td", {}, column.description ? prose(column.description) : el("span", { class: "soft" }, "No description."), origins(column.from))))));
}

// Up to three columns, or else the tables, which open the list of columns.
function origins(names) {
  if (!names.length) return null;
  if (names.length <= 3) return el("span", { class: "origins" }, "from ", join(originLinks(names)));
  const from = [...new Set(names.map((name) => nameOf(name).split(".")[0]))];
  return el("details", { class: "origins" }, el("summary", {}, "from " + from.slice(0, 3).join(", ") + (from.length > 3 ? ` and ${from.length - 3} more` : "")),
    join(originLinks(names)));
}

// Each table is named once: rivo_raw.rewards.id, name.
function originLinks(names) {
  let last = null;
  return names.map((name) => {
    const cut = name.lastIndexOf(".");
    const [table, column] = [name.slice(0, cut), name.slice(cut + 1)];
    const text = table === last ? column : name;
    last = table;
    return el("a", { href: address(table, column), class: "name", title: name }, text);
  });
}

// Tests: those that did not pass one by one, the others as a count by kind; the SQL of each in a list to open.

const TESTS = {
  not_null: "not null", unique: "unique", accepted_values: "accepted values", relationships: "match in another table",
  unique_combination_of_columns: "unique together", expression_is_true: "rules for every row", "": "queries of their own",
  documented_columns: "documented columns",
};

function tests(table) {
  const passed = table.tests.filter((test) => test.status === "pass");
  const notRun = table.tests.filter((test) => !test.status);
  const wrong = table.tests.filter((test) => test.status && test.status !== "pass");
  const all = plural(table.tests.length, "test");
  const outcome = [[wrong, "did not pass"], [passed, "passed"], [notRun, "not run yet"]].filter(([found]) => found.length);
  const one = outcome.length === 1 && outcome[0][1];
  const total = one ? `${all}, ${table.tests.length === 1 ? "" : one === "passed" ? "all " : ""}${one}` : `${all}: ` + outcome.map(([found, text]) => `${found.length} ${text}`).join(", ");
  return [
    el("h2", {}, total),
    wrong.map((test) => el("div", { class: "wrong" },
      el("p", {}, state(test.status), " ", test.description || test.name, " ", el("span", { class: test.status }, test.message)),
      sqlOf(test))),
    kinds(wrong.length ? "The others: " : "", [...passed, ...notRun]),
    el("details", { class: "all" }, el("summary", {}, wrong.length ? "The SQL of the others" : "The SQL of each"),
      [...passed, ...notRun].map((test) => el("details", { class: "small" }, el("summary", {}, test.description || test.name), aboutTest(test)))),
  ];
}

// "Not null (9 columns), unique (customer_id), rules for every row (2)."
function kinds(begin, found) {
  const byKind = new Map();
  for (const test of found) {
    const kind = test.name.startsWith("documented_columns") ? "documented_columns" : test.kind;
    byKind.set(kind, [...(byKind.get(kind) || []), test]);
  }
  const kindsInOrder = Object.keys(TESTS).filter((kind) => byKind.has(kind));
  const texts = kindsInOrder.map((kind) => {
    const some = byKind.get(kind);
    const ofColumns = some.map((test) => test.column).filter(Boolean);
    if (ofColumns.length === some.length) return `${TESTS[kind]} (${some.length > 2 ? plural(some.length, "column") : ofColumns.join(", ")})`;
    return some.length > 1 ? `${TESTS[kind]} (${some.length})` : TESTS[kind];
  });
  const text = begin + texts.join(", ");
  return texts.length ? el("p", {}, text[0].toUpperCase() + text.slice(1) + ".") : null;
}

const sqlOf = (test) => el("details", { class: "small" }, el("summary", {}, "its SQL"), aboutTest(test));
const aboutTest = (test) => [
  el("p", { class: "soft" }, el("span", { class: "name" }, test.name), test.severity === "error" ? ": a failure blocks the new version" : ": a failure only warns"),
  el("pre", { tabindex: 0, class: "wrap" }, test.sql),
];
