"use strict";
for (const reading of document.querySelectorAll(".reading")) {
  const sentences = [...reading.querySelectorAll(".s")];
  const boxes = [...reading.querySelectorAll("input[type=checkbox]")];
  const clear = reading.querySelector(".clear");
  const said = reading.querySelector(".said");
  const columns = [...reading.querySelectorAll(".course .row")].map(row => [...row.children]);

  function filter() {
    const asked = {};
    for (const box of boxes) if (box.checked) (asked[box.name] ||= []).push(box.value);
    let count = 0;
    for (const sentence of sentences) {
      const fits = Object.entries(asked).every(([code, values]) =>
        values.some(value => sentence.dataset[code].split(" ").includes(value)));
      sentence.classList.toggle("out", !fits);
      count += fits;
    }
    const any = Object.keys(asked).length > 0;
    clear.hidden = !any;
    said.textContent = any ? `${count} of ${sentences.length} sentences fit` : said.dataset.all;
  }
  reading.addEventListener("change", filter);
  clear.addEventListener("click", () => { for (const box of boxes) box.checked = false; filter(); boxes[0].focus(); });

  function at(index, on) { for (const row of columns) row[index]?.classList.toggle("at", on); }
  sentences.forEach((sentence, index) => {
    const detail = sentence.querySelector(".d");
    for (const [event, on] of [["mouseenter", true], ["mouseleave", false], ["focusin", true], ["focusout", false]])
      sentence.addEventListener(event, () => {
        if (on) document.body.classList.remove("closed");
        at(index, on);
        if (detail.scrollHeight > detail.clientHeight) detail.tabIndex = 0; // what scrolls is in reach of the keyboard
        else detail.removeAttribute("tabindex");
      });
    sentence.querySelector(".t").addEventListener("click", () => {
      if (!getSelection().toString()) sentence.querySelector(".note").focus();
    });
  });
  reading.querySelector(".course")?.addEventListener("click", event => {
    const index = event.target.parentElement ? [...event.target.parentElement.children].indexOf(event.target) : -1;
    if (event.target.matches(".row i")) go(sentences[index]);
  });
  reading.addEventListener("keydown", event => {
    const here = sentences.indexOf(document.activeElement?.closest?.(".s"));
    if (here < 0 || event.altKey || event.ctrlKey || event.metaKey) return;
    const step = { ArrowRight: 1, ArrowDown: 1, j: 1, ArrowLeft: -1, ArrowUp: -1, k: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    for (let i = here + step; i >= 0 && i < sentences.length; i += step)
      if (!sentences[i].classList.contains("out")) { go(sentences[i]); break; }
  });
}
function go(sentence) {
  sentence.querySelector(".note").focus({ preventScroll: true });
  sentence.scrollIntoView({ block: "center" });
}
document.addEventListener("keydown", event => {
  if (event.key === "Escape") document.body.classList.add("closed");
});
