export function listen(show) {
  const socket = io();
  socket.on("notification", show);
}

listen((text) => document.body.append(text));
