// The third panel: what is in the store, how long it will stay, and who holds its name.

import {duration, element, flash, replaceCard, visitorName} from './dom.js';

const kept = 20;  // records that are gone and still shown

export class Store {
  #list = document.querySelector('#store .scroll');
  #cards = new Map();  // by the record's key
  #model;

  constructor(model) {
    this.#model = model;
  }

  // Says what is looked at, and why it cannot be.
  describe(about, failure) {
    const [name, nothing] = {
      redis: ['Redis', 'There is nothing in Redis yet.'],
      firestore: ['Firestore', 'There is no document yet.'],
    }[about.store] ?? ['none to look into', 'This server has no store outside its own process, so there is nothing to see.'];
    const kind = document.querySelector('#store-kind');
    kind.textContent = failure ? `${name}: ${failure}` : name;
    kind.className = failure ? 'bad' : '';
    const empty = this.#list.querySelector('.empty');
    if (empty) empty.textContent = nothing;
  }

  // All records as they are now, and the time at which they were asked for.
  show(records, asked) {
    const present = new Set(records.map((record) => record.key));
    for (const [key, entry] of this.#cards) {
      if (!present.has(key) && !entry.gone) this.#bury(key, entry);
    }
    for (const record of records) this.#showRecord(record, asked);
    const gone = [...this.#cards].filter(([, entry]) => entry.gone);
    for (const [key, entry] of gone.slice(0, -kept)) {
      entry.card.remove();
      this.#cards.delete(key);
    }
  }

  #showRecord(record, asked) {
    this.#list.querySelector('.empty')?.remove();
    const before = this.#cards.get(record.key);
    const contents = JSON.stringify([record.type, record.fields]);
    const until = record.ttl !== null ? asked + record.ttl : this.#expiry(record);
    if (before && !before.gone && before.contents === contents) {
      this.#renew(before, until, record);
      return;
    }
    const list = element('dl', {class: 'mono'});
    const old = new Map(before && !before.gone ? before.record.fields : []);
    for (const [name, value] of record.fields) {
      const shown = element('dd', {}, value);
      list.append(element('dt', {}, name || 'value'), shown);
      if (before && old.get(name) !== value) flash(shown);
    }
    const card = element('article', {class: 'card record', tabindex: -1, 'aria-label': record.key},
      element('h3', {class: 'mono'}, record.key, element('small', {}, record.type)),
      element('p', {class: 'countdown'}), element('p', {class: 'holders'}), list);
    if (before) replaceCard(before.card, card);
    else this.#list.append(card);
    if (!before || before.gone) flash(card);
    const entry = {card, contents, record, gone: false};
    this.#cards.set(record.key, entry);
    this.#renew(entry, until, record);
  }

  #renew(entry, until, record) {
    entry.record = record;
    const countdown = entry.card.querySelector('.countdown');
    if (until === null) countdown.textContent = 'no expiry';
    else countdown.dataset.until = until;
    this.link(entry);
  }

  // Firestore has no time to live of its own that could be asked for.
  #expiry(record) {
    const field = record.fields.find(([name]) => name === 'expireAt');
    return field ? Date.parse(field[1]) : null;
  }

  #bury(key, entry) {
    entry.gone = true;
    entry.card.classList.add('gone');
    const countdown = entry.card.querySelector('.countdown');
    const expired = countdown.dataset.until && countdown.dataset.until <= this.#model.now() + 300;
    countdown.textContent = `${expired ? 'expired' : 'deleted'} at ${new Date(this.#model.now()).toLocaleTimeString()}`;
    delete countdown.dataset.until;
    entry.card.querySelector('.holders').replaceChildren();
    flash(entry.card);
    this.#cards.delete(key);  // to the end: the oldest that is gone makes room first
    this.#cards.set(key, entry);
  }

  // Says which jars hold the record's token or user.
  link(entry) {
    const jars = this.#model.jars.holding(entry.record);
    entry.card.querySelector('.holders').replaceChildren(...jars.flatMap((jar, i) => [
      i ? ', ' : 'held by ',
      element('button', {class: 'link', type: 'button', onclick: () => this.#model.jars.focus(jar.id)}, visitorName(jar))]));
  }

  linkAll() {
    for (const entry of this.#cards.values()) if (!entry.gone) this.link(entry);
  }

  records() {
    return [...this.#cards.values()].filter((entry) => !entry.gone).map((entry) => entry.record);
  }

  // Goes to the first record for which the condition holds; says so if there is none.
  focus(condition) {
    const found = [...this.#cards.values()].find((entry) => !entry.gone && condition(entry.record));
    found?.card.scrollIntoView({block: 'nearest'});
    found?.card.focus();
    flash(found?.card ?? this.#list);
  }

  // True if a record's time has just come, so that the store should be asked.
  tick() {
    const now = this.#model.now();
    let due = false;
    for (const node of this.#list.querySelectorAll('[data-until]')) {
      const left = node.dataset.until - now;
      node.textContent = left > 0 ? `${duration(left)} left` : 'expires now';
      due ||= left <= 0 && left > -3000;
    }
    return due;
  }
}
