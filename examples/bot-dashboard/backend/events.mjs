// The application's events: what a client asks for, and what every socket of its user is then sent.

let seq = 0;

const whatsapp = (type, userId, more = {}) => ["whatsapp_connection_event", { type, userId, ...more }];

/** For each request: the user and the client's argument in, the events [name, payload] to send out. */
export const REPLIES = {
  request_bot_status: (userId, ask) => [
    ["bot_status_update", { botId: ask?.botId ?? "bot-1", status: "online", userId }],
  ],
  request_message_sync: (userId, ask) => [
    ["message_sync", { chatId: ask?.chatId ?? "chat-1", messages: [], userId }],
  ],
  request_connection_update: (userId) => [["connection_update", { connection: "stable", userId }]],
  trigger_whatsapp_connection: (userId) => [
    whatsapp("qr_updated", userId, { qr: `qr-of-${userId}` }),
    whatsapp("whatsapp_connected", userId),
  ],
  disconnect_whatsapp: (userId) => [whatsapp("whatsapp_disconnected", userId)],
};

/** Sends one event to `sockets` under the next `seq`, so that no two events have the same payload. */
function send(sockets, [name, payload], faults, counters) {
  if (name === "message_sync" && faults.has("drop-event")) return;
  const numbered = { ...payload, seq: ++seq };
  for (const socket of sockets) {
    for (let times = faults.has("emit-twice") ? 2 : 1; times > 0; times -= 1) {
      socket.emit(name, numbered);
      counters.emitted += 1;
    }
  }
}

/** Answers the socket's requests. `audience()` gives the sockets that an event for this user goes to. */
export function answer(socket, userId, { audience, faults, counters }) {
  socket.onAny(() => (counters.received += 1));
  socket.on("echo", (value, ack) => (typeof ack === "function" ? ack(value) : undefined));
  for (const [request, reply] of Object.entries(REPLIES)) {
    socket.on(request, (...args) => {
      const ack = typeof args.at(-1) === "function" ? args.pop() : undefined;
      for (const event of reply(userId, args[0])) send(audience(), event, faults, counters);
      ack?.({ ok: true });
    });
  }
}
