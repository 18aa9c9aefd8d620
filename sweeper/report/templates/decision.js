// The slider of the decision map: shows what the map says at a reader's own level and cost of a miss. All words come
// from the page's data, which is what the tables say; nothing is worked out here.
(() => {
  const place = document.getElementById('finder');
  const data = JSON.parse(document.getElementById('finder-data').textContent);
  const ratio = document.getElementById('finder-ratio');
  const level = document.getElementById('finder-level');
  const heard = document.getElementById('finder-heard');
  let waiting;
  // Read out once the slider has come to rest: on its way it passes many places.
  const announce = () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => {
      heard.textContent = data.advice[Number(level.value)][Number(ratio.value)].spoken;
    }, 400);
  };
  const show = () => {
    const found = data.advice[Number(level.value)][Number(ratio.value)];
    ratio.setAttribute('aria-valuetext', data.ratios[Number(ratio.value)]);
    place.querySelector('.swatch').style.background = found.color;
    for (const field of place.querySelectorAll('[data-say]')) {
      const name = field.dataset.say;
      const text = name === 'setting' ? `(${found.setting})` : found[name];
      if (field.textContent !== text) field.textContent = text;
    }
  };
  ratio.addEventListener('input', show);
  ratio.addEventListener('input', announce);
  level.addEventListener('change', show);
  level.addEventListener('change', announce);
  place.querySelector('fieldset').disabled = false;
  // A browser may have kept what was chosen before the page was loaded again.
  show();
})();
