// A sequence diagram of requests that overlap in time: visitor, server, store. Time runs down, one
// row for each thing that happened, in the order in which it happened.

import {colour, svg} from './dom.js';

const rowHeight = 26;
const top = 22;
const timeWidth = 78;
const characterWidth = 7.9;

const shortened = (text, width) => {
  const most = Math.max(4, Math.floor(width / characterWidth));
  return text.length > most ? `${text.slice(0, most - 1)}…` : text;
};

// A store call in a few words.
export const callText = (call) => wordsOf(call) + (call.node && ` at ${call.node}`);

function wordsOf(call) {
  const [first, second, ...rest] = call.command;
  if (call.kind === 'bytes') return `bytes: ${first}`;
  if (call.kind === 'firestore') {
    const verb = second.slice(second.lastIndexOf('/documents') + 10).replace(/^[:/]/, '') || second;
    const documents = [...new Set(rest.join(' ').match(/\/documents\/[^"\s]+/g) ?? [])].map((name) => name.slice(11));
    return [first === 'POST' ? '' : first, verb, ...documents].join(' ').trim();
  }
  if (/^EVAL(SHA)?$/i.test(first)) return `${first} ${/SHA/i.test(first) ? second.slice(0, 7) : 'script'} ${rest.slice(1).join(' ')}`;
  return call.command.join(' ');
}

export function replyText(call) {
  if (call.kind !== 'firestore') return call.reply;
  const failure = call.reply.match(/"status":\s*"(\w+)"/);
  return call.reply.slice(0, 3) + (failure ? ` ${failure[1]}` : '');
}

const milliseconds = (microseconds) => `${(microseconds / 1000).toFixed(1)} ms`;

export const answerText = (exchange) => {
  const instance = exchange.instance ? ` by ${exchange.instance}` : '';
  return `${exchange.status || 'no answer'}${instance} ${milliseconds(exchange.ended - exchange.started)}`;
};

// What happened, as {time, kind, exchange, call}, in order.
function eventsOf(exchanges, calls) {
  const events = [];
  for (const exchange of exchanges) {
    events.push({time: exchange.started, kind: 'request', exchange});
    if (exchange.ended) events.push({time: exchange.ended, kind: 'answer', exchange});
  }
  for (const call of calls) {
    const exchange = exchanges.find(({id}) => id === call.exchange);
    events.push({time: call.started, kind: 'call', exchange, call});
    if (call.ended) events.push({time: call.ended, kind: 'reply', exchange, call});
  }
  // What has the same microsecond stays in the order in which it must have been.
  const order = {request: 0, call: 1, reply: 2, answer: 3};
  return events.sort((a, b) => a.time - b.time || order[a.kind] - order[b.kind]);
}

// `lanes`: the exchanges, and null for calls of which nobody can tell whose they were.
export function diagram(exchanges, calls, requestText, width) {
  const events = eventsOf(exchanges, calls);
  const lanes = calls.some((call) => !exchanges.some(({id}) => id === call.exchange)) ? [...exchanges, null] : exchanges;
  const laneWidth = lanes.length > 8 ? 9 : 16;
  const band = lanes.length * laneWidth;
  const visitor = timeWidth + 6;
  const store = width - 14;
  const space = (store - visitor - band) / 2;
  const laneX = (exchange) => visitor + space + lanes.indexOf(exchange ?? null) * laneWidth + laneWidth / 2;
  const rowY = (row) => top + row * rowHeight + rowHeight - 6;
  const height = rowY(events.length) + 4;
  const picture = svg('svg', {width, height, viewBox: `0 0 ${width} ${height}`, role: 'img',
    'aria-label': `${exchanges.length} requests and ${calls.length} store calls in the order in which they happened`});
  const text = (x, y, content, attributes = {}) => svg('text', {x, y, ...attributes}, content);
  picture.append(
    text(visitor, 13, 'visitor', {class: 'head'}),
    text(visitor + space + band / 2, 13, 'server', {class: 'head', 'text-anchor': 'middle'}),
    text(store, 13, 'store', {class: 'head', 'text-anchor': 'end'}),
    svg('line', {class: 'lifeline', x1: visitor, x2: visitor, y1: top, y2: height}),
    svg('line', {class: 'lifeline', x1: store, x2: store, y1: top, y2: height}));
  for (const lane of lanes) {
    const rows = events.flatMap((event, row) => ((event.exchange ?? null) === lane ? [row] : []));
    const last = lane && !lane.ended ? height : rowY(rows.at(-1));
    const bar = svg('rect', {class: lane ? 'bar' : 'shared', x: laneX(lane) - 3, width: 6, y: rowY(rows[0]), height: last - rowY(rows[0])},
      svg('title', {}, lane ? `request ${lane.id}` : 'store calls whose request cannot be told'));
    picture.append(lane ? colour(bar, lane.jar) : bar);
  }
  events.forEach((event, row) => {
    const {kind, exchange, call} = event;
    const y = rowY(row);
    const isRequest = kind === 'request' || kind === 'answer';
    const [from, to] = {request: [visitor, laneX(exchange)], answer: [laneX(exchange), visitor],
      call: [laneX(exchange), store], reply: [store, laneX(exchange)]}[kind];
    const full = {request: () => requestText(exchange), answer: () => answerText(exchange),
      call: () => callText(call), reply: () => replyText(call)}[kind]();
    const failed = kind === 'reply' ? call.failed : kind === 'answer' && (exchange.status === 0 || exchange.status >= 400);
    const tip = from < to ? -6 : 6;
    const label = text(isRequest ? visitor + 8 : visitor + space + band + 8, y - 5, shortened(full, space - 16), {class: failed ? 'failed' : ''});
    const group = svg('g', {'data-kind': kind}, svg('title', {}, full),
      svg('line', {class: kind === 'answer' || kind === 'reply' ? 'arrow answer' : 'arrow', x1: from, x2: to, y1: y, y2: y}),
      svg('path', {class: 'tip', d: `M${to} ${y}l${tip} -4v8z`}), label,
      text(timeWidth - 6, y + 4, `+${milliseconds(event.time - events[0].time)}`, {class: 'time', 'text-anchor': 'end'}));
    picture.append(exchange ? colour(group, exchange.jar) : group);
  });
  return picture;
}
