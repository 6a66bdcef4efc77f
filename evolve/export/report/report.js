"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const root = document.documentElement;

  // Light and dark: what the system says, until somebody switches.
  const theme = $("theme");
  const dark = () =>
    (root.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  const named = () => { theme.textContent = dark() ? "Light" : "Dark"; };
  theme.hidden = false;
  theme.addEventListener("click", () => { root.dataset.theme = dark() ? "light" : "dark"; named(); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", named);
  named();

  for (const button of document.querySelectorAll("button.copy")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      const code = button.previousElementSibling;
      try {
        await navigator.clipboard.writeText(code.textContent);
        button.textContent = "Copied";
      } catch {
        getSelection().selectAllChildren(code);
        button.textContent = "Selected";
      }
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    });
  }

  const table = $("all");
  if (!table) return;
  const body = table.tBodies[0];
  const rows = [...body.rows];
  // Lines around a change are not what a candidate is about.
  const told = (row) => [...row.querySelectorAll("th, td, summary, dl")]
    .filter((part) => !part.querySelector("details"))
    .map((part) => part.textContent);
  const text = rows.map((row) => told(row).join(" ").toLowerCase());
  const place = new Map(rows.map((row, at) => [row, at]));
  const find = $("find"), verdict = $("verdict"), hits = $("hits");
  find.closest(".controls").hidden = false;

  const filter = () => {
    const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    rows.forEach((row, at) => {
      const fits = (!verdict.value || row.dataset.v === verdict.value) &&
        words.every((word) => /^#\d+$/.test(word) ? row.id === "c" + word.slice(1) : text[at].includes(word));
      row.hidden = !fits;
      shown += fits;
    });
    hits.textContent = shown + " of " + rows.length;
  };
  find.addEventListener("input", filter);
  verdict.addEventListener("change", filter);
  filter();

  // A column sorts up, then down; cells without a value come last.
  const value = (row, at, numeric) => {
    const cell = row.cells[at];
    if (!numeric) return (cell.querySelector("summary") || cell).textContent.toLowerCase();
    return cell.dataset.k === "" ? null : Number(cell.dataset.k);
  };
  const sort = (head, at) => {
    const down = head.getAttribute("aria-sort") === "ascending";
    const numeric = head.dataset.sort === "n";
    for (const other of head.parentElement.cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const keyed = rows.map((row) => [value(row, at, numeric), row]);
    keyed.sort(([a, one], [b, two]) => {
      if (a === null || b === null) return (a === null) - (b === null) || place.get(one) - place.get(two);
      const order = numeric ? a - b : a.localeCompare(b);
      return (down ? -order : order) || place.get(one) - place.get(two);
    });
    body.append(...keyed.map(([, row]) => row));
  };
  [...table.tHead.rows[0].cells].forEach((head, at) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => sort(head, at));
  });

  // A link to a candidate shows it, whatever is searched for.
  const reveal = () => {
    const row = /^#c\d+$/.test(location.hash) && $(location.hash.slice(1));
    if (!row) return;
    if (row.hidden) { find.value = ""; verdict.value = ""; filter(); }
    const details = row.querySelector("details");
    if (details) details.open = true;
    row.scrollIntoView({ block: "start" });
  };
  addEventListener("hashchange", reveal);
  document.addEventListener("click", (event) => {
    const mark = event.target.closest("#lineage [data-id]");
    if (mark) location.hash = "#c" + mark.dataset.id;
    const link = event.target.closest('a[href^="#c"]');
    if (link && link.getAttribute("href") === location.hash) reveal();
  });
  reveal();
})();
