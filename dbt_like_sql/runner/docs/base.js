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
// Text with `names` in backticks.
const prose = (text) => text.split("`").map((part, index) => (index % 2 ? el("code", {}, part) : part));
const SIGNS = { pass: "✓ passed", warn: "! warning", fail: "✕ failed", error: "✕ could not run" };
const state = (status) => el("span", { class: "state " + (status || "none") }, SIGNS[status] || "not run yet");

function inOrder(found) {
  const place = (table) => data.schemas.findIndex((schema) => schema.name === schemaOf(table.id));
  return [...found].sort((a, b) => place(a) - place(b));
}

const join = (nodes) => nodes.flatMap((node, index) => (index ? [", ", node] : [node]));
