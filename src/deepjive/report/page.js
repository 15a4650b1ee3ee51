// What every page can do: tables that sort and are saved as CSV. Text from data is only ever set as text.
"use strict";
document.documentElement.classList.add("scripted");

const make = (tag, properties = {}, ...children) => {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(properties)) {
    if (key in element && key !== "list" && key !== "role") element[key] = value;
    else element.setAttribute(key, value);
  }
  element.append(...children);
  return element;
};
const drawing = (tag, attributes = {}) => {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
};
const numberText = (value, digits = 2) => (value < 0 ? "−" : "") + Math.abs(value).toFixed(digits);

// The number a cell says, also with a sign, a per cent sign, degrees or thousands; not a number for words.
const numberOf = (text) => {
  const bare = text.replace(/−/g, "-").replace(/[%°,\s]/g, "");
  return bare === "" ? NaN : Number(bare);
};

const compareCells = (first, second) => {
  const [a, b] = [numberOf(first), numberOf(second)];
  if (Number.isNaN(a) && Number.isNaN(b)) return first.localeCompare(second);
  return Number.isNaN(a) ? 1 : Number.isNaN(b) ? -1 : a - b;
};

// A cell that a spreadsheet would run as a formula gets an apostrophe in front.
const csvCell = (text) => {
  const isNumber = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?%?$/i.test(text);
  const safe = /^[=+\-@\t\r\n＝＋－＠]/.test(text) && !isNumber ? "'" + text : text;
  return /[",\n\r]/.test(safe) ? '"' + safe.replace(/"/g, '""') + '"' : safe;
};
const csvText = (rows) => rows.map((row) => row.map(csvCell).join(",") + "\n").join("");

const download = (name, rows) => {
  const address = URL.createObjectURL(new Blob([csvText(rows)], { type: "text/csv" }));
  const link = make("a", { href: address, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
};
const fileName = (text) => (text.replace(/[^\p{L}\p{N}]+/gu, "_").slice(0, 60).replace(/^_+|_+$/g, "") || "table") + ".csv";

const cellsOf = (row) => [...row.cells].map((cell) => cell.textContent.replace(/−/g, "-").trim());

const sortable = (table) => {
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const words = head.textContent;
    const button = make("button", { type: "button", className: "sort", title: "Sort by " + words });
    button.append(...head.childNodes);
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const sorted = [...body.rows].sort((a, b) => {
        const [first, second] = [a, b].map((row) => cellsOf(row)[column]);
        return (down ? -1 : 1) * compareCells(first, second);
      });
      body.append(...sorted);
    });
  });
  const caption = table.caption ? table.caption.textContent : "table";
  const save = make("button", { type: "button", className: "quiet save", textContent: "Save as CSV" });
  save.setAttribute("aria-label", "Save as CSV: " + caption);
  save.addEventListener("click", () => download(fileName(caption), [...table.rows].map(cellsOf)));
  table.parentElement.after(save);
};
document.querySelectorAll("table").forEach((table) => { if (table.tHead) sortable(table); });
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((one) => { one.open = true; }));
