// Keeps a page up to date: fetches it again every second, and replaces the contents of the marked parts that differ.
"use strict";

const news = document.getElementById("news");

// Bodies that were opened stay open: an exchange is known by the text of its summary.
function keepOpen(from, to) {
  const open = new Set(Array.from(from.querySelectorAll("details[open] > summary"), (summary) => summary.textContent));
  for (const summary of to.querySelectorAll("details > summary")) {
    summary.parentElement.open = open.has(summary.textContent);
  }
}

function replace(part, next) {
  keepOpen(part, next);
  const focused = part.querySelector(":focus");
  // What is being chosen is not taken away.
  if (part.isEqualNode(next) || focused?.matches("select")) {
    return;
  }
  const scrolled = part.querySelector(".scroll")?.scrollLeft;
  part.replaceChildren(...next.childNodes);
  part.querySelector(".scroll")?.scrollTo(scrolled, 0);
  if (focused) {
    // The same element has the focus afterwards, if it is still there.
    const same = Array.from(part.querySelectorAll("*")).find((each) => each.isEqualNode(focused));
    (same ?? document.getElementById("content")).focus({ preventScroll: true });
  }
}

async function refresh() {
  try {
    const answer = await fetch(location.href, { redirect: "manual" });
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (answer.type === "opaqueredirect" || (answer.ok && fresh.title !== document.title)) {
      // It is another page now: the browser goes there itself.
      location.reload();
    } else if (answer.ok) {
      for (const part of document.querySelectorAll("[data-live]")) {
        replace(part, fresh.getElementById(part.id));
      }
      document.body.classList.add("live");
    } else {
      // The answer to a form, which cannot be fetched again.
      return;
    }
  } catch {
    document.body.classList.remove("live");
    news.textContent = "The sandbox does not answer. Waiting for it.";
  }
  setTimeout(refresh, 1000);
}

refresh();
