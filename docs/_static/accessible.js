// What scrolls can be reached by the keyboard, and headings of the sidebar have a level: the theme leaves out both.
document.addEventListener("DOMContentLoaded", () => {
  for (const caption of document.querySelectorAll('.caption[role="heading"]')) {
    caption.setAttribute("aria-level", "2");
  }
  for (const box of document.querySelectorAll(".highlight pre, .table-wrapper")) {
    box.setAttribute("tabindex", "0");
  }
});
