// Makes the pages nicer; all of them work without it.

// One press is enough. What is pressed twice moves money once all the same: the server sees to that.
for (const form of document.forms) {
  form.addEventListener("submit", () => {
    // After the form's values have been gathered, or the button's own would be missing.
    setTimeout(() => form.querySelectorAll("button").forEach((button) => (button.disabled = true)));
  });
}
// Who comes back by the browser's button may press again.
addEventListener("pageshow", () => document.querySelectorAll("button").forEach((button) => (button.disabled = false)));

// Shows the page anew as soon as the order stands otherwise.
async function watch(status) {
  for (;;) {
    try {
      const answer = await fetch(`/orders/${status.dataset.order}/state`);
      if (answer.ok && (await answer.json()).state !== status.dataset.state) return location.reload();
    } catch {
      // The line is down; it may come back.
    }
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
}
const status_ = document.querySelector("[data-order]");
if (status_ && ["WAITING", "REFUSED"].includes(status_.dataset.state)) watch(status_);
