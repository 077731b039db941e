// Makes elements. Text is always set as text: what visitors send is never HTML here.

const svgNamespace = 'http://www.w3.org/2000/svg';

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name === 'onclick') node.addEventListener('click', value);
    else if (value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

export function element(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(svgNamespace, tag), attributes, children);
}

// The colour of a visitor, for CSS.
export function colour(node, jar) {
  node.style.setProperty('--visitor', `var(--visitor-${((jar - 1) % 6) + 1})`);
  return node;
}

// Puts a newer one in a card's place, with the focus if the card had it.
export function replaceCard(before, card) {
  const focused = before === document.activeElement;
  before.replaceWith(card);
  if (focused) card.focus({preventScroll: true});
}

// Lights up for a moment, also when it has just done so.
export function flash(node) {
  node.classList.remove('flash');
  requestAnimationFrame(() => requestAnimationFrame(() => node.classList.add('flash')));
}

// What a visitor is called: the number, and the program by its User-Agent.
export function visitorName(jar) {
  const agent = jar.userAgent;
  if (agent === 'attack bench') return 'attack bench';
  const known = [['Edg/', 'Edge'], ['Firefox/', 'Firefox'], ['Chrom', 'Chromium'], ['Safari/', 'Safari']];
  const found = known.find(([mark]) => agent.includes(mark));
  return `visitor ${jar.id}, ${found ? found[1] : agent.split(/[/ ]/)[0] || 'unknown'}`;
}

// How long until then, in words whose width hardly changes.
export function duration(milliseconds) {
  const seconds = Math.max(0, milliseconds) / 1000;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.floor(seconds % 60)} s`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  return `${Math.floor(seconds / 86400)} d ${Math.floor((seconds % 86400) / 3600)} h`;
}
