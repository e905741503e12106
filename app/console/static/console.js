// What htmx does not do: copy a key, keep the focus where it is of use, and say what nobody answered.
"use strict";
(() => {
  const say = (words) => {
    const paragraph = document.createElement("p");
    paragraph.className = "wrong";
    paragraph.textContent = words;
    document.getElementById("notice").replaceChildren(paragraph);
  };

  const select = (element) => {
    const range = document.createRange();
    range.selectNodeContents(element);
    getSelection().removeAllRanges();
    getSelection().addRange(range);
  };

  const copy = async (button) => {
    const source = document.getElementById(button.dataset.copies);
    try {
      // Browsers have a clipboard only where the page came over https, or from this machine.
      await navigator.clipboard.writeText(source.textContent);
      button.textContent = "Copied";
    } catch {
      select(source);
      button.textContent = "Selected";
    }
  };

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-copies]");
    if (button) copy(button);
  });

  document.addEventListener("htmx:beforeRequest", () => document.getElementById("notice").replaceChildren());

  // A proxy's page, or a problem of the API, is not put into ours.
  document.addEventListener("htmx:beforeSwap", ({ detail }) => {
    const type = detail.xhr.getResponseHeader("Content-Type") ?? "";
    if (!type.startsWith("text/html")) Object.assign(detail, { shouldSwap: false, isError: true });
  });

  for (const event of ["htmx:responseError", "htmx:sendError", "htmx:timeout"]) {
    document.addEventListener(event, () => say("The server does not answer as it should. Nothing is known of what was asked: look again."));
  }

  // The button that had the focus went with the part that it stood in.
  document.addEventListener("htmx:afterSettle", ({ target }) => {
    if (document.activeElement !== document.body || !target.matches?.(".part")) return;
    const wanted = target.querySelector("[aria-invalid=true]") ?? target;
    wanted.focus({ preventScroll: wanted === target });
  });
})();
