// Goes on to the shop once the payment is answered in the app: looks every second and a half, as long as it is looked at.
"use strict";

const waiting = document.getElementById("waiting");

async function look() {
  if (document.hidden) {
    return;
  }
  try {
    // A redirect means that it is over; where it leads is for the page itself to follow.
    const answer = await fetch(waiting.dataset.waiting, { redirect: "manual" });
    if (answer.type === "opaqueredirect" || !answer.ok || !(await answer.text()).includes('id="waiting"')) {
      waiting.textContent = "The payment is answered. Going back to the shop.";
      location.assign(waiting.dataset.waiting);
    }
  } catch {
    waiting.textContent = "The sandbox does not answer. Waiting for it.";
  }
}

setInterval(look, 1500);
