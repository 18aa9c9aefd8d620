// Every chart stands on the page as a still picture; one that comes into view becomes one to point at.
// Nothing moves: its place leaves room for what another font of the browser may add.
const options = (name) => ({
  // Without a $schema vega-embed guesses, and takes a concatenation for Vega.
  mode: 'vega-lite',
  renderer: 'svg',
  actions: {export: true, source: false, compiled: false, editor: false},
  downloadFileName: name,
  tooltip: {theme: 'custom'},
});

const enliven = async (place) => {
  const name = place.dataset.chart;
  const still = place.querySelector('svg');
  const box = document.createElement('div');
  try {
    await vegaEmbed(box, JSON.parse(document.getElementById('spec-' + name).textContent), options(name));
  } catch (error) {
    console.error(name, error);
    return;
  }
  const live = box.querySelector('svg.marks');
  live.setAttribute('role', 'img');
  live.setAttribute('aria-label', still.getAttribute('aria-label'));
  for (const name of ['role', 'aria-roledescription', 'aria-label']) {
    box.querySelector('.chart-wrapper')?.removeAttribute(name);
  }
  box.querySelector('summary')?.setAttribute('aria-label', 'Save this chart as a picture');
  place.replaceChildren(box);
  place.dataset.live = 'yes';
};

const watcher = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    if (entry.isIntersecting) {
      watcher.unobserve(entry.target);
      enliven(entry.target);
    }
  }
}, {rootMargin: '200px'});
document.querySelectorAll('[data-chart]').forEach((place) => watcher.observe(place));

// What scrolls sideways can be reached by keyboard; what fits is no stop on the way.
const reach = new ResizeObserver((entries) => {
  for (const {target} of entries) {
    const wide = target.scrollWidth > target.clientWidth + 1;
    target.tabIndex = wide ? 0 : -1;
    if (wide) {
      target.setAttribute('role', 'region');
      target.setAttribute('aria-label', target.dataset.label ?? 'Scrolls sideways');
    }
  }
});
document.querySelectorAll('.scroll, pre').forEach((one) => reach.observe(one));

// What is folded on the screen is not to be lost on paper.
let folded = [];
addEventListener('beforeprint', () => {
  folded = [...document.querySelectorAll('details:not([open])')];
  folded.forEach((one) => { one.open = true; });
});
addEventListener('afterprint', () => folded.forEach((one) => { one.open = false; }));
