"use strict";
// Opens the numbers of the op that was chosen. Without it they are opened by hand, below.
addEventListener("DOMContentLoaded", () => {
  const links = document.querySelectorAll('.graph a[href^="#op-"], .cards a[href^="#layer-"]');
  const open = (name) => {
    const target = document.getElementById(name);
    if (!target) return;
    for (let each = target; each; each = each.parentElement) if (each.tagName === "DETAILS") each.open = true;
    target.scrollIntoView({ block: "center", behavior: "smooth" });
  };
  for (const link of links) {
    link.addEventListener("click", (event) => {
      event.preventDefault();
      for (const other of links) other.classList.toggle("chosen", other === link);
      const name = link.getAttribute("href").slice(1);
      open(name);
      history.replaceState(null, "", `#${name}`);
    });
  }
  if (location.hash) open(location.hash.slice(1));
});
