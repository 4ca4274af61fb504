// Building and updating elements. Text goes in as text, never as markup; what is there is updated in place, so that
// focus, selection and what was opened stay.

export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children);
  return node;
}

export const find = (id) => document.getElementById(id);

export function say(node, words) {
  const text = words === null || words === undefined ? "" : String(words);
  if (node.textContent !== text) node.textContent = text;
}

// Makes `parent` have one child for each row, in their order: made by `make(row)` once, filled by `fill(child, row)`.
export function keyed(parent, rows, key, make, fill) {
  const before = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  let place = parent.firstElementChild;
  for (const row of rows) {
    const name = String(key(row));
    let child = before.get(name);
    before.delete(name);
    if (!child) {
      child = make(row);
      child.dataset.key = name;
    }
    if (child === place) place = place.nextElementSibling;
    else parent.insertBefore(child, place);
    child.row = row;
    fill(child, row);
  }
  for (const child of before.values()) child.remove();
}

// A table with a row for each of `rows`; a column is {label, text(row)} or {label, make(), fill(node, row)}.
// On a narrow screen its cells stand below each other, hence the roles.
export function table(host, caption, columns, rows, key) {
  if (!host.firstElementChild) {
    const heads = columns.map(({ label, kind }) => el("th", { role: "columnheader", scope: "col", class: kind }, label));
    host.append(
      el(
        "table",
        { role: "table" },
        el("caption", { class: "unseen" }, caption),
        el("thead", { role: "rowgroup" }, el("tr", { role: "row" }, ...heads)),
        el("tbody", { role: "rowgroup" }),
      ),
    );
  }
  host.hidden = rows.length === 0;
  keyed(host.querySelector("tbody"), rows, key, () => line(columns), (tr, row) => {
    columns.forEach((column, place) => {
      const cell = tr.children[place];
      if (column.fill) column.fill(cell.firstElementChild, row);
      else say(cell, column.text(row));
      if (column.title) cell.title = column.title(row);
    });
  });
}

function line(columns) {
  const cells = columns.map(({ label, kind, make }) =>
    el("td", { role: "cell", "data-label": label, class: kind }, ...(make ? [make()] : [])),
  );
  return el("tr", { role: "row" }, ...cells);
}

const UNITS = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];

// A span in the largest unit that it fills: "5 s", "3 min", "2 d".
export function span(seconds) {
  const [unit, size] = UNITS.find(([, size]) => seconds >= size) ?? UNITS[3];
  return `${Math.max(0, Math.floor(seconds / size))} ${unit}`;
}

// A short span, of a delivery say: "38 ms", "1.2 s".
export function brief(seconds) {
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  return seconds < 60 ? `${seconds.toPrecision(2)} s` : span(seconds);
}

export const number = (value) => value.toLocaleString("en");

export const plural = (count, one, more) => `${number(count)} ${count === 1 ? one : more}`;

export const clock = (time) =>
  new Date(time).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "medium" });
