// The home page: questions by theme, the graph of all tables, and every table by schema.

function home() {
  return [
    el("h1", {}, data.title),
    el("p", { class: "lead" }, "Every table of the warehouse: the questions it answers, its columns with their origins, and its tests."),
    el("p", { class: "soft small" }, data.note + (data.as_of ? `, as of ${data.as_of}.` : /[.]$/.test(data.note) ? "" : ".")),
    health(),
    questions(),
    el("h2", {}, "Lineage"),
    el("p", { class: "soft small" }, "Data flows from left to right. Point at a table to highlight the tables it is built from and those built from it. Click it to open its page."),
    graph(data.tables.filter((table) => table.reads.length || readers.get(table.id).length).map((table) => table.id)),
    data.schemas.flatMap((schema) => {
      const found = data.tables.filter((table) => schemaOf(table.id) === schema.name);
      return found.length ? [el("h2", {}, schema.name), el("p", { class: "soft" }, schema.about), listing(found)] : [];
    }),
  ];
}

function health() {
  if (!data.has_results) return null;
  const tests = data.tables.flatMap((table) => (table.tests || []).map((test) => ({ ...test, table: table.id })));
  const notPassed = tests.filter((test) => test.status && test.status !== "pass");
  const passed = tests.filter((test) => test.status === "pass").length;
  return [
    el("p", { class: "small" }, el("span", { class: "state pass" }, "✓ " + plural(passed, "test") + " passed"),
      notPassed.length ? `, ${notPassed.length} did not pass:` : "."),
    notPassed.length &&
      el("ul", {}, notPassed.map((test) => el("li", {}, state(test.status), " ", link(test.table), ` ${test.description || test.name} `, el("span", { class: "soft" }, test.message)))),
  ];
}

// Themes that the page has no title for follow the others.
function themes() {
  const known = new Set(data.themes.map((theme) => theme.name));
  const others = [...new Set(data.tables.map((table) => table.theme).filter((name) => name && !known.has(name)))];
  const all = [...data.themes, ...others.map((name) => ({ name, title: name[0].toUpperCase() + name.slice(1) })), { name: null, title: "Other" }];
  return all
    .map((theme) => ({ ...theme, tables: inOrder(data.tables.filter((table) => (table.theme || null) === theme.name && (table.theme || (table.questions || []).length))) }))
    .filter((theme) => theme.tables.length);
}

function questions() {
  const found = themes();
  if (!found.length) return null;
  return [
    el("h2", {}, "Questions the warehouse answers"),
    el("p", { class: "jump" }, found.map((theme) => el("a", { href: "#/" + encodeURIComponent(theme.name || "other") }, theme.title))),
    el("div", { class: "themes" }, found.map((theme) => el("section", { "data-theme": theme.name || "other" },
      el("h3", {}, theme.title),
      theme.tables.filter((table) => (table.questions || []).length).map((table) => el("div", { class: "asked" },
        el("ul", { class: "plain" }, table.questions.map((question) => el("li", {}, el("a", { href: address(table.id) }, question)))),
        el("p", { class: "soft small name" }, nameOf(table.id)))),
      others(theme.tables.filter((table) => !(table.questions || []).length))))),
  ];
}

const others = (found) => found.length
  ? el("p", { class: "small" }, el("span", { class: "soft" }, "For your own queries: "), join(found.map((table) => link(table.id, nameOf(table.id)))))
  : null;

function listing(found) {
  return el("table", { class: "stack" },
    el("thead", {}, el("tr", {}, el("th", {}, "Table"), el("th", { class: "number" }, "Rows"), el("th", {}, "Description"))),
    el("tbody", {}, found.map((table) => el("tr", {},
      el("td", {}, link(table.id, nameOf(table.id))),
      el("td", { class: "number", "data-unit": "rows" }, table.rows == null ? "" : table.rows.toLocaleString("en")),
      el("td", {}, sentence(table.description || "No description."))))));
}
