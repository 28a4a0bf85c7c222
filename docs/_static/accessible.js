// What the theme leaves out: what scrolls can be reached by the keyboard, headings of the sidebar have a level, and each
// part of a page has a name of its own.
document.addEventListener("DOMContentLoaded", () => {
  for (const caption of document.querySelectorAll('.caption[role="heading"]')) {
    caption.setAttribute("aria-level", "2");
  }
  for (const box of document.querySelectorAll(".highlight pre, .table-wrapper")) {
    box.setAttribute("tabindex", "0");
  }
  const names = { ".sidebar-drawer": "All pages", ".toc-drawer": "This page", ".content-icon-container": "View" };
  for (const [part, name] of Object.entries(names)) {
    for (const found of document.querySelectorAll(part)) {
      found.setAttribute("aria-label", name);
      if (found.localName === "div") {
        found.setAttribute("role", "region");
      }
    }
  }
});
