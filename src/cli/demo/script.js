const table = document.getElementById("answers");
const pages = ["/", "/style.css", "/picture.svg", "/time"];

async function ask(page) {
  const begin = performance.now();
  const answer = await fetch(page, { cache: "no-store" });
  await answer.arrayBuffer();
  const row = table.insertRow();
  const cells = [page, answer.headers.get("cache-status"), (performance.now() - begin).toFixed(1) + " ms"];
  for (const text of cells) row.insertCell().textContent = text;
}

async function askAll() {
  while (table.rows.length > 1) table.deleteRow(1);
  for (const page of pages) await ask(page);
}

document.getElementById("again").addEventListener("click", askAll);
askAll();
