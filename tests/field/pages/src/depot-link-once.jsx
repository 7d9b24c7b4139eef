import { useEffect, useState } from "react";
import { io } from "socket.io-client";
import { mount } from "./mount.jsx";
import { where } from "./options.js";

const askToken = () => new Promise((done) => setTimeout(() => done("tok-ann"), 80));

class DepotLink {
  open() {
    this.opening ??= this.#open();
    return this.opening;
  }

  async #open() {
    const token = await askToken();
    return io(where({ auth: { token, userId: "ann" } }));
  }
}

const link = new DepotLink();

function Moves() {
  const [moves, setMoves] = useState(0);
  useEffect(() => {
    let left = false;
    link.open().then((socket) => !left && socket.on("parcel_moved", () => setMoves((count) => count + 1)));
    return () => { left = true; };
  }, []);
  return <p>{moves} moves</p>;
}

function Gates() {
  useEffect(() => {
    link.open();
  }, []);
  return <p>gates</p>;
}

mount(<main><Moves /><Gates /></main>);
