// The second panel: each request as it happened; those that were kept, whole and compared.

import {answerText, callText, diagram, replyText} from './diagram.js';
import {verdict} from './cookies.js';
import {colour, element} from './dom.js';

const most = 500;  // requests that are shown

// A word for a shell, quoted.
const quoted = (text) => `'${text.replaceAll("'", `'\\''`)}'`;

export class Happened {
  #list = document.querySelector('#happened .scroll');
  #kept = document.querySelector('#kept');
  #exchanges = new Map();
  #calls = new Map();
  #bursts = [];       // of requests that overlap: {node, exchanges, calls, end}
  #chosen = [];       // at most two exchanges
  #model;

  constructor(model) {
    this.#model = model;
    new ResizeObserver(() => this.#bursts.forEach((burst) => this.#draw(burst))).observe(this.#list);
  }

  // What is new or has changed, in the order of its numbers.
  show(exchanges, calls) {
    const follows = this.#list.scrollHeight - this.#list.scrollTop - this.#list.clientHeight < 40;
    const touched = new Set();
    for (const exchange of exchanges) {
      const known = this.#exchanges.get(exchange.id);
      this.#exchanges.set(exchange.id, exchange);
      const burst = known ? this.#burstOf(exchange.id) : this.#burstAt(exchange.started);
      if (!known) burst.exchanges.push(exchange.id);
      touched.add(burst);
    }
    for (const call of calls) {
      const known = this.#calls.has(call.id);
      this.#calls.set(call.id, call);
      const burst = (call.exchange && this.#burstOf(call.exchange)) || this.#bursts.find(({calls: ids}) => ids.includes(call.id)) || this.#burstAt(call.started);
      if (!known) burst.calls.push(call.id);
      touched.add(burst);
    }
    for (const burst of touched) this.#draw(burst);
    this.#forget();
    this.#showKept();
    if (follows) this.#list.scrollTop = this.#list.scrollHeight;
  }

  #burstOf(exchange) {
    return this.#bursts.find((burst) => burst.exchanges.includes(exchange));
  }

  // The last burst if something in it was still under way at that time, or else a new one.
  #burstAt(time) {
    const last = this.#bursts.at(-1);
    if (last && last.exchanges.some((id) => this.#reaches(this.#exchanges.get(id), time))) return last;
    this.#list.querySelector('.empty')?.remove();
    const burst = {node: element('div', {class: 'burst'}), exchanges: [], calls: []};
    this.#bursts.push(burst);
    this.#list.append(burst.node);
    return burst;
  }

  #reaches(exchange, time) {
    return exchange.ended === 0 || exchange.ended >= time;
  }

  #draw(burst) {
    const exchanges = burst.exchanges.map((id) => this.#exchanges.get(id));
    const calls = burst.calls.map((id) => this.#calls.get(id));
    if (exchanges.length + calls.length === 0) return;
    const buttons = exchanges.map((exchange) => colour(element('button', {
      type: 'button', 'data-exchange': exchange.id, 'aria-pressed': this.#chosen.some(({id}) => id === exchange.id),
      onclick: () => this.#choose(exchange)}, `#${exchange.id} ${this.#requestLine(exchange)} ${exchange.ended ? answerText(exchange) : '…'}`), exchange.jar));
    burst.node.replaceChildren(element('div', {class: 'requests'}, ...buttons),
      diagram(exchanges, calls, (exchange) => this.#requestText(exchange), Math.max(this.#list.clientWidth - 18, 380)));
  }

  #requestLine(exchange) {
    return exchange.isHttp ? `${exchange.method} ${exchange.target}` : 'bytes';
  }

  #requestText(exchange) {
    const cookies = exchange.cookies.map((cookie) => `${cookie.name}: ${verdict(cookie, exchange.started / 1000).word}`);
    return `${exchange.id} ${this.#requestLine(exchange)} · ${cookies.join(', ') || 'no cookie'}`;
  }

  #choose(exchange) {
    const isChosen = this.#chosen.some(({id}) => id === exchange.id);
    this.#chosen = isChosen ? this.#chosen.filter(({id}) => id !== exchange.id) : [...this.#chosen.slice(-1), exchange];
    for (const button of this.#list.querySelectorAll('[data-exchange]')) {
      button.setAttribute('aria-pressed', this.#chosen.some(({id}) => String(id) === button.dataset.exchange));
    }
    this.#showKept();
  }

  // What was kept stays, also when it is long gone from the list.
  #showKept() {
    this.#chosen = this.#chosen.map((exchange) => this.#exchanges.get(exchange.id) ?? exchange);
    const texts = this.#chosen.map((exchange) => this.#whole(exchange));
    if (JSON.stringify(texts) === this.#kept.dataset.shown) return;
    this.#kept.dataset.shown = JSON.stringify(texts);
    const articles = this.#chosen.map((exchange, i) => {
      const other = new Set(texts[1 - i]?.split('\n'));
      const lines = texts[i].split('\n').map((line) =>
        element('span', {class: texts.length === 2 && !other.has(line) ? 'differs' : undefined}, `${line}\n`));
      return colour(element('article', {'aria-label': `Request ${exchange.id}`},
        element('p', {class: 'buttons'}, element('strong', {}, `#${exchange.id}`),
          element('button', {type: 'button', onclick: (event) => this.#copy(exchange, event.target)}, 'Copy as curl'),
          element('button', {type: 'button', onclick: () => this.#model.bench.take(exchange)}, 'To the bench'),
          element('button', {type: 'button', onclick: () => this.#choose(exchange)}, 'Let go')),
        element('pre', {}, ...lines)), exchange.jar);
    });
    this.#kept.replaceChildren(...(articles.length ? articles :
      [element('p', {class: 'empty'}, 'Choose a request to keep it here, and a second one to compare them.')]));
  }

  #whole(exchange) {
    const calls = [...this.#calls.values()].filter((call) => call.exchange === exchange.id);
    const cut = ({body, bodySize}) => body + (bodySize > new TextEncoder().encode(body).length ? `\n(cut: the body has ${bodySize} bytes)` : '');
    return [exchange.request.head.trimEnd(), cut(exchange.request), '',
      ...calls.flatMap((call) => [`store: ${callText(call)}`, ...(call.kind === 'firestore' ? [call.command[2]] : []),
        `  → ${call.kind === 'firestore' ? call.reply : replyText(call)}${call.certain ? '' : '  (told by what it names)'}`]),
      '', exchange.response.head.trimEnd(), '', cut(exchange.response).trimEnd()]
      .join('\n').replaceAll('\r', '').replace(/\n{3,}/g, '\n\n');
  }

  async #copy(exchange, button) {
    await navigator.clipboard.writeText(this.curl(exchange));
    button.textContent = 'Copied';
  }

  exchange(id) {
    return this.#exchanges.get(id);
  }

  // The command that sends the same request again.
  curl(exchange) {
    const skipped = /^(host|content-length|connection|accept-encoding)$/i;
    const headers = exchange.request.head.trimEnd().split('\r\n').slice(1)
      .filter((line) => !skipped.test(line.slice(0, line.indexOf(':')))).map((line) => `-H ${quoted(line)}`);
    const body = exchange.request.body ? [`--data-raw ${quoted(exchange.request.body)}`] : [];
    const method = exchange.method === 'HEAD' ? '-I' : `-X ${exchange.method}`;
    return ['curl', '-i', method, ...headers, ...body, quoted(this.#model.about.visitors + exchange.target)].join(' ');
  }

  #forget() {
    while (this.#bursts.length > 1 && this.#exchanges.size > most) {
      const [burst] = this.#bursts.splice(0, 1);
      burst.exchanges.forEach((id) => this.#exchanges.delete(id));
      burst.calls.forEach((id) => this.#calls.delete(id));
      burst.node.remove();
    }
  }
}
