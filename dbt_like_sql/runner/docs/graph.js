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

const LAYERS = ["raw", "seeds", "staging", "intermediate", "marts", "reports", "actions"];
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
  const ROW = 34, BOX = 24, GAP = 38, TOP = 34, SIDE = 14;
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
  const frame = el("div", { class: "graph fit" }, picture);
  const caption = el("p", { class: "soft small caption" });
  const highlight = (id) => {
    const on = id && new Set([id, ...reach(id, (one) => tables.get(one).reads), ...reach(id, (one) => readers.get(one))]);
    frame.classList.toggle("lit", Boolean(id));
    boxes.forEach((box, one) => box.classList.toggle("on", Boolean(on && on.has(one))));
    edges.forEach((edge) => edge.node.classList.toggle("on", Boolean(on && on.has(edge.from) && on.has(edge.to))));
    caption.textContent = id ? `${id}: ${sentence(tables.get(id).description || "no description")}` : "";
  };
  boxes.forEach((box, id) => {
    box.addEventListener("mouseenter", () => highlight(id));
    box.addEventListener("mouseleave", () => highlight(null));
    box.addEventListener("focus", () => highlight(id));
    box.addEventListener("blur", () => highlight(null));
  });
  const size = el("button", { type: "button", class: "size" });
  const zoom = (isFit) => {
    frame.classList.toggle("fit", isFit);
    size.textContent = isFit ? "Full size" : "Fit to the page";
    if (self && !isFit) frame.scrollLeft = place.get(self).x - frame.clientWidth / 2 + place.get(self).width / 2;
  };
  size.addEventListener("click", () => zoom(!frame.classList.contains("fit")));
  // The whole graph is shown at first; the button is there only if that makes it smaller.
  new ResizeObserver(() => { size.hidden = frame.clientWidth >= width; }).observe(frame);
  zoom(true);
  return el("div", { class: "lineage" }, size, frame, caption);
}
