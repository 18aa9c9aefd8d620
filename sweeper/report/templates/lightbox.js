// Enlarges a picture beside the input and the truth of its patch. Without a script the pictures are still on the page.
(() => {
  const box = document.getElementById('lightbox');
  const shots = [...document.querySelectorAll('#panels .shot')];
  if (!box || !box.showModal) return;
  const title = document.getElementById('lightbox-title');
  const place = box.querySelector('.enlarged');
  let at = 0;

  function enlarged(picture) {
    const figure = document.createElement('figure');
    const words = document.createElement('figcaption');
    words.textContent = picture.querySelector('img').dataset.label;
    figure.append(picture.cloneNode(true), words);
    return figure;
  }

  function show(index) {
    at = (index + shots.length) % shots.length;
    const given = shots[at].closest('.case').querySelectorAll('.given .picture');
    const pictures = new Set([...given, ...shots[at].querySelectorAll('.picture')]);
    place.replaceChildren(...[...pictures].map(enlarged));
    title.textContent = shots[at].dataset.title;
  }

  shots.forEach((shot, index) => shot.addEventListener('click', () => { show(index); box.showModal(); }));
  box.querySelectorAll('[data-move]').forEach((button) => {
    button.addEventListener('click', () => show(at + Number(button.dataset.move)));
  });
  box.querySelector('[data-close]').addEventListener('click', () => box.close());
  box.addEventListener('keydown', (event) => {
    const move = {ArrowLeft: -1, ArrowRight: 1, ArrowUp: -1, ArrowDown: 1}[event.key];
    if (!move) return;
    event.preventDefault();
    show(at + move);
  });
  // A click beside the box is one on its backdrop, which is the dialog itself.
  box.addEventListener('click', (event) => { if (event.target === box) box.close(); });
  // Who closes it goes on from the picture last seen.
  box.addEventListener('close', () => shots[at].focus());
})();
