// A helpdesk on socket.io 4 and node:http. One connection per agent, kept in a Map.
//   node desk.mjs PORT [policy=replace|keep|reject|turnaway] [fault=a,b] [auth=...] [key=userId] [ns=/] [path=/socket.io] ...
import { createServer } from 'node:http';
import { Server } from 'socket.io';

const [port, ...rest] = process.argv.slice(2);
const opt = Object.fromEntries(rest.map((a) => [a.slice(0, a.indexOf('=')), a.slice(a.indexOf('=') + 1)]));
const fault = new Set((opt.fault ?? '').split(',').filter(Boolean));
const policy = opt.policy ?? 'replace';
const auth = opt.auth ?? 'token';
const jwt = auth.startsWith('jwt') ? (await import('jsonwebtoken')).default : null; // only these cases need the package
const key = opt.key ?? 'userId';
const tokens = opt.tokens ? JSON.parse(opt.tokens) : { 'mira-key-71f0': 'mira', 'tomas-key-20ab': 'tomas' };
const events = { list: 'ticket:list', queue: 'queue:joined', hello: 'desk:hello', ...JSON.parse(opt.events ?? '{}') };
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
let presented = 0;
const say = (line) => opt.log && opt.log !== 'access' && console.log(line);

const count = { connects: 0, disconnects: 0, replaced: 0, refused: 0, emitted: 0 };
const http = createServer((request, response) => (request.url === '/counters' ? response.end(JSON.stringify(count)) : response.writeHead(404).end()));
if (opt.log === 'access') {
  http.prependListener('request', (q) => console.log(`${q.method} ${q.url} 200`));
  http.prependListener('upgrade', (q) => console.log(`${q.method} ${q.url} 101`));
}
const io = new Server(http, {
  path: opt.path ?? '/socket.io', pingInterval: 700, pingTimeout: 700,
  ...(auth === 'origin' ? { allowRequest: (q, done) => done(null, q.headers.origin === 'https://desk.example.com') } : {}),
  ...JSON.parse(opt.io ?? '{}'),
});
const desk = io.of(opt.ns ?? '/');
if (fault.has('upgradecut')) io.engine.on('connection', (c) => c.on('upgrade', () => setTimeout(() => c.close(), 30)));
if (fault.has('upgrademute')) io.engine.on('connection', (c) => c.on('upgrade', (transport) => { transport.send = () => {}; })); // what the server sends is lost
if (fault.has('noreap')) {
  io.engine.on('connection', (c) => { const close = c.onClose.bind(c); c.onClose = (why, d) => (why === 'ping timeout' ? undefined : close(why, d)); });
}

function owner(socket) { // whose connection the credentials make it, or an error
  const { handshake: h } = socket;
  let { token } = h.auth;
  const { userId } = h.auth;
  if (auth === 'bearer') token = (h.headers.authorization ?? '').replace(/^Bearer /, '');
  if (auth === 'query') token = h.query[opt.name ?? 'k'];
  if (opt.echo) { // a careless server: repeats the credential in its log, its greeting and its refusals
    say(`desk client presents ${token}`);
    socket.data.session = token;
    if (++presented > +opt.echo) throw new Error(`credential ${token} is over its quota`);
  }
  if (auth === 'tenant' && !h.auth.tenant) throw new Error('tenant required');
  if (auth.startsWith('jwt')) {
    if (auth === 'jwt-optional' && !token) return userId;
    if (auth === 'jwt-guest' && !token) return `guest-${socket.id}`;
    const claims = auth === 'jwt-decode' ? jwt.decode(token) : jwt.verify(token, 'desk-signing-key', { ignoreExpiration: auth === 'jwt-endless' });
    if (!claims?.sub) throw new Error('unauthorized');
    if (userId && userId !== claims.sub) throw new Error('forbidden');
    return claims.sub;
  }
  if (fault.has('anytoken')) return userId;
  const user = tokens[token] ?? /^desk-of-(.+)$/.exec(token)?.[1];
  if (!user) throw new Error(opt.echo ? `credential ${token} is unknown` : 'unauthorized');
  if (fault.has('trustid')) return userId ?? user;
  if (userId && userId !== user) throw new Error('forbidden');
  return user;
}

const held = new Map(); // agent -> the connection that the desk keeps
const all = new Map(); // agent -> every connection
let number = 0;

function send(user, name, data) {
  const body = { ...data };
  if (key === 'owner') body.owner = { ref: user }; else if (key !== 'none') body[key] = user;
  body.no = ++number;
  if (fault.has('restamp')) body.at = new Date().toISOString();
  const to = fault.has('leak') ? [...desk.sockets.values()] : [...(all.get(user) ?? [])];
  for (const socket of to) {
    socket.emit(name, body);
    count.emitted++;
    if (fault.has('double')) socket.emit(name, body);
    if (fault.has('restamp')) setTimeout(() => socket.emit(name, { ...body, no: ++number, at: new Date().toISOString() }), 3);
  }
}

