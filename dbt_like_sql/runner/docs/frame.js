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
  const theme = !id && column ? main.querySelector(`section[data-theme="${CSS.escape(column)}"]`) : null;
  if (row) row.scrollIntoView({ block: "center" });
  else if (theme) theme.scrollIntoView();
  else window.scrollTo(0, 0);
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
