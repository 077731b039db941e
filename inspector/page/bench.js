// The fourth panel: takes a cookie, changes it, sends it, and shows what came of it.

import {decoded, toBase64url, verdict} from './cookies.js';
import {element, visitorName} from './dom.js';

// A page as a document. Its style sheet would be subject to this page's policy, which forbids it.
const parsed = (html) => new DOMParser().parseFromString(html.replace(/<style.*?<\/style>/gis, ''), 'text/html');

export async function post(path, content) {
  const response = await fetch(path, {method: 'POST', headers: {'Content-Type': 'application/json'}, body: JSON.stringify(content)});
  if (!response.ok) throw new Error(parsed(await response.text()).querySelector('p')?.textContent);
  return response.json();
}

// What two readings of the store differ in, as sentences.
export function changes(before, after) {
  const fields = (records) => new Map(records.map((record) => [record.key, new Map(record.fields)]));
  const [old, present] = [fields(before), fields(after)];
  const sentences = [];
  for (const [key, values] of present) {
    if (!old.has(key)) sentences.push(`${key} is new`);
    for (const [name, value] of values) {
      if (old.has(key) && old.get(key).get(name) !== value) sentences.push(`${key}: ${name} ${old.get(key).get(name) ?? 'nothing'} → ${value}`);
    }
  }
  for (const key of old.keys()) if (!present.has(key)) sentences.push(`${key} is gone`);
  return sentences;
}

// Each attack makes a cookie's value out of another one.
const attacks = {
  claims: (value, claims) => withPart(value, decoded(value).header ? 1 : 0, toBase64url(claims)),
  cut: (value) => value.slice(0, value.lastIndexOf('.') + 1),
  none: (value) => {
    const {header} = decoded(value);
    return header ? withPart(withPart(value, 0, toBase64url(JSON.stringify({...header, alg: 'none'}))), 2, '') : value;
  },
  flip: (value) => {
    const middle = Math.floor(value.length / 2);
    return value.slice(0, middle) + (value[middle] === 'A' ? 'B' : 'A') + value.slice(middle + 1);
  },
};

function withPart(value, index, part) {
  const parts = value.split('.');
  parts[index] = part;
  return parts.join('.');
}

export class Bench {
  #form = document.querySelector('#bench form');
  #outcome = document.querySelector('#bench .outcome');
  #model;
  #sources = [];

  constructor(model) {
    this.#model = model;
    const {elements} = this.#form;
    this.offer([]);
    elements.source.addEventListener('change', () => this.#takeSource());
    this.#form.addEventListener('submit', (event) => {
      event.preventDefault();
      this.#attempt(() => this.#send());
    });
    for (const button of this.#form.querySelectorAll('[data-attack]')) {
      button.addEventListener('click', () => {
        if (button.dataset.attack === 'plant') this.#attempt(() => this.#plant());
        else elements.value.value = attacks[button.dataset.attack](elements.value.value, elements.claims.value);
      });
    }
  }

  // Offers all cookies that anybody holds or has held.
  offer(jars) {
    const {source, jar: target} = this.#form.elements;
    this.#sources = jars.flatMap((jar) => [
      ...jar.cookies.map((cookie) => ({cookie, label: `${visitorName(jar)}: ${cookie.name}`})),
      ...jar.past.map((cookie) => ({cookie, label: `${visitorName(jar)}: ${cookie.name}, held before`}))])
      .filter(({label}) => !label.startsWith('attack bench'));
    const options = [element('option', {value: ''}, 'no cookie'), ...this.#sources.map(({cookie, label}, i) =>
      element('option', {value: i, title: cookie.value}, `${label} (${verdict(cookie, this.#model.now()).word})`))];
    const chosen = this.#sources.findIndex(({cookie}) => cookie.value === source.dataset.value);
    source.replaceChildren(...options);
    source.value = chosen < 0 ? '' : chosen;
    const jarBefore = target.value;
    target.replaceChildren(...jars.filter((jar) => jar.userAgent !== 'attack bench').map((jar) => element('option', {value: jar.id}, visitorName(jar))));
    if (jarBefore) target.value = jarBefore;
  }

  #takeSource() {
    const {source, name, claims, value} = this.#form.elements;
    const cookie = this.#sources[source.value]?.cookie ?? {name: '', value: ''};
    source.dataset.value = cookie.value;
    name.value = cookie.name;
    value.value = cookie.value;
    claims.value = JSON.stringify(decoded(cookie.value).claims ?? '', null, 0);
  }

  // Puts a request that was seen on the bench.
  take(exchange) {
    const {elements} = this.#form;
    elements.method.value = exchange.method;
    elements.path.value = exchange.target;
    elements.body.value = exchange.request.body;
    elements.name.value = exchange.cookies[0]?.name ?? '';
    elements.value.value = exchange.cookies[0]?.value ?? '';
    elements.claims.value = JSON.stringify(decoded(elements.value.value).claims ?? '');
    elements.method.focus();
  }

  async #send() {
    const {elements} = this.#form;
    const headers = [];
    if (elements.name.value) headers.push(['Cookie', `${elements.name.value}=${elements.value.value}`]);
    if (elements.body.value) headers.push(['Content-Type', 'application/x-www-form-urlencoded']);
    if (elements.crossSite.checked) headers.push(['Sec-Fetch-Site', 'cross-site']);
    const before = await this.#model.readStore();
    const answers = await post('/attack', {method: elements.method.value, path: elements.path.value, headers,
      body: elements.body.value, times: Number(elements.times.value)});
    const sentences = changes(before, await this.#model.readStore());
    this.#say('What came of it', ...this.#summary(answers), element('h3', {}, 'In the store'),
      sentences.length ? element('ul', {class: 'mono'}, ...sentences.map((sentence) => element('li', {}, sentence)))
        : element('p', {class: 'faint'}, 'Nothing has changed.'));
  }

  // Equal answers are one line.
  #summary(answers) {
    const counted = new Map();
    for (const {status, head, body} of answers) {
      const page = parsed(body);
      const cookies = head.split('\r\n').filter((line) => /^set-cookie:/i.test(line));
      const text = [`${status || 'no answer'}: ${page.body.textContent.replace(/\s+/g, ' ').trim().slice(0, 160)}`, ...cookies].join('\n');
      counted.set(text, (counted.get(text) ?? 0) + 1);
    }
    return [element('ul', {class: 'mono'}, ...[...counted].sort().map(([text, count]) =>
      element('li', {}, element('pre', {}, count > 1 ? `${count} × ${text}` : text))))];
  }

  async #plant() {
    const {name, value, jar} = this.#form.elements;
    await post('/plant', {jar: Number(jar.value), name: name.value, value: value.value});
    this.#say('Planted', element('p', {}, `The next answer to ${jar.selectedOptions[0]?.textContent} sets the cookie “${name.value}”.`));
  }

  async #attempt(action) {
    try {
      await action();
    } catch (error) {
      this.#say('It was not sent', element('p', {class: 'bad'}, error.message));
    }
  }

  #say(title, ...nodes) {
    this.#outcome.replaceChildren(element('h3', {}, `3. ${title}`), ...nodes);
  }
}
