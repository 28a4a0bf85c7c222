// Keeps an open page of the dashboard up to date: when the sandbox says that something changed, the page is asked for
// again, and the parts of it that are marked and differ are put in the place of the old ones.
"use strict";

const announcements = document.getElementById("announcements");
let busy = false;
let again = false;
let clock = 0;

function typing(part) {
  const active = document.activeElement;
  return part.contains(active) && active.matches("input, select, textarea");
}

// Bodies that were opened stay open: an exchange is known by the words of its summary.
function keepOpen(from, to) {
  const open = new Set();
  for (const details of from.querySelectorAll("details[open]")) {
    open.add(details.querySelector("summary").textContent);
  }
  for (const details of to.querySelectorAll("details")) {
    details.open = open.has(details.querySelector("summary").textContent);
  }
}

function mark(from, to) {
  for (const row of to.querySelectorAll("tr[id]")) {
    const old = from.querySelector(`#${CSS.escape(row.id)}`);
    if (!old || old.innerHTML !== row.innerHTML) {
      row.classList.add("changed");
    }
  }
}

// What had the focus has it afterwards, too, if it is still there.
function focusedPath(part) {
  const active = document.activeElement;
  if (!part.contains(active)) {
    return null;
  }
  if (active.id) {
    return `#${CSS.escape(active.id)}`;
  }
  const href = active.getAttribute("href");
  return href ? `${active.localName}[href="${CSS.escape(href)}"]` : active.localName;
}

function show(fresh) {
  for (const part of document.querySelectorAll("[data-live]")) {
    const next = fresh.getElementById(part.id);
    if (!next || typing(part)) {
      continue;
    }
    keepOpen(part, next);
    if (next.isEqualNode(withoutMarks(part))) {
      continue;
    }
    mark(part, next);
    const focus = focusedPath(part);
    const scrolled = part.querySelector(".scroll")?.scrollLeft ?? 0;
    part.replaceWith(next);
    const scroll = next.querySelector(".scroll");
    if (scroll) {
      scroll.scrollLeft = scrolled;
    }
    if (focus) {
      (next.querySelector(focus) ?? document.getElementById("content")).focus({ preventScroll: true });
    }
  }
}

function withoutMarks(part) {
  const copy = part.cloneNode(true);
  for (const row of copy.querySelectorAll(".changed")) {
    row.removeAttribute("class");
  }
  return copy;
}

async function refresh() {
  if (busy) {
    again = true;
    return;
  }
  busy = true;
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
    if (answer.ok) {
      show(new DOMParser().parseFromString(await answer.text(), "text/html"));
    }
  } catch {
    // The sandbox went away; the stream says so, and connects again by itself.
  } finally {
    busy = false;
    if (again) {
      again = false;
      refresh();
    }
  }
}

// The clock runs between the changes, too.
function tick() {
  for (const time of document.querySelectorAll("#clock time, #time time")) {
    const moment = new Date(`${time.dateTime.slice(0, 19)}Z`);
    moment.setUTCSeconds(moment.getUTCSeconds() + 1);
    const text = moment.toISOString();
    time.dateTime = text;
    time.textContent = text.slice(0, 19).replace("T", " ");
  }
}

function say(text) {
  announcements.textContent = text;
}

const events = new EventSource("/sandbox/events");
let lost = false;
events.addEventListener("open", () => {
  document.body.classList.add("connected");
  say(lost ? "Live again." : "Live: this page follows every change.");
  // The first time, too: something may have happened between the page and the stream.
  refresh();
  lost = false;
  clock ||= setInterval(tick, 1000);
});
events.addEventListener("error", () => {
  document.body.classList.remove("connected");
  if (!lost) {
    say("The sandbox does not answer. Waiting for it.");
  }
  lost = true;
  clearInterval(clock);
  clock = 0;
});
events.addEventListener("message", (event) => {
  const { text } = JSON.parse(event.data);
  if (text) {
    say(text);
  }
  refresh();
});
