// The search: what does not have every word that was typed is hidden. The page
// needs no script for anything else.
'use strict';

const form = document.getElementById('search');
const query = document.getElementById('query');
const found = document.getElementById('found');
const contents = document.getElementById('contents');
const articles = [...document.querySelectorAll('main article')].map((element) => ({
  element,
  entry: document.querySelector(`nav li[data-for="${CSS.escape(element.id)}"]`),
  text: `${element.id} ${element.textContent}`.toLowerCase(),
}));

function search() {
  const words = query.value.toLowerCase().split(/\s+/).filter(Boolean);
  let count = 0;
  for (const { element, entry, text } of articles) {
    const fits = words.every((word) => text.includes(word));
    element.hidden = !fits;
    if (entry) entry.hidden = !fits;
    if (fits) count += 1;
  }
  hideEmpty(words.length > 0);
  found.textContent = words.length === 0 ? '' : `${count} found`;
}

// hideEmpty hides the headings that have nothing left below them, and in a
// search the sections too.
function hideEmpty(searching) {
  for (const section of document.querySelectorAll('main section')) {
    section.hidden = searching && !section.querySelector('article:not([hidden])');
  }
  for (const heading of document.querySelectorAll('main h3.tag')) {
    let below = heading.nextElementSibling;
    let empty = true;
    while (below && below.tagName === 'ARTICLE') {
      empty = empty && below.hidden;
      below = below.nextElementSibling;
    }
    heading.hidden = empty;
  }
  for (const list of document.querySelectorAll('nav ul')) {
    const empty = [...list.children].every((entry) => entry.hidden);
    list.hidden = empty;
    if (list.previousElementSibling.tagName === 'H3') list.previousElementSibling.hidden = empty;
  }
}

// show makes the target of a link visible again.
function show() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target && target.closest('[hidden]')) {
    query.value = '';
    search();
    target.scrollIntoView();
  }
}

form.hidden = false;
form.addEventListener('submit', (event) => event.preventDefault());
query.addEventListener('input', search);
window.addEventListener('hashchange', show);
document.addEventListener('keydown', (event) => {
  if (event.key === '/' && document.activeElement !== query) {
    event.preventDefault();
    query.focus();
  }
});
if (window.matchMedia('(max-width: 52rem)').matches) contents.open = false;
