"use strict";
// The filter is in the address, so that it can be sent: #outcome=failed&clause=written, or #test=NAME.
const form = document.getElementById("filter");
const rows = [...document.querySelectorAll("tr.test")].map((row) => {
  const [outcome, name, clauses, kinds] = row.cells;
  const test = (name.querySelector("summary") ?? name.firstChild).textContent.trim();
  return {
    row, test, details: name.querySelector("details"),
    outcome: row.classList[1],
    clause: clauses.textContent.split(" "),
    kind: kinds.textContent.split(" "),
    erratum: (row.dataset.errata ?? "").split(" "),
    text: `${test} ${name.querySelector("small")?.textContent ?? ""}`.toLowerCase(),
  };
});

function isShown(one, wanted) {
  return (!wanted.get("outcome") || one.outcome === wanted.get("outcome"))
    && ["clause", "kind", "erratum"].every((which) => !wanted.get(which) || one[which].includes(wanted.get(which)))
    && one.text.includes((wanted.get("text") ?? "").toLowerCase())
    && (!wanted.get("test") || one.test === wanted.get("test"));
}

// Shows what the address names. A plain name is the place of a section, and no filter.
function apply(moves) {
  const hash = location.hash.slice(1);
  if (hash && !hash.includes("=")) return;
  const wanted = new URLSearchParams(hash);
  for (const field of form.elements) if (field.name) field.value = wanted.get(field.name) ?? "";
  let shown = 0;
  for (const one of rows) {
    const is = isShown(one, wanted);
    one.row.hidden = !is;
    shown += is;
    if (is && wanted.get("test") && one.details) one.details.open = true;
  }
  form.querySelector("output").textContent =
    shown === rows.length ? `${shown} tests` : `${shown} of ${rows.length} tests`;
  if (moves && hash) document.getElementById("tests").scrollIntoView();
}

for (const kind of ["input", "change"]) form.addEventListener(kind, () => {
  const wanted = new URLSearchParams([...new FormData(form)].filter(([, value]) => value));
  history.replaceState(null, "", `#${wanted}`);
  apply(false);
});
form.addEventListener("submit", (event) => event.preventDefault());
addEventListener("hashchange", () => apply(true));
apply(true);

// The clipboard isn't there for pages of a plain http server: then the old way.
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = document.body.appendChild(Object.assign(document.createElement("textarea"), { value: text }));
    area.select();
    document.execCommand("copy");
    area.remove();
  }
}
document.addEventListener("click", async (event) => {
  if (!event.target.matches(".copy")) return;
  await copy(event.target.nextElementSibling.textContent);
  event.target.textContent = "Copied";
});

// On paper nothing can be opened.
addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll("#errata details:not(.program), tr.test:not([hidden]) > td > details")) details.open = true;
});
