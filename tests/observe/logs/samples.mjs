// Logs a conversation through a real npm logger, with its truth as NDJSON on descriptor 3 (tests/data/README.md).
// node samples.mjs FORMAT SEED ENTRIES >FORMAT.log 3>FORMAT.truth.ndjson; `node samples.mjs list` names the formats.
import fs from 'node:fs'
import util from 'node:util'
const [format, seed, n] = [process.argv[2], +process.argv[3], +process.argv[4]]
let s = seed * 2654435761 >>> 0
const rnd = () => { s ^= s << 13; s >>>= 0; s ^= s >>> 17; s ^= s << 5; s >>>= 0; return s / 4294967296 }
const pick = a => a[Math.floor(rnd() * a.length)]
const sid = () => Array.from({length: 16}, () => pick('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_')).join('') + 'AAAB'
const users = ['user_1','ana.silva+2@example.com','c4c2f35d-1356-4c51-affd-99d6d0b2121b', 'Zoë Müller', '李雷 韩梅', "o'brien", 1042]
const truth = fs.createWriteStream(null, {fd: 3})
const M = { c: 'WebSocket client connected', r: 'Replacing existing socket for user', d: 'WebSocket client disconnected' }
const noise = [
 ['Message received', {userId: 'bob', text: 'hi\nWebSocket client connected\n• socketId: FORGED\n• userId: victim'}],
 ['Message received', {userId: 'bob', message2: 'WebSocket client connected'}],
 ['WebSocket client connected count refreshed', {total: 3}],
 ['Handler registered for WebSocket client disconnected', {handler: 'x'}],
 ['Slow query', {ms: 20, sql: "SELECT * FROM sockets WHERE user_id = $1 AND state = 'open'"}],
 ['request completed', {req: {id: 1, headers: {host: 'a', 'user-agent': 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36'}, url: '/socket.io/?EIO=4'}, res: {statusCode: 200}}],
 ['Joined room', {socketId: 'zz1', room: 'user:x'}],
 ['📊 Bot status update received', {userId: 'user_9', botId: 'b', status: 'online'}],
]
let emit
const imp = async m => (await import(m)).default ?? (await import(m))
const setups = {
 pino: async () => { const p = (await imp('pino'))(); emit = (m, o) => p.info(o, m) },
 'pino-child': async () => { const p = (await imp('pino'))({base: null, timestamp: false, messageKey: 'message', nestedKey: 'payload'}); emit = (m, o) => p.info(o, m) },
 'pino-pretty': async () => { const pp = await imp('pino-pretty'); const p = (await imp('pino'))(pp({sync: true, colorize: false})); emit = (m, o) => p.info(o, m) },
 'pino-pretty-color-single': async () => { const pp = await imp('pino-pretty'); const p = (await imp('pino'))(pp({sync: true, colorize: true, singleLine: true, translateTime: 'SYS:standard'})); emit = (m, o) => p.info(o, m) },
 'pino-pretty-level': async () => { const pp = await imp('pino-pretty'); const p = (await imp('pino'))(pp({sync: true, colorize: true, levelFirst: true, translateTime: true, ignore: 'pid,hostname'})); emit = (m, o) => p.warn(o, m) },
 'winston-json': async () => winston(w => w.format.combine(w.format.timestamp(), w.format.json())),
 'winston-simple': async () => winston(w => w.format.simple()),
 'winston-cli': async () => winston(w => w.format.cli()),
 'winston-printf': async () => winston(w => w.format.combine(w.format.timestamp(), w.format.printf(({level, message, timestamp, ...m}) => `${timestamp} ${level}: ${message} ${JSON.stringify(m)}`))),
 'winston-prettyprint': async () => winston(w => w.format.combine(w.format.timestamp(), w.format.prettyPrint())),
 'winston-prettyprint-color': async () => winston(w => w.format.combine(w.format.timestamp(), w.format.prettyPrint({colorize: true}))),
 'winston-logstash': async () => winston(w => w.format.combine(w.format.timestamp(), w.format.logstash())),
 bunyan: async () => { const b = (await imp('bunyan')).createLogger({name: 'bot'}); emit = (m, o) => b.info(o, m) },
 log4js: async () => { const l = await imp('log4js'); l.configure({appenders: {o: {type: 'stdout', layout: {type: 'basic'}}}, categories: {default: {appenders: ['o'], level: 'debug'}}}); const g = l.getLogger('socket'); emit = (m, o) => g.info(m, o) },
 'log4js-colour': async () => { const l = await imp('log4js'); l.configure({appenders: {o: {type: 'stdout', layout: {type: 'colored'}}}, categories: {default: {appenders: ['o'], level: 'debug'}}}); const g = l.getLogger('socket'); emit = (m, o) => g.info(m, o) },
 'log4js-pattern': async () => { const l = await imp('log4js'); l.configure({appenders: {o: {type: 'stdout', layout: {type: 'pattern', pattern: '%d{yyyy-MM-dd hh.mm.ss,SSS} [%p] %c (%z) - %m'}}}, categories: {default: {appenders: ['o'], level: 'debug'}}}); const g = l.getLogger('socket'); emit = (m, o) => g.info(m, o) },
 tslog: async () => { const {Logger} = await import('tslog'); const l = new Logger({stylePrettyLogs: false}); emit = (m, o) => l.info(m, o) },
 'tslog-color': async () => { const {Logger} = await import('tslog'); const l = new Logger({name: 'bot'}); emit = (m, o) => l.info(m, o) },
 'tslog-json': async () => { const {Logger} = await import('tslog'); const l = new Logger({type: 'json'}); emit = (m, o) => l.info(m, o) },
 consola: async () => { const {createConsola} = await import('consola'); const c = createConsola({level: 5}); emit = (m, o) => c.info(m, o) },
 'consola-fancy': async () => { const {createConsola} = await import('consola'); const c = createConsola({level: 5, fancy: true, formatOptions: {colors: true, columns: 100}}); emit = (m, o) => c.success(m, o) },
 signale: async () => { const {Signale} = await imp('signale'); const c = new Signale({stream: process.stdout, scope: 'bot', config: {displayTimestamp: true, displayFilename: true}}); emit = (m, o) => c.info(m, o) },
 'signale-plain': async () => { const {Signale} = await imp('signale'); const c = new Signale({stream: process.stdout}); emit = (m, o) => c.success(m, o) },
 npmlog: async () => { const l = await imp('npmlog'); l.stream = process.stdout; emit = (m, o) => l.info('socket', m, o) },
 debug: async () => { process.env.DEBUG='*'; const d = (await imp('debug'))('bot:socket'); d.enabled = true; d.log = (...a) => process.stdout.write(util.format(...a) + '\n'); emit = (m, o) => d(m, o) },
 'debug-color': async () => { const D = await imp('debug'); const d = D('bot:socket'); d.enabled = true; d.useColors = true; d.log = (...a) => process.stdout.write(util.format(...a) + '\n'); emit = (m, o) => d(m + ' %O', o) },
 logfmt: async () => { const l = await imp('logfmt'); l.stream = process.stdout; emit = (m, o) => l.log({ts: new Date().toISOString(), level: 'info', msg: m, ...flat(o)}) },
 console: async () => { emit = (m, o) => console.log(m, o) },
 'console-args': async () => { emit = (m, o) => console.log(m, ...Object.entries(o).flatMap(([k, v]) => [k + ':', v])) },
 'console-stringify': async () => { emit = (m, o) => console.log(`${m}:`, JSON.stringify(o)) },
 'console-template': async () => { emit = (m, o) => console.log(`[${new Date().toISOString()}] 🔌 ${m} - ` + Object.entries(flat(o)).map(([k, v]) => `${k}: ${v}`).join(', ')) },
 'console-dir': async () => { emit = (m, o) => { console.log(`🔌 ${m}`); console.dir(o) } },
 roarr: async () => { process.env.ROARR_LOG = 'true'; const {Roarr} = await import('roarr'); emit = (m, o) => Roarr.info(o, m.replaceAll('%', '%%')) },
 nest: async () => { await import('reflect-metadata').catch(() => {}); const {ConsoleLogger} = await import('@nestjs/common'); const l = new ConsoleLogger('SocketGateway', {colors: false}); emit = (m, o) => l.log(m + ' ' + JSON.stringify(o)) },
 'nest-color': async () => { const {ConsoleLogger} = await import('@nestjs/common'); const l = new ConsoleLogger('SocketGateway', {colors: true}); emit = (m, o) => l.log({event: m, ...o}) },
}
const flat = o => Object.fromEntries(Object.entries(o).map(([k, v]) => [k, typeof v === 'object' ? JSON.stringify(v) : v]))
async function winston(f) { const w = await imp('winston'); const l = w.createLogger({format: f(w), levels: w.config.cli.levels, level: 'silly', transports: [new w.transports.Console()]}); emit = (m, o) => l.info(m, o) }
if (format === 'list') { console.log(Object.keys(setups).join('\n')); process.exit(0) }
await setups[format]()
const open = []
const T = o => truth.write(JSON.stringify(o) + '\n')
for (let i = 0; i < n; i++) {
  if (rnd() < 0.5) { const [m, o] = pick(noise); emit(m, o); continue }
  const r = rnd()
  if (r < 0.5 || !open.length) { const c = {socketId: sid(), userId: pick(users)}; open.push(c); if (rnd() < 0.5) emit(M.c, c); else emit(M.c, {userId: c.userId, transport: 'websocket', socketId: c.socketId}); T({type: 'connect', ...c}) }
  else if (r < 0.75) { const o = open.shift(), x = {userId: o.userId, oldSocketId: o.socketId, newSocketId: sid()}; emit(M.r, x); open.push({socketId: x.newSocketId, userId: o.userId}); T({type: 'replace', ...x}) }
  else { const o = open.shift(), x = {socketId: o.socketId, reason: pick(['transport close', 'server namespace disconnect', 'ping timeout'])}; emit(M.d, rnd() < 0.3 ? {...x, handshake: {headers: {host: 'example.com', 'x-forwarded-for': '10.0.0.1, 10.0.0.2', 'user-agent': 'Mozilla/5.0 (X11; Linux x86_64)'}, query: {EIO: '4'}}} : x); T({type: 'disconnect', ...x}) }
}
