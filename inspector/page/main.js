// Asks the inspector for what is new and hands it to the four panels.

import {Bench} from './bench.js';
import {Happened} from './happened.js';
import {Jars} from './jars.js';
import {Store} from './store.js';

const pauseBetweenPolls = 60;   // milliseconds: what comes in between comes together
const pauseAfterFailure = 1000;
const tickInterval = 100;

const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

async function get(path, headers = {}) {
  const response = await fetch(path, {headers, cache: 'no-store'});
  if (!response.ok) throw new Error(`${path} answers ${response.status}`);
  return response.json();
}

// What the panels share.
const model = {
  about: {},
  clock: 0,  // what the inspector's clock is ahead of this one, in milliseconds
  now: () => Date.now() + model.clock,
  showRecord: (condition) => model.store.focus(condition),
  readStore,
};
const knownJars = new Map();
model.jars = new Jars(model);
model.happened = new Happened(model);
model.store = new Store(model);
model.bench = new Bench(model);
window.inspector = model;  // for the console of who wants to know more

async function readStore() {
  const {now, records, failure} = await get('/store');
  model.store.describe(model.about, failure);
  if (failure) return model.store.records();
  model.store.show(records, now / 1000);
  return records;
}

// Reads the store once more after everything that has asked for it meanwhile.
let reading = null;
let again = false;
async function refreshStore() {
  again = reading !== null;
  if (again) return;
  reading = readStore().catch(() => {});
  await reading;
  reading = null;
  if (again) refreshStore();
}

function show(changes) {
  model.clock = changes.now / 1000 - Date.now();
  for (const jar of changes.jars) {
    knownJars.set(jar.id, jar);
    model.jars.show(jar);
  }
  if (changes.jars.length) {
    model.store.linkAll();
    model.bench.offer([...knownJars.values()]);
  }
  if (changes.exchanges.length + changes.calls.length) {
    model.happened.show(changes.exchanges, changes.calls);
    refreshStore();
  }
}

async function follow() {
  const status = document.querySelector('#connection');
  let version = 0;
  for (;;) {
    try {
      const changes = await get('/events', {'Last-Event-ID': version});
      if (changes.version < version) location.reload();  // another inspector, which knows nothing of this
      version = changes.version;
      show(changes);
      status.textContent = 'live';
      status.className = '';
      await pause(pauseBetweenPolls);
    } catch {
      status.textContent = 'The inspector does not answer.';
      status.className = 'lost';
      await pause(pauseAfterFailure);
    }
  }
}

let lastDue = 0;
setInterval(() => {
  model.jars.tick();
  if (model.store.tick() && Date.now() - lastDue > 250) {
    lastDue = Date.now();
    refreshStore();
  }
}, tickInterval);

model.about = await get('/about');
const link = document.querySelector('#visitors');
link.href = model.about.visitors;
link.textContent = model.about.visitors;
await refreshStore();
await follow();
