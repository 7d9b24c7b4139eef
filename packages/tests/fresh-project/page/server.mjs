/** A page that opens two Socket.IO connections (/broken.html), and the same page that shares one (/fixed.html). */
import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Server } from "socket.io";

const TYPES = { html: "text/html", js: "text/javascript" };

const server = createServer(async (request, response) => {
  const name = new URL(request.url, "http://page").pathname.slice(1);
  try {
    const content = await readFile(join(import.meta.dirname, name));
    response.setHeader("content-type", TYPES[name.split(".").pop()]).end(content);
  } catch {
    response.writeHead(404).end();
  }
});
new Server(server).on("connection", (socket) => socket.emit("hello"));
server.listen(Number(process.env.PORT), "127.0.0.1");
