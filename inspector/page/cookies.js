// What a cookie says, and which record in the store it names.

export function fromBase64url(text) {
  try {
    const bytes = atob(text.replaceAll('-', '+').replaceAll('_', '/'));
    return new TextDecoder().decode(Uint8Array.from(bytes, (byte) => byte.charCodeAt(0)));
  } catch {
    return null;
  }
}

export function toBase64url(text) {
  const bytes = Array.from(new TextEncoder().encode(text), (byte) => String.fromCharCode(byte)).join('');
  return btoa(bytes).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
}

function parsed(text) {
  try {
    const value = JSON.parse(text);
    return value !== null && typeof value === 'object' ? value : null;
  } catch {
    return null;
  }
}

// {parts, header, claims}: header and claims are null where there is nothing to read.
export function decoded(value) {
  const parts = value.split('.');
  const first = parsed(fromBase64url(parts[0]));
  if (first === null) return {parts, header: null, claims: null};
  // Flask signs the claims alone; a JSON Web Token has a header before them.
  if (!('alg' in first)) return {parts, header: null, claims: first};
  return {parts, header: first, claims: parsed(fromBase64url(parts[1] ?? ''))};
}

// {word, tone, expires}: `expires` in milliseconds since 1970, or null.
export function verdict(cookie, now) {
  const {header, claims} = decoded(cookie.value);
  const byClaim = typeof claims?.exp === 'number' ? claims.exp * 1000 : null;
  const byBrowser = cookie.expires ? cookie.expires / 1000 : null;
  const expires = byClaim && byBrowser ? Math.min(byClaim, byBrowser) : byClaim ?? byBrowser;
  const say = (word, tone) => ({word, tone, expires});
  if (cookie.signature === 'none' && header) return say('unsigned', 'bad');
  if (cookie.signature === 'none') return say(claims ? 'signed as Flask does, not checked' : 'a name without meaning', 'faint');
  if (cookie.signature === 'wrong') return say('changed or foreign', 'bad');
  if (header?.alg !== 'HS256') return say(`alg is ${header?.alg}`, 'bad');
  if (expires !== null && expires <= now) return say('expired', 'warn');
  if (cookie.signature === 'unchecked') return say('not checked, no key', 'faint');
  return cookie.signature === 'old' ? say('valid, signed with an old key', 'warn') : say('valid', 'good');
}

// The texts in a cookie that may name a record: its value, and each claim that is a text.
export function identities(value) {
  const {claims} = decoded(value);
  const texts = Object.entries(claims ?? {}).filter(([name, claim]) => typeof claim === 'string' && name !== 'aud');
  return [value, ...texts.map(([, claim]) => claim)].filter((text) => text !== '');
}

// True if the text names the identity, as names() in cookie_check.cpp has it.
export function names(text, identity) {
  const isDigit = (character) => /^[\w-]$/.test(character ?? '');
  for (let at = text.indexOf(identity); at >= 0; at = text.indexOf(identity, at + 1)) {
    if (!isDigit(text[at - 1]) && !isDigit(text[at + identity.length])) return true;
  }
  return (text.match(/[\w-]{16,}/g) ?? []).some((word) => identity.includes(word));
}

// True if one of the jar's cookies names the record.
export function holds(jar, record) {
  const text = [record.key, ...record.fields.map(([name]) => name)].join('\n');
  return jar.cookies.some((cookie) => identities(cookie.value).some((identity) => names(text, identity)));
}
