// The documented log records, as bulleted blocks or as one JSON object a line.

const WRITERS = {
  blocks: (msg, fields) => [msg, ...Object.entries(fields).map(([key, value]) => `• ${key}: ${value}`)].join("\n"),
  json: (msg, fields) => JSON.stringify({ level: 30, time: Date.now(), msg, ...fields }),
};

export const LOG_FORMATS = Object.keys(WRITERS);

/** A log with one method per documented record. `silent` makes it write nothing. */
export function createLog(format, { silent = false, out = process.stdout } = {}) {
  const write = (msg, fields) => {
    if (!silent) out.write(WRITERS[format](msg, fields) + "\n");
  };
  return {
    connected: (socket, userId) => write("WebSocket client connected", { socketId: socket.id, userId }),
    replacing: (userId, old, fresh) =>
      write("Replacing existing socket for user", { userId, oldSocketId: old.id, newSocketId: fresh.id }),
    disconnected: (socket, reason) => write("WebSocket client disconnected", { socketId: socket.id, reason }),
  };
}
