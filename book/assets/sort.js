// Headings of folded tables sort them: numbers by value, words by letter, a second click the other way.
document.addEventListener("DOMContentLoaded", () => {
  const value = (row, column) => row.cells[column].textContent.trim();
  for (const table of document.querySelectorAll("table.sortable")) {
    const headings = [...table.tHead.rows[0].cells];
    headings.forEach((heading, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = heading.textContent.trim();
      heading.replaceChildren(button);
      button.addEventListener("click", () => {
        const up = heading.getAttribute("aria-sort") !== "ascending";
        const rows = [...table.tBodies[0].rows].sort((a, b) => {
          const [first, second] = [value(a, column), value(b, column)];
          const [one, two] = [parseFloat(first), parseFloat(second)];
          const order = isNaN(one) || isNaN(two) ? first.localeCompare(second) : one - two;
          return up ? order : -order;
        });
        headings.forEach((other) => other.removeAttribute("aria-sort"));
        heading.setAttribute("aria-sort", up ? "ascending" : "descending");
        table.tBodies[0].append(...rows);
      });
    });
  }
  // A figure drawn while it was folded away has no width yet.
  for (const fold of document.querySelectorAll("details"))
    fold.addEventListener("toggle", () => window.dispatchEvent(new Event("resize")));
});