const present = async (times, wait = 0) => { // everybody learns how many are here: from those who come, leave or ask
  await sleep(wait);
  for (let n = 0; n < times; n++) desk.emit('desk:present', { agents: held.size });
};

function serve(socket, user) {
  const answer = (ask, act) => socket.on(ask, (a, ack) => { act(); const done = typeof a === 'function' ? a : ack; if (typeof done === 'function') done({ ok: true }); });
  answer(`${opt.askList ?? 'ticket:list:get'}`, () => !fault.has('drop') && send(user, events.list, { open: 3, rows: ['T-1', 'T-2', 'T-3'] }));
  answer(`${opt.askQueue ?? 'queue:join'}`, () => {
    send(user, events.queue, { place: 1 });
    if (fault.has('progress')) for (let n = 2; n < 5; n++) send(user, events.queue, { place: n }); // three more, each with news
  });
  if (opt.present) { answer('present:get', () => present(+opt.present)); present(+opt.present, 50); }
  answer('notice:post', () => desk.emit('desk:notice', { text: 'maintenance at noon', no: ++number })); // public, names nobody
}

async function arrive(socket, user) {
  socket.data.user = user;
  const old = held.get(user);
  if (fault.has('race')) await sleep(60);
  if (policy === 'turnaway' && old) { // admitted first, and sent away at once
    say(`WebSocket client turned away userId=${user} socketId=${socket.id}`);
    return socket.disconnect(true);
  }
  if (policy === 'replace' && old && old !== socket) {
    say(`Replacing existing socket for user userId=${user} oldSocketId=${old.id} newSocketId=${socket.id}`);
    count.replaced++;
    if (fault.has('closetransport')) old.conn.close(); else old.disconnect();
  }
  held.set(user, socket);
  if (!all.has(user)) all.set(user, new Set());
  all.get(user).add(socket);
  if (opt.log === 'access') console.log(`agent ${user} is here as ${socket.id} by ${socket.handshake.url}`);
  else say(`WebSocket client connected userId=${user} socketId=${socket.id}${socket.data.session ? ` session ${socket.data.session}` : ''}`);
  serve(socket, user);
  if (!opt.quiet) count.emitted++;
  if (!opt.quiet) socket.emit(events.hello, { [key === 'none' || key === 'owner' ? 'welcome' : key]: key === 'none' || key === 'owner' ? true : user, no: ++number, ...(socket.data.session && { session: socket.data.session }) });
  if (opt.tick) { const timer = setInterval(() => socket.emit(events.list, { open: 3, [key]: user }), +opt.tick); socket.on('disconnect', () => clearInterval(timer)); }
}

if (auth !== 'login' && auth !== 'subscribe') {
  desk.use((socket, next) => {
    try {
      const user = owner(socket);
      if (policy === 'reject') { if (held.has(user)) throw new Error('already connected'); held.set(user, socket); }
      socket.data.user = user;
      next();
    } catch (error) { count.refused++; next(jwt && error instanceof jwt.JsonWebTokenError ? new Error('unauthorized') : error); }
  });
}
desk.on('connection', (socket) => {
  count.connects++;
  socket.on('disconnect', async (reason) => {
    count.disconnects++;
    const { user } = socket.data;
    if (!user) return;
    say(`WebSocket client disconnected socketId=${socket.id} userId=${user} reason=${reason}`);
    all.get(user)?.delete(socket);
    if (opt.free) await sleep(+opt.free);
    if (held.get(user) === socket) held.delete(user);
    if (opt.present) present(1, 40);
  });
  if (auth === 'login') { // the token comes in an event, and nothing is answered before
    socket.emit('desk:login-please', { within: 1500 });
    count.emitted++;
    const late = setTimeout(() => socket.disconnect(), 1500);
    socket.on('desk:login', (c, ack) => {
      const user = tokens[c?.token] ?? /^desk-of-(.+)$/.exec(c?.token ?? '')?.[1];
      if (!user) { socket.emit('desk:login-failed', { why: 'bad token' }); return socket.disconnect(); }
      clearTimeout(late); arrive(socket, user); if (typeof ack === 'function') ack({ ok: true });
    });
    return;
  }
  if (auth === 'subscribe') { // known at once, but nothing comes before a subscription
    let user;
    try { user = tokens[socket.handshake.auth.token]; } finally { if (!user) { socket.emit('error_message', 'unauthorized'); socket.disconnect(); } }
    if (!user) return;
    for (const ask of ['ticket:list:get', 'queue:join']) socket.on(ask, () => all.get(user)?.has(socket) || socket.emit('desk:refused', { why: 'subscribe to a topic first' }));
    socket.on('desk:subscribe', (topic, ack) => { arrive(socket, user); if (typeof ack === 'function') ack({ ok: true }); });
    return;
  }
  arrive(socket, socket.data.user);
});
if (opt.ns) io.on('connection', () => {}); // the default namespace is open to anybody
http.listen(+port, '127.0.0.1');
