"use strict";
// Progress for pages that work without it: the live log grows, tables refresh.

// follow adds the rows of the live log as they come. They are rendered by the
// appliance, with everything in them escaped.
function follow(table) {
  const body = table.tBodies[0];
  const limit = Number(table.dataset.limit) || 50;
  const query = new URLSearchParams(location.search);
  query.delete("limit");
  const newest = body.querySelector("tr[data-number]");
  query.set("after", newest ? newest.dataset.number : "0");
  const live = document.getElementById("live");
  const [dot, word] = live.querySelectorAll("span");
  const pause = document.getElementById("pause");
  const held = [];
  let paused = false;

  function show(html) {
    const holder = document.createElement("template");
    holder.innerHTML = html;
    const row = holder.content.querySelector("tr");
    if (!row) return;
    row.classList.add("fresh");
    body.prepend(row);
    while (body.rows.length > limit) body.lastElementChild.remove();
    document.getElementById("empty").hidden = true;
  }
  function say(good, text) {
    dot.className = "dot " + (good ? "good" : "bad");
    word.textContent = text;
  }

  const source = new EventSource("/livelog/rows?" + query);
  source.addEventListener("open", () => say(true, paused ? "paused" : "live"));
  source.addEventListener("error", () => say(false, "the appliance does not answer"));
  source.addEventListener("row", (event) => {
    if (!paused) return show(event.data);
    held.push(event.data);
    if (held.length > limit) held.shift();
    say(true, "paused, " + held.length + " new");
  });
  source.addEventListener("counters", (event) => {
    for (const [name, value] of Object.entries(JSON.parse(event.data))) {
      const tile = document.querySelector('[data-count="' + name + '"]');
      if (tile) tile.textContent = value;
    }
  });
  pause.addEventListener("click", () => {
    paused = !paused;
    pause.textContent = paused ? "Resume" : "Pause";
    if (!paused) held.splice(0).forEach(show);
    say(true, paused ? "paused" : "live");
  });
  addEventListener("pagehide", () => source.close());
  live.hidden = false;
}

// refresh fetches the page again and replaces its changing parts, unless somebody is
// reading an opened row there.
async function refresh() {
  const parts = document.querySelectorAll("[data-refresh]");
  if (document.hidden || document.querySelector("[data-refresh] details[open]")) return;
  const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
  if (!answer.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const fresh = page.querySelectorAll("[data-refresh]");
  parts.forEach((part, i) => {
    if (fresh[i] && fresh[i].innerHTML !== part.innerHTML) part.replaceWith(document.adoptNode(fresh[i]));
  });
}

const table = document.getElementById("log");
if (table) follow(table);
const part = document.querySelector("[data-refresh]");
if (part) setInterval(() => refresh().catch(() => {}), 1000 * Number(part.dataset.refresh));
