// The first panel: each visitor with its cookies.

import {decoded, holds, names, verdict} from './cookies.js';
import {colour, duration, element, flash, replaceCard, visitorName} from './dom.js';

// Claims that every token has (RFC 7519, section 4.1); the others are the application's.
const isOrdinary = (claim) => ['iss', 'sub', 'aud', 'exp', 'nbf', 'iat', 'jti'].includes(claim);

export class Jars {
  #list = document.querySelector('#jars .scroll');
  #cards = new Map();  // by the jar's number
  #model;

  constructor(model) {
    this.#model = model;
  }

  show(jar) {
    this.#list.querySelector('.empty')?.remove();
    const before = this.#cards.get(jar.id);
    const card = colour(element('article', {class: 'card', id: `jar-${jar.id}`, tabindex: -1, 'aria-label': visitorName(jar)}), jar.id);
    card.append(element('h3', {}, visitorName(jar), element('small', {}, `${jar.requests} requests`)));
    if (jar.deleted) card.append(element('p', {class: 'empty bad'}, `An answer has deleted “${jar.deleted}”.`));
    if (jar.cookies.length === 0 && !jar.deleted) card.append(element('p', {class: 'empty'}, 'No cookies.'));
    card.append(...jar.cookies.map((cookie) => this.#cookie(cookie)));
    if (before) replaceCard(before.card, card);
    else this.#list.append(card);
    this.#cards.set(jar.id, {card, jar});
    const contents = JSON.stringify([jar.cookies.map((cookie) => cookie.value), jar.deleted]);
    if (before ? before.contents !== contents : jar.cookies.length > 0) flash(card);
    this.#cards.get(jar.id).contents = contents;
  }

  #cookie(cookie) {
    const {parts, header, claims} = decoded(cookie.value);
    const judged = verdict(cookie, this.#model.now());
    const left = element('span', {class: 'countdown faint'});
    if (judged.expires !== null) left.dataset.until = judged.expires;
    const list = element('dl', {class: 'mono'});
    const add = (name, value) => list.append(element('dt', {}, name), element('dd', {}, value));
    // What names a record comes first, for the card may be too short for all.
    const entries = Object.entries(claims ?? {}).sort(([a], [b]) => isOrdinary(a) - isOrdinary(b));
    for (const [name, value] of entries) add(name, this.#claim(name, value));
    if (claims === null) add('names', this.#claim('', cookie.value));
    if (header) add('header', JSON.stringify(header));
    if (cookie.attributes) add('set with', cookie.attributes);
    const raw = parts.flatMap((part, i) => [i ? '.' : '', element('span', {class: header ? `part-${i}` : undefined}, part)]);
    return element('div', {class: 'cookie'},
      element('p', {class: 'cookie-line'}, element('strong', {class: 'mono'}, cookie.name),
        element('span', {class: `verdict ${judged.tone}`, 'data-cookie': cookie.name}, judged.word), left),
      element('p', {class: 'raw mono'}, ...raw), list);
  }

  // A claim that may name a record is a link to it. Which records there are is not known before a click.
  #claim(name, value) {
    if (['exp', 'iat', 'nbf'].includes(name)) return `${value} = ${new Date(value * 1000).toLocaleString('sv').slice(0, 16)}`;
    if (typeof value !== 'string' || value === '' || isOrdinary(name)) return JSON.stringify(value);
    const follow = () => this.#model.showRecord((record) => names(record.key, value));
    return element('button', {class: 'link mono', type: 'button', title: 'to its record in the store', onclick: follow}, value);
  }

  // The jars that hold a record's token or user.
  holding(record) {
    return [...this.#cards.values()].map(({jar}) => jar).filter((jar) => holds(jar, record));
  }

  focus(id) {
    const card = this.#cards.get(id)?.card;
    card?.scrollIntoView({block: 'nearest'});
    card?.focus();
    if (card) flash(card);
  }

  tick() {
    const now = this.#model.now();
    for (const node of this.#list.querySelectorAll('[data-until]')) {
      const left = node.dataset.until - now;
      node.textContent = left > 0 ? `${duration(left)} left` : '';
      if (left <= 0) {
        delete node.dataset.until;
        this.show(this.#cards.get(Number(node.closest('.card').id.slice(4))).jar);
      }
    }
  }
}
